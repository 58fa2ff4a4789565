"""`train` and `sweep`: networks as they are given, costed, and trained where there are images for them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling_search.cli import BEGAN
from scaling_search.cli.execution import Images, execute, open_images
from scaling_search.cli.show import print_results, write_outputs
from scaling_search.cli.timings import Timings
from scaling_search.config import RunConfig, Workers
from scaling_search.errors import UserError
from scaling_search.recorded import open_trials
from scaling_search.rule import Scale
from scaling_search.runners.display import display_for
from scaling_search.store import RunDirectory, start_run
from scaling_search.trial import Init, Trained

if TYPE_CHECKING:
    from scaling_search.cli.commands import Sweep, Train, Trainings
    from scaling_search.search import sweep as sweeps
    from scaling_search.search.plan import Plan

EVERYWHERE = (
    "difference: built / paper - 1. The paper prints multiply-adds in two or three digits, and gives d, w and r of its "
    "compound rows for MobileNetV1 and EfficientNet-B0 alone; others are compared at --compound-scale."
)
_EFFICIENTNET = (
    "EfficientNet-B0: w = 2 and r = 2 cannot do more than multiply its 386M by 4, to 1.55B, less what does not grow so "
    "(as built 1.8B takes w = 2.2, and 1.9B r = 2.2); nor do 4 times the layers come to 1.8B. The compound row agrees.",
)
NOTES: dict[str, tuple[str, ...]] = {
    "mobilenet_v1": (
        "MobileNetV1: layers are rounded up, and a stage of one layer has two at d = 1.4, so that the compound row is "
        "dearer than 1.4 * 1.2^2 * 1.3^2 = 3.4 times the baseline here as in the paper; its rounding is not known.",
    ),
    "resnet50": (
        "ResNet-50: what d = 4 and w = 2 cost as built, 14.6B and 16.1B, is within 1 % of what Table 3 has in the row "
        "of the other, 14.7B and 16.2B: the two seem to be exchanged there.",
    ),
    "efficientnet": _EFFICIENTNET,
    "efficientnet_b0": _EFFICIENTNET,
}
"""Why a family's rows differ from the paper's, where that is known."""


def train(options: "Train") -> None:
    """Trains one network from every seed."""
    scale = Scale(options.depth, options.width, options.resolution)
    _train_anew(options, options.data, [("network", scale)], _init_of(options.init, options.trained))


def sweep(options: "Sweep") -> None:
    """Prints what each network of a sweep costs, and trains them where images are given."""
    from scaling_search.search.sweep import DIMENSIONS, parse_scale, scales

    unknown = [dim for dim in options.dims if dim not in DIMENSIONS]
    if unknown:
        raise UserError(f"dimension {unknown[0]!r} given", "dimensions are d, w and r", "try --dims d w r")
    if not options.dims and not options.compound and not options.scales:
        raise UserError("nothing to scale given", "--dims d w r, --compound or both", "try --dims d w r --compound")
    factors = {"d": options.depths, "w": options.widths, "r": options.resolutions}
    compound = Scale(*options.compound_scale) if options.compound else None
    named = scales(options.dims, factors, compound) + [("given", parse_scale(text)) for text in options.scales]
    if options.data is None:
        _print_costs(options, named)
    else:
        _train_anew(options, options.data, named, None)


def go_on(directory: RunDirectory, workers: Workers, format: str, *, timings: bool) -> None:
    """Trains what is missing of a run that `train` or `sweep` began."""
    from scaling_search.search.sweep import sweep_from_document

    try:
        laid_out = sweep_from_document(directory.document("sweep") or {})
    except (KeyError, TypeError) as error:
        raise UserError(f"{directory.path / 'sweep.json'} cannot be understood: no {error}") from None
    config = directory.config()
    _train(directory, config, open_images(config), laid_out, workers, format, timings=timings)


def _print_costs(options: "Sweep", named: list[tuple[str, Scale]]) -> None:
    from scaling_search.analysis.reference.paper import SCALED, scaling_beside
    from scaling_search.analysis.text.tables import render
    from scaling_search.cli.costs import cost_row
    from scaling_search.family import load_family

    family = load_family(options.family, options.family_options)
    rows = [
        {"scaling": name} | cost_row(family, scale, options.num_classes, options.recipe.batch_size)
        for name, scale in named
    ]
    table = scaling_beside(family.name, rows)
    print(render(table.drop(columns="network"), options.format))
    if family.name in SCALED:
        print("\n".join([EVERYWHERE, *NOTES.get(family.name, ())]), file=sys.stderr)


def _init_of(weights: str | None, trained: Trained) -> Init | None:
    from scaling_search.weights.files import digest_of

    if weights is None:
        if trained == "head":
            raise UserError(
                "--trained head given without --init", "a head alone is trained on given weights", "try --init FILE"
            )
        return None
    return Init(str(Path(weights).expanduser().resolve()), digest_of(weights), trained)


def _train_anew(options: "Trainings", data: str, named: list[tuple[str, Scale]], init: Init | None) -> None:
    from scaling_search.family import load_family
    from scaling_search.search.sweep import lay_out_sweep

    config = RunConfig(
        name=options.name,
        family=options.family,
        family_options=options.family_options,
        data=data,
        split=options.split,
        seeds=options.seeds,
        seed=options.seed,
        recipe=options.recipe,
        runs=options.runs,
        reuse=options.reuse,
        replay=options.replay,
    )
    images = open_images(config)
    family = load_family(config.family, config.family_options)
    laid_out = lay_out_sweep(family, named, config, images.num_classes, init)
    if init is not None:
        _check_weights(config, laid_out, init)
    directory = start_run(config, images.identity, options.workers)
    if directory.document("sweep") not in (None, laid_out.document()) or directory.document("step1") is not None:
        raise UserError(
            f"{directory.path} exists with other networks or weights",
            hint=f"give another --name, or go on with the old one by scaling-search resume {directory.path}",
        )
    directory.write_document("sweep", laid_out.document())
    _train(directory, config, images, laid_out, options.workers, options.format, timings=options.timings)


def _check_weights(config: RunConfig, laid_out: "sweeps.Sweep", init: Init) -> None:
    """Raises UserError where the weights do not fit the network, before anything is started."""
    from flax import nnx

    from scaling_search.family import load_family
    from scaling_search.weights.files import read_arrays
    from scaling_search.weights.transfer import import_weights, namings_of

    family, network = load_family(config.family, config.family_options), laid_out.rows[0].network
    built = family.build(network.scale, network.num_classes, rngs=nnx.Rngs(0))
    import_weights(built, read_arrays(init.weights, init.digest), namings_of(family), head=False)


def _train(
    directory: RunDirectory,
    config: RunConfig,
    images: Images,
    laid_out: "sweeps.Sweep",
    workers: Workers,
    format: str,
    *,
    timings: bool,
) -> None:
    from scaling_search.search.sweep import sweep_specs

    times = Timings(BEGAN)

    def plan() -> "Plan[None]":
        display.phase("training")
        yield sweep_specs(laid_out, config, images.identity)

    with directory.locked():
        with display_for("auto") as display:
            networks: Any = {row.network.fingerprint for row in laid_out.rows}
            display.note(
                f"{len(networks)} network{'s' * (len(networks) > 1)}, {config.seeds} seeds each, on {images.name}, "
                f"{images.training} training images; records go to {directory.path}"
            )
            execute(
                plan(),
                images,
                directory,
                reused=[open_trials(path) for path in config.reuse],
                workers=workers,
                display=display,
                times=times,
            )
        results, files = write_outputs(directory)
    print_results(results, files, format)
    if timings:
        times.show()
