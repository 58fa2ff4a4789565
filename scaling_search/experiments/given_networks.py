"""Networks trained as they are given: a sweep of several, or one."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling_search.config import SweepConfig, TrainConfig, Workers
from scaling_search.errors import UserError, printable
from scaling_search.experiments.study import Materials, Study, carry_out, materials_of
from scaling_search.family import Family
from scaling_search.places import place_of
from scaling_search.rule import Scale
from scaling_search.runners.display import ProgressSetting
from scaling_search.runners.progress import Progress, Watcher
from scaling_search.store import RunDirectory
from scaling_search.trial import Init, Network

if TYPE_CHECKING:
    from scaling_search.analysis.of_run import Findings
    from scaling_search.data import ImageData
    from scaling_search.search.plan import Plan


def sweep(
    config: SweepConfig | None = None,
    *,
    family: Family | None = None,
    data: "ImageData | None" = None,
    workers: Workers | None = None,
    progress: ProgressSetting = "auto",
    watchers: Sequence[Watcher] = (),
) -> "Findings":
    """Trains a baseline, each dimension scaled alone and any other scales listed, as `scaling-search sweep` does.

    Args:
        config: Which networks to train, and how. It must name images unless `data` is given.
        family: The network family to scale, instead of the one that the config names.
        data: Images, as `from_arrays` makes them, instead of those that the config names.
        workers: Where trials run.
        progress: "auto" shows a bar in a notebook and a line on a terminal; None shows nothing.
        watchers: Told of every trial as it ends.

    Returns:
        What was found; `sweep` is a frame with a row per network.

    Raises:
        UserError: Something given cannot be used; the message says what is allowed.

    Examples:
        >>> from scaling_search import SweepConfig, replay_config, sweep
        >>> config = replay_config("tables/fashion_mnist.parquet", SweepConfig)
        >>> findings = sweep(replace(config, dims=("w",), name="widths"), progress=None)
        >>> list(findings.sweep["scaling"])
        ['baseline', 'width']

    """
    config = config or SweepConfig()
    return carry_out(
        config, partial(set_up_sweep, config, family, data), workers=workers, progress=progress, watchers=watchers
    )


def train(
    config: TrainConfig | None = None,
    *,
    family: Family | None = None,
    data: "ImageData | None" = None,
    workers: Workers | None = None,
    progress: ProgressSetting = "auto",
    watchers: Sequence[Watcher] = (),
) -> "Findings":
    """Trains one network, as `scaling-search train` does.

    Args:
        config: Which network to train, how, and from which weights.
        family: The network family, instead of the one that the config names.
        data: Images, as `from_arrays` makes them, instead of those that the config names.
        workers: Where trials run.
        progress: "auto" shows a bar in a notebook and a line on a terminal; None shows nothing.
        watchers: Told of every trial as it ends.

    Returns:
        What was found; `sweep` is a frame with one row.

    Raises:
        UserError: Something given cannot be used; the message says what is allowed.

    Examples:
        >>> from scaling_search import TrainConfig, replay_config, train
        >>> config = replay_config("tables/fashion_mnist.parquet", TrainConfig)
        >>> findings = train(replace(config, name="baseline"), progress=None)
        >>> bool(0.5 < findings.sweep["val_accuracy"][0] < 1)
        True

    """
    config = config or TrainConfig()
    return carry_out(
        config, partial(set_up_training, config, family, data), workers=workers, progress=progress, watchers=watchers
    )


def network_of(weights: str) -> dict[str, Any]:
    """The fields of a `TrainConfig` that name the network which weights say they are of; none where they do not."""
    from scaling_search.weights.bundle import read_description

    try:
        about = read_description(weights)
    except UserError:
        # What is wrong with the file is said when it is read for training.
        return {}
    return {"family": about.family, "family_options": about.options, **asdict(about.scale)}


def set_up_sweep(config: SweepConfig, family: Family | None = None, data: "ImageData | None" = None) -> Study:
    """The run of a sweep, checked before anything is trained."""
    from scaling_search.search.sweep import scales_of

    if not config.data and data is None and config.replay is None:
        raise UserError("no images given to train on", "a sweep needs data", 'try data="digits"')
    return _set_up(materials_of(config, family, data), scales_of(config), None)


def set_up_training(config: TrainConfig, family: Family | None = None, data: "ImageData | None" = None) -> Study:
    """The run of a training, checked before anything is trained."""
    scale = Scale(config.depth, config.width, config.resolution)
    init = _init_of(config)
    materials = materials_of(config, family, data)
    notes = [] if init is None else _notes_on_weights(materials, scale, init)
    return _set_up(materials, [("network", scale)], init, notes)


def _set_up(
    materials: Materials, named: list[tuple[str, Scale]], init: Init | None, notes: Sequence[str] = ()
) -> Study:
    from scaling_search.search.sweep import lay_out_sweep, sweep_specs

    config, images = materials.config, materials.images
    laid_out = lay_out_sweep(materials.family, named, config, images.num_classes, init)

    def course(directory: RunDirectory, data: str, progress: Progress) -> "Plan[None]":
        if directory.document("sweep") not in (None, laid_out.document()):
            raise UserError(f"{directory.path} exists with other networks or weights", hint="give another --name")
        directory.write_document("sweep", laid_out.document())
        progress.note(
            f"{_counted({row.network.fingerprint: row.network for row in laid_out.rows}, config.seeds)}, on "
            f"{images.name}, {images.training} training images; records go to {directory.path}"
        )
        for note in notes:
            progress.note(note)
        progress.phase("training")
        yield sweep_specs(laid_out, config, data)

    return materials.study(course)


def _counted(networks: dict[str, Network], seeds: int) -> str:
    each = " each" * (len(networks) > 1)
    return f"{len(networks)} network{'s' * (len(networks) > 1)}, {seeds} seed{'s' * (seeds > 1)}{each}"


def _init_of(config: TrainConfig) -> Init | None:
    from scaling_search.weights.files import digest_of

    if config.init is None:
        return None
    return Init(str(place_of(config.init).resolve()), digest_of(config.init), config.trained)


def _notes_on_weights(materials: Materials, scale: Scale, init: Init) -> list[str]:
    """What the import of the weights found. Raises UserError where they do not fit, before anything is started."""
    from flax import nnx

    from scaling_search.weights.files import read_arrays
    from scaling_search.weights.transfer import import_weights, namings_of

    family = materials.family
    built = family.build(scale, materials.images.num_classes, rngs=nnx.Rngs(0))
    imported = import_weights(built, read_arrays(init.weights, init.digest), namings_of(family), head=False)
    return [f"{Path(init.weights).name}: {printable(note)}" for note in imported.notes]
