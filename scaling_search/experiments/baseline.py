"""The search for a baseline, and using its result as the family of a run."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import prod
from typing import TYPE_CHECKING

from scaling_search.config import NasConfig, RunConfig, Workers
from scaling_search.errors import UserError
from scaling_search.experiments.latencies import KeptLatencies, at_rest
from scaling_search.experiments.study import Study, carry_out, with_images
from scaling_search.manifest import command_of
from scaling_search.runners.display import ProgressSetting
from scaling_search.runners.progress import Progress, Watcher
from scaling_search.store import RunDirectory, open_run

if TYPE_CHECKING:
    from scaling_search.analysis.of_run import Findings
    from scaling_search.data import ImageData
    from scaling_search.search.nas.search import Search
    from scaling_search.search.plan import Plan

DOCUMENT = "nas"
"""Of a search: what it tried."""
UNITS = {"flops": "multiply-adds", "params": "parameters", "memory": "bytes", "latency": "ms"}


def nas(
    config: NasConfig | None = None,
    *,
    data: "ImageData | None" = None,
    workers: Workers | None = None,
    progress: ProgressSetting = "auto",
    watchers: Sequence[Watcher] = (),
) -> "Findings":
    """Searches for a baseline, as `scaling-search nas` does.

    Args:
        config: What is searched, by which strategy and reward.
        data: Images, as `from_arrays` makes them, instead of those that the config names.
        workers: Where trials run.
        progress: "auto" shows a bar in a notebook and a line on a terminal; None shows nothing.
        watchers: Told of every trial as it ends.

    Returns:
        What was found; `nas` is a frame with a row per architecture, the best first.

    Raises:
        UserError: Something given cannot be used; the message says what is allowed.

    Examples:
        >>> from scaling_search import NasConfig, nas, replay_config
        >>> config = replay_config("tables/fashion_mnist_search.parquet", NasConfig)
        >>> config = replace(config, trials=40, batch=4, finalists=1, seeds=3)
        >>> config = replace(config, family_options=("depth=0.33", "resolution=28"))
        >>> findings = nas(replace(config, name="searched"), progress=None)
        >>> len(findings.nas)
        40

    """
    config = config or NasConfig()
    return carry_out(config, partial(set_up, config, data), workers=workers, progress=progress, watchers=watchers)


def set_up(config: NasConfig, data: "ImageData | None" = None) -> Study:
    """The run of a search, checked before anything is trained."""
    from scaling_search.search.nas.search import search_plan
    from scaling_search.search.nas.search import set_up as set_up_search
    from scaling_search.search.nas.space import load_space, sizes
    from scaling_search.search.nas.strategy import make_strategy

    space = load_space(config.space)
    config, images = with_images(config, data)
    lab = set_up_search(space, config, images.num_classes, images.identity)
    lab.middle()
    make_strategy(config.strategy, sizes(space), config.seed)

    def course(directory: RunDirectory, named: str, progress: Progress) -> "Plan[None]":
        progress.note(
            f"{config.strategy} among {_large(prod(map(int, sizes(space))))} architectures of {config.space}, "
            f"{config.trials} to be trained on {images.name}, {images.training} training images; "
            f"records go to {directory.path}"
        )

        def on_news(found: "Search") -> None:
            directory.write_document(DOCUMENT, found.document())
            _announce(found, progress)

        latencies = KeptLatencies(directory)
        yield from at_rest(search_plan(replace(lab, data=named), latencies, on_news), latencies)

    return Study(config, images, course, given=("data",) if data is not None else ())


def with_baseline(config: RunConfig, run: str) -> RunConfig:
    """The config with the best architecture of a search as its family. Raises UserError where there is none yet.

    The config's own family options count as well, after those of the architecture.
    """
    best = (open_run(run).document(DOCUMENT) or {}).get("best")
    if best is None:
        raise UserError(
            f"{run} has found no baseline", "name the folder of a finished search", f"try scaling-search resume {run}"
        )
    return replace(config, family=best["family"], family_options=(*best["options"], *config.family_options))


def next_command(directory: RunDirectory) -> list[str]:
    """The command, in words, that scales the result of a search with the same images and recipe."""
    config = directory.config()
    own = RunConfig(data=config.data, split=config.split, recipe=config.recipe, name=f"{directory.path.name}-scaled")
    if _on_a_cliff(directory):
        # Rules of equal cost are not compared there; those that are rounded as in the paper are, with a note.
        own = replace(own, match="paper")
    name, *flags = command_of(own)
    return ["scaling-search", name, "--phi", "1", "--baseline", str(directory.path), *flags]


def _on_a_cliff(directory: RunDirectory) -> bool:
    """Whether the last feature map of the best architecture is too small to compare rules of equal cost on."""
    from scaling_search.family import load_family
    from scaling_search.input_side import last_map_side
    from scaling_search.rule import Scale
    from scaling_search.search.sides import SMALLEST_MAP

    best = (directory.document(DOCUMENT) or {}).get("best")
    if best is None:
        return False
    family = load_family(best["family"], tuple(best["options"]))
    # The number of classes changes no map.
    return last_map_side(family, Scale(), 10, family.resolution) < SMALLEST_MAP


def _large(count: int) -> str:
    return f"{count:,}" if count < 10**9 else f"{float(count):.1e}"


def _announce(found: "Search", progress: Progress) -> None:
    config = found.laboratory.config
    if not found.tried:
        unit = UNITS[config.metric]
        progress.note(f"reward: accuracy * ({unit} / {found.objective.target:,.4g}) ^ {found.objective.weight:g}")
    elif not found.finalists and found.ranking:
        best = found.ranking[0]
        progress.note(
            f"batch {found.tried[-1].batch}: {found.networks} trained, {found.rejected} rejected; best reward "
            f"{best.reward:.4f}, {100 * (best.accuracy or 0):.1f} % at {best.network.multiply_adds:,} multiply-adds: "
            f"{best.network.options[0]}"
        )
    done = found.networks >= config.trials
    progress.phase("finalists" if done else f"batch {found.tried[-1].batch + 1 if found.tried else 1}")
