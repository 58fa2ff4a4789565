"""`nas`, what it finds as the baseline of `run`, and `latency`."""

import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from scaling_search.cli import BEGAN
from scaling_search.cli.execution import execute, open_images
from scaling_search.cli.flags import flags_of
from scaling_search.cli.show import print_results, print_rows, write_outputs
from scaling_search.cli.timings import Timings
from scaling_search.config import NasConfig, RunConfig, Workers, nas_config_from_dict, to_dict
from scaling_search.errors import UserError
from scaling_search.recorded import open_trials
from scaling_search.runners.display import display_for
from scaling_search.runners.progress import Progress
from scaling_search.store import RunDirectory, differences, open_run, start_run

if TYPE_CHECKING:
    from scaling_search.cli.commands import Latency
    from scaling_search.search.nas.search import Search
    from scaling_search.search.plan import Plan
    from scaling_search.trial import Network

NAME, LATENCIES = "nas", "latencies"
"""Documents of a search: what it tried, and what its networks take, by their fingerprints."""
UNITS = {"flops": "multiply-adds", "params": "parameters", "memory": "bytes", "latency": "ms"}


def search(config: NasConfig, workers: Workers, format: str, *, timings: bool) -> None:
    """Searches, writes and prints what was found, and says how to scale it."""
    from scaling_search.search.nas.search import search_plan, set_up
    from scaling_search.search.nas.space import load_space, sizes
    from scaling_search.search.nas.strategy import make_strategy

    space = load_space(config.space)
    images = open_images(config)
    lab = set_up(space, config, images.num_classes, images.identity)
    lab.middle()
    make_strategy(config.strategy, sizes(space), config.seed)
    reused = [open_trials(path) for path in config.reuse]
    directory = start_run(lab.config, images.identity, workers)
    _check_same(directory, config)
    times = Timings(BEGAN)

    with directory.locked():
        with display_for("auto") as display:
            display.note(
                f"{config.strategy} among {_count(sizes(space))} architectures of {config.space}, {config.trials} to "
                f"be trained on {images.name}, {images.training} training images; records go to {directory.path}"
            )

            def on_news(found: "Search") -> None:
                directory.write_document(NAME, found.document())
                _announce(found, display)

            def plan() -> "Plan[None]":
                yield from search_plan(lab, _measuring(directory), on_news)

            execute(plan(), images, directory, reused=reused, workers=workers, display=display, times=times)
        results, files = write_outputs(directory)
    print_results(results, files, format)
    _say_what_next(directory, config)
    if timings:
        times.show()


def go_on(directory: RunDirectory, workers: Workers, format: str, *, timings: bool) -> None:
    """Goes on with a search where it stopped, in the folder where it lies now."""
    here = directory.path.resolve()
    config = replace(_stored(directory), runs=str(here.parent), name=here.name)
    search(config, workers, format, timings=timings)


def with_baseline(config: RunConfig, run: str) -> RunConfig:
    """The config with the best architecture of a search as its family. Raises UserError where there is none yet.

    Options of the config's own count as well, after those of the architecture.
    """
    best = (open_run(run).document(NAME) or {}).get("best")
    if best is None:
        raise UserError(
            f"{run} has found no baseline", "it is the folder of a finished search", f"try scaling-search resume {run}"
        )
    return replace(config, family=best["family"], family_options=(*best["options"], *config.family_options))


def print_latencies(options: "Latency") -> None:
    """Prints what networks take beside what a table of their layers predicts."""
    from scaling_search.training.environment import training_environment

    # Before JAX starts, which reads these: as in a process that trains.
    os.environ.update(training_environment())
    import numpy as np
    from scipy import stats

    from scaling_search.search.nas.latency import random_latencies
    from scaling_search.search.nas.space import load_space

    if options.networks < 1:
        raise UserError(f"networks {options.networks} given", "it must be at least 1", "try --networks 10")
    began = time.monotonic()
    rows = random_latencies(
        load_space(options.space), options.family_options, options.num_classes, options.networks, options.seed
    )
    print_rows(rows, options.format)
    errors = np.abs([row["error"] for row in rows])
    words = f"error: median {np.median(errors):.0%}, largest {errors.max():.0%}"
    if len(rows) > 2:
        ranks = stats.spearmanr([row["predicted_ms"] for row in rows], [row["measured_ms"] for row in rows])
        words += f"; rank correlation {ranks.statistic:.2f}"
    print(f"{words}; {time.monotonic() - began:.0f} s", file=sys.stderr)


def _count(sizes: Sequence[int]) -> str:
    total = 1
    for size in sizes:
        total *= size
    return f"{total:,}" if total < 10**9 else f"{float(total):.1e}"


def _stored(directory: RunDirectory) -> NasConfig:
    try:
        return nas_config_from_dict((directory.document(NAME) or {})["config"])
    except KeyError:
        raise UserError(f"{directory.path / NAME}.json cannot be understood: it has no config") from None


def _check_same(directory: RunDirectory, config: NasConfig) -> None:
    """Raises UserError where the directory is another search's, or no search's."""
    others = [name for name in ("step1", "step2", "sweep") if directory.document(name) is not None]
    changes = []
    if directory.document(NAME) is not None:
        changes = differences(_stored(directory).what_it_computes(), config.what_it_computes())
    if others or changes:
        what = f"with another config: {'; '.join(changes)}" if changes else f"and is of another kind: {others[0]}.json"
        raise UserError(f"{directory.path} exists {what}", hint="give another --name")


def _measuring(directory: RunDirectory) -> Callable[[Sequence["Network"]], list[float]]:
    """Latencies in milliseconds, which the run keeps: measured again, they would be others."""

    def measure(networks: Sequence["Network"]) -> list[float]:
        from scaling_search.search.nas.latency import measure_apart

        known: dict[str, Any] = directory.document(LATENCIES) or {}
        new = [network for network in networks if network.fingerprint not in known]
        if new:
            for network, latency in zip(new, measure_apart(new), strict=True):
                known[network.fingerprint] = to_dict(latency)
            directory.write_document(LATENCIES, known)
        return [known[network.fingerprint]["median"] for network in networks]

    return measure


def _announce(found: "Search", display: Progress) -> None:
    if not found.tried:
        unit = UNITS[found.laboratory.nas.metric]
        display.note(f"reward: accuracy * ({unit} / {found.objective.target:,.4g}) ^ {found.objective.weight:g}")
    elif not found.finalists and found.ranking:
        best = found.ranking[0]
        display.note(
            f"batch {found.tried[-1].batch}: {found.networks} trained, {found.rejected} rejected; best reward "
            f"{best.reward:.4f}, {100 * (best.accuracy or 0):.1f} % at {best.network.multiply_adds:,} multiply-adds: "
            f"{best.network.options[0]}"
        )
    done = found.networks >= found.laboratory.nas.trials
    display.phase("finalists" if done else f"batch {found.tried[-1].batch + 1 if found.tried else 1}")


def _say_what_next(directory: RunDirectory, config: NasConfig) -> None:
    best = (directory.document(NAME) or {})["best"]
    # Trained on other images or otherwise, rules would be compared by another yardstick than architectures were.
    shared = {name: value for name, value in to_dict(config).items() if name in ("data", "split", "recipe")}
    words = ["run", "--phi", "1", "--baseline", str(directory.path), "--name", f"{directory.path.name}-scaled"]
    words += flags_of(shared, to_dict(RunConfig()))
    print(
        f"best architecture: {' '.join(best['options'])}\nscale it: scaling-search {shlex.join(words)}", file=sys.stderr
    )
