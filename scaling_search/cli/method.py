"""`run`, `step1`, `step2` and `resume`: the method from images to a frontier, on Ray, into a run directory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from scaling_search.cli import BEGAN
from scaling_search.cli.execution import Images, execute, open_images
from scaling_search.cli.show import judgement_of, print_results, write_outputs
from scaling_search.cli.timings import Timings
from scaling_search.config import RunConfig, Workers
from scaling_search.recorded import RecordedTable, open_trials
from scaling_search.rule import CompoundRule
from scaling_search.runners.display import display_for
from scaling_search.runners.progress import Progress
from scaling_search.store import RunDirectory, open_run, start_run
from scaling_search.trial import Spec

if TYPE_CHECKING:
    from scaling_search.family import Family
    from scaling_search.search.grid import Step1
    from scaling_search.search.plan import Plan
    from scaling_search.search.scale_up import Model


@dataclass(frozen=True)
class _Setting:
    """What a run is about, checked before anything is trained."""

    config: RunConfig
    family: "Family"
    images: Images
    layout: "Step1 | None"


def run(
    config: RunConfig,
    workers: Workers,
    format: str,
    *,
    steps: tuple[int, ...],
    rule: CompoundRule | None = None,
    timings: bool = False,
) -> None:
    """Runs STEP 1, STEP 2 or both, writes and prints what comes of them, and with `timings` where the time went."""
    times = Timings(BEGAN)
    setting = _check(config, steps)
    reused = [open_trials(path) for path in config.reuse]
    directory = start_run(config, setting.images.identity, workers)
    with directory.locked():
        _train(setting, directory, reused, workers, steps, rule, times)
        results, files = write_outputs(directory)
    print_results(results, files, format)
    if timings:
        times.show()


def resume(path: str, workers: Workers, format: str, *, timings: bool = False) -> None:
    """Goes on with a run by the config in its manifest, in the folder where it lies now."""
    directory = open_run(path)
    if directory.document("nas") is not None:
        from scaling_search.cli.nas import go_on as search_on

        search_on(directory, workers, format, timings=timings)
    elif directory.document("sweep") is None:
        run(directory.config(), workers, format, steps=(1, 2), timings=timings)
    else:
        from scaling_search.cli.training import go_on

        go_on(directory, workers, format, timings=timings)


def _check(config: RunConfig, steps: tuple[int, ...]) -> _Setting:
    from scaling_search.search.candidates import family_of
    from scaling_search.search.grid import lay_out
    from scaling_search.units import parse_bytes

    if config.target_memory is not None:
        parse_bytes(config.target_memory)
    if 1 in steps:
        config.grid.rules()
    family = family_of(config)
    images = open_images(config)
    layout = lay_out(family, config, images.num_classes) if 1 in steps else None
    return _Setting(config, family, images, layout)


def _train(
    setting: _Setting,
    directory: RunDirectory,
    reused: Sequence[RunDirectory | RecordedTable],
    workers: Workers,
    steps: tuple[int, ...],
    rule: CompoundRule | None,
    times: Timings,
) -> None:
    with display_for("auto") as display:
        _announce(setting, directory, display)
        execute(
            _method(setting, directory, display, steps, rule),
            setting.images,
            directory,
            reused=reused,
            workers=workers,
            display=display,
            times=times,
        )


def _announce(setting: _Setting, directory: RunDirectory, display: Progress) -> None:
    config, layout = setting.config, setting.layout
    if layout is not None:
        networks = len({point.network.fingerprint for point in layout.points})
        display.note(
            f"STEP 1 at phi {config.phi:g}: {len(layout.points)} points of the grid round to {networks} networks; "
            f"{config.seeds} seeds each on {setting.images.name}, {setting.images.training} training images"
        )
        for reason, count in _refusals(layout).items():
            display.note(f"equation 2 refuses {count} of them, {reason}")
    display.note(f"records go to {directory.path}")


def _refusals(layout: "Step1") -> dict[str, int]:
    refused: dict[str, int] = {}
    for point in layout.points:
        if point.rejected is not None:
            scale = point.network.scale
            named = f"d {scale.depth:.3g}, w {scale.width:.3g}, r {scale.resolution:.3g}: {point.rejected}"
            refused[named] = refused.get(named, 0) + 1
    return refused


def _method(
    setting: _Setting,
    directory: RunDirectory,
    display: Progress,
    steps: tuple[int, ...],
    rule: CompoundRule | None,
) -> "Plan[None]":
    """The plan: STEP 1 with what need not wait for it, then STEP 2 and the winner's one look at the test split."""
    from scaling_search.search.candidates import specs_of
    from scaling_search.search.grid import step1_specs
    from scaling_search.search.scale_up import Step2, found_models, published_models, step2_specs

    config, images = setting.config, setting.images
    data = images.identity
    sizes = (setting.family, config, images.num_classes, images.training)
    published = _trainable(published_models(*sizes), images) if 2 in steps else ()
    tested: list[Spec] = []
    if setting.layout is not None:
        directory.write_document("step1", setting.layout.document())
        display.phase("STEP 1 and the published models" if published else "STEP 1")
        # The published models need no winner: trained in the same batch, they leave no worker idle.
        yield [*step1_specs(setting.layout, config, data), *step2_specs(published, config, data)]
        winner = judgement_of(directory).winner
        rule = CompoundRule(winner.alpha, winner.beta, winner.gamma)
        network = next(n for n in setting.layout.networks if n.fingerprint == winner.fingerprint)
        tested = list(specs_of(network, config, data, test=True))
    models: tuple[Model, ...] = ()
    if 2 in steps:
        if rule is None:
            winner = judgement_of(directory).winner
            rule = CompoundRule(winner.alpha, winner.beta, winner.gamma)
        models = (*_trainable(found_models(rule, *sizes), images), *published)
        directory.write_document("step2", Step2(rule, models).document())
    display.phase("STEP 2 and the test split" if models and tested else "STEP 2" if models else "the test split")
    yield [*step2_specs(models, config, data), *tested]


def _trainable(models: "tuple[Model, ...]", images: Images) -> "tuple[Model, ...]":
    """Models as they are, but for those that a recorded table has no training of."""
    return tuple(model if images.can_train(model.network) else replace(model, trained=False) for model in models)
