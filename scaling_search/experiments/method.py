"""The whole method, from images to a frontier: STEP 1, STEP 2, and the winner, confirmed and tested."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from scaling_search.config import RunConfig, Workers
from scaling_search.errors import UserError
from scaling_search.experiments.images import Images
from scaling_search.experiments.latencies import KeptLatencies, at_rest
from scaling_search.experiments.rates import probed_rates
from scaling_search.experiments.rounds import rounds_in_words, step1_in_rounds
from scaling_search.experiments.study import Materials, Study, carry_out, materials_of
from scaling_search.family import Family
from scaling_search.recorded import RecordedTable
from scaling_search.rule import CompoundRule
from scaling_search.runners.display import ProgressSetting
from scaling_search.runners.progress import Progress, Watcher
from scaling_search.store import RunDirectory

if TYPE_CHECKING:
    from scaling_search.analysis.findings.step1 import Judgement
    from scaling_search.analysis.of_run import Findings
    from scaling_search.data import ImageData
    from scaling_search.search.grid import Step1
    from scaling_search.search.growing import Latencies
    from scaling_search.search.plan import Plan
    from scaling_search.search.scale_up import Model
    from scaling_search.trial import Spec

    CanDo = Callable[[Spec], bool]


def run(
    config: RunConfig | None = None,
    *,
    family: Family | None = None,
    data: "ImageData | None" = None,
    workers: Workers | None = None,
    progress: ProgressSetting = "auto",
    watchers: Sequence[Watcher] = (),
) -> "Findings":
    """Runs STEP 1 and STEP 2, as `scaling-search run` does, into the folder of the run.

    A run that was cut short is continued by the same call. In a script, call it below `if __name__ == "__main__":`.

    Args:
        config: What to compute; the defaults are those of the command.
        family: The network family to scale, instead of the one that the config names.
        data: Images, as `from_arrays` makes them, instead of those that the config names.
        workers: Where trials run: a Ray cluster, how many cores or GPUs a trial gets.
        progress: "auto" shows a bar in a notebook and a line on a terminal; None shows nothing.
        watchers: Told of every trial as it ends.

    Returns:
        What the run found: winner, tables and frontier as frames, figures and a report.

    Raises:
        UserError: Something given cannot be used; the message says what is allowed.

    Examples:
        >>> from scaling_search import RunConfig, replay_config, run
        >>> config = replay_config("tables/fashion_mnist.parquet", RunConfig)
        >>> findings = run(config, progress=None)
        >>> findings.winner.multiply_adds > 0
        True
        >>> sorted(findings.step2["model"].unique())[:3]
        ['B0', 'B1', 'B2']

    """
    config = config or RunConfig()
    return carry_out(
        config, partial(set_up, config, family, data), workers=workers, progress=progress, watchers=watchers
    )


def set_up(config: RunConfig, family: Family | None = None, data: "ImageData | None" = None) -> Study:
    """The run of the method, checked before anything is trained."""
    from scaling_search.search.grid import lay_out
    from scaling_search.search.rounds import check_trainings

    if 1 in config.steps:
        config.grid.rules()
    materials = materials_of(config, family, data)
    config = materials.config
    measured = config.match_by == "latency"
    if measured and isinstance(materials.images.source, RecordedTable):
        raise UserError("--match-by latency given with --replay", "a table has no networks of this machine's latencies")

    def laid_out(latencies: "Latencies | None" = None) -> "Step1 | None":
        if 1 not in config.steps:
            return None
        layout = lay_out(materials.family, config, materials.images.num_classes, latencies)
        check_trainings(config, len(layout.networks))
        return layout

    # What is counted is known before anything is written, a latency once there is a run to keep it.
    counted = None if measured else laid_out()

    def course(directory: RunDirectory, images: str, progress: Progress) -> "Plan[None]":
        if not measured:
            _announce(config, counted, materials.images, directory, progress)
            return _method(materials, counted, directory, images, progress)
        progress.note("networks are matched by the latency of an image, measured here; that takes some minutes")
        latencies = KeptLatencies(directory)
        layout = laid_out(latencies)
        _announce(config, layout, materials.images, directory, progress)
        return at_rest(_method(replace(materials, latencies=latencies), layout, directory, images, progress), latencies)

    return materials.study(course)


def judgement_of(directory: RunDirectory) -> "Judgement":
    """STEP 1 of a run, judged. Raises UserError where it has not been trained."""
    from scaling_search.analysis.findings.step1 import judge
    from scaling_search.analysis.frames import load_run

    run = load_run(directory.path)
    if run.points.empty:
        raise UserError(
            f"{directory.path} has no STEP 1 yet", hint="run scaling-search step1, or give --coefficients 1.2 1.1 1.15"
        )
    return judge(run.points, run.trials, rivals=run.rivals)


def _announce(
    config: RunConfig, layout: "Step1 | None", images: Images, directory: RunDirectory, progress: Progress
) -> None:
    if layout is not None:
        networks = len({point.network.fingerprint for point in layout.points})
        progress.note(
            f"STEP 1 at phi {config.phi:g}: {len(layout.points)} points of the grid round to {networks} networks; "
            f"{config.seeds} seeds each on {images.name}, {images.training} training images"
        )
        if config.certainty is not None:
            progress.note(rounds_in_words(config, len(layout.networks)))
        for reason, count in _refusals(layout).items():
            progress.note(f"equation 2 rejects {count} of them: {reason}")
        if config.rates == "probe":
            progress.note("before it, learning rates are chosen by a probe of three sizes")
        if config.shorter:
            progress.note(
                f"STEP 1 is done for {_listed(config.shorter)} epochs as well as for {config.recipe.epochs}, from "
                "which all else follows"
            )
        if layout.rivals:
            progress.note(f"at the same cost it trains {', '.join(layout.rivals)}")
        for note in layout.notes:
            progress.note(note)
    progress.note(f"records go to {directory.path}")


def _listed(numbers: Sequence[int]) -> str:
    *most, last = map(str, sorted(numbers))
    return f"{', '.join(most)} and {last}" if most else last


def _refusals(layout: "Step1") -> dict[str, int]:
    refused: dict[str, int] = {}
    for point in layout.points:
        if point.rejected is not None:
            scale = point.network.scale
            named = f"d {scale.depth:.3g}, w {scale.width:.3g}, r {scale.resolution:.3g}: {point.rejected}"
            refused[named] = refused.get(named, 0) + 1
    return refused


def _method(
    materials: Materials, layout: "Step1 | None", directory: RunDirectory, data: str, progress: Progress
) -> "Plan[None]":
    """The plan: the probe of learning rates where there is one, then both steps, each network at its rate."""
    from scaling_search.search.rates import at_rate, at_rates
    from scaling_search.search.scale_up import published_models

    config, images = materials.config, materials.images
    sizes = (materials.family, config, images.num_classes, images.training, materials.latencies)
    published = _trainable(published_models(*sizes), images) if 2 in config.steps else ()
    if config.rates == "fixed":
        yield from _steps(materials, layout, published, directory, data, progress, images.can_do)
        return
    rate_of = yield from probed_rates(materials, layout, published, directory, data, progress)

    def can_do(spec: "Spec") -> bool:
        return images.can_do(at_rate(spec, rate_of))

    yield from at_rates(_steps(materials, layout, published, directory, data, progress, can_do), rate_of)


def _steps(
    materials: Materials,
    layout: "Step1 | None",
    published: "tuple[Model, ...]",
    directory: RunDirectory,
    data: str,
    progress: Progress,
    can_do: "CanDo",
) -> "Plan[None]":
    """The plan: STEP 1 with what need not wait for it, then STEP 2, and the winner confirmed and tested."""
    from scaling_search.analysis.findings.confirmed import named_networks
    from scaling_search.search.candidates import confirming_specs, specs_of
    from scaling_search.search.grid import shorter_specs, step1_specs
    from scaling_search.search.scale_up import Step2, found_models, step2_specs

    config, images = materials.config, materials.images
    sizes = (materials.family, config, images.num_classes, images.training, materials.latencies)
    rule = config.rule
    judged: list[Spec] = []
    if layout is not None:
        # The published models need no winner, nor do the baseline's fresh seeds: trained in the same batch, they leave
        # no worker idle.
        also = [*shorter_specs(layout, config, data), *step2_specs(published, config, data)]
        also += [spec for spec in confirming_specs(layout.baseline, config, data) if can_do(spec)]
        if config.certainty is None:
            directory.write_document("step1", layout.document())
            progress.phase("STEP 1 and the published models" if published else "STEP 1")
            yield [*step1_specs(layout, config, data), *also]
        else:
            yield from step1_in_rounds(layout, config, data, also=also, directory=directory, progress=progress)
        judgement = judgement_of(directory)
        networks = {network.fingerprint: network for network in layout.networks}
        selected, _ = named_networks(judgement)
        judged = [spec for name in selected for spec in confirming_specs(networks[name], config, data)]
        # Tables that were recorded before fresh seeds judged these networks lack them.
        judged = [spec for spec in judged if can_do(spec)]
        judged += specs_of(networks[judgement.winner.fingerprint], config, data, test=True)
    models: tuple[Model, ...] = ()
    if 2 in config.steps:
        if rule is None:
            winner = judgement_of(directory).winner
            rule = CompoundRule(winner.alpha, winner.beta, winner.gamma)
        models = (*_trainable(found_models(rule, *sizes), images), *published)
        directory.write_document("step2", Step2(rule, models).document())
    progress.phase("STEP 2 and the winner" if models and judged else "STEP 2" if models else "the winner")
    yield [*step2_specs(models, config, data), *judged]


def _trainable(models: "tuple[Model, ...]", images: Images) -> "tuple[Model, ...]":
    """The models, marked as not trained where a recorded table has no training of them."""
    return tuple(model if images.can_train(model.network) else replace(model, trained=False) for model in models)
