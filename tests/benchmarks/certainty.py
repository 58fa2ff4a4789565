"""Simulates STEP 1 in rounds: how many trainings it saves, and how often it is right when it says it is sure.

    python -m tests.benchmarks.certainty                 every scene; half an hour on one core
    python -m tests.benchmarks.certainty measured ties   some of them
    python -m tests.benchmarks.certainty --searches 5    a few simulated searches of each, to see that it works

Trainings are drawn from normal distributions with each network's true mean and deviation; everything else is done as in
a run. A pick is good if its true accuracy is within half a point of the best's.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from scaling_search.analysis.statistics.allocation import Evidence, certainty, next_trainings
from scaling_search.analysis.statistics.deviations import borrowed_deviations
from scaling_search.search.rounds import ROUND

Floats = NDArray[np.float64]
Scene = Callable[[np.random.Generator], tuple[Floats, Floats]]
"""Draws the true means and deviations of networks."""

WITHIN = 0.005
TABLE = "tables/fashion_mnist.parquet"
AHEAD = np.r_[
    *(0.9508, 0.9408, 0.9397, 0.9382, 0.9379, 0.9348, 0.9336, 0.9323, 0.93, 0.928),
    *(0.915, 0.905, 0.904, 0.89, 0.733),
]
"""A grid of 15 networks as it was measured on digits, but that the best is a point ahead."""
SCATTER = np.r_[np.full(10, 0.0125), 0.03, 0.015, 0.015, 0.05, 0.05]


@cache
def _of_table() -> tuple[Floats, Floats]:
    """Means and deviations of all networks of the recorded table."""
    from scaling_search.analysis.frames import load_run
    from scaling_search.analysis.statistics.means import seed_means

    means = seed_means(load_run(TABLE).trials)
    return means.table["val_accuracy"].to_numpy(np.float64), np.sqrt(means.variances)


SCENES: dict[str, Scene] = {
    "measured": lambda random: (AHEAD, SCATTER),
    "table": lambda random: _of_table(),
    "ties": lambda random: (0.94 + 0.004 * random.standard_normal(30), np.full(30, 0.01)),
    "unlike": lambda random: (
        0.94 + 0.005 * random.standard_normal(20),
        0.008 * np.exp(random.normal(0, 0.6, 20)),
    ),
    "noisy best": lambda random: (np.r_[0.95, np.full(14, 0.9445)], np.r_[0.03, np.full(14, 0.008)]),
    "just missed": lambda random: (np.r_[0.95, np.full(14, 0.9445)], np.full(15, 0.01)),
    "few": lambda random: (np.array([0.95, 0.944, 0.944, 0.942]), np.array([0.01, 0.01, 0.004, 0.02])),
}


@dataclass(frozen=True)
class Searched:
    """One simulated STEP 1."""

    pick: int
    trainings: int
    picks: dict[int, int]
    """What would have been picked after so many trainings."""


def searched(
    random: np.random.Generator,
    means: Floats,
    deviations: Floats,
    *,
    asked: float = 0.9,
    spent: int = 3000,
    seeds: int = 2,
    size: int = ROUND,
    looks: Sequence[int] = (),
) -> Searched:
    """Simulates trainings in rounds until it is as sure as `asked` or so many are `spent`."""
    every, counts = np.arange(len(means)), np.full(len(means), seeds)
    values = deviations * random.standard_normal((1000, len(means)))
    sums, squares = values.cumsum(0), (values**2).cumsum(0)
    picks: dict[int, int] = {}
    while True:
        off = sums[counts - 1, every] / counts
        own = (squares[counts - 1, every] - counts * off**2) / (counts - 1)
        variances, dfs = borrowed_deviations(means + off, np.maximum(own, 1e-9), counts - 1.0).one_each()
        known = Evidence(means + off, variances, dfs, counts, seeds)
        picks |= {look: known.best for look in looks if look not in picks and counts.sum() >= look}
        left = spent - int(counts.sum())
        if left <= 0 or certainty(known, known.best, WITHIN) >= asked:
            return Searched(known.best, int(counts.sum()), picks)
        counts = counts + next_trainings(known, WITHIN, min(size, left), np.ones(len(means), bool))


def good(means: Floats, pick: int) -> bool:
    """Whether a pick is within half a point of the best."""
    return bool(means[pick] >= means.max() - WITHIN)


def equal_chance(random: np.random.Generator, scene: Scene, trainings: int, draws: int = 4000) -> float:
    """How often the most accurate is good where every network has the same share of the trainings."""
    right = 0
    # Few draws of each of many truths, where these are drawn too.
    for _ in range(400):
        means, deviations = scene(random)
        error = deviations / np.sqrt(trainings / len(means))
        found = (means + error * random.standard_normal((draws // 400, len(means)))).argmax(1)
        right += int((means[found] >= means.max() - WITHIN).sum())
    return right / draws


def equal_trainings(random: np.random.Generator, scene: Scene, chance: float, least: int) -> int:
    """How many trainings, shared equally, give this chance of a good pick."""
    trainings = least
    while equal_chance(random, scene, trainings) < chance and trainings < 20_000:
        trainings = int(1.03 * trainings) + 1
    return trainings


def main() -> None:
    """Simulates the scenes asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.certainty", description=__doc__.splitlines()[0])
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help=f"some of {', '.join(SCENES)}; all by default")
    parser.add_argument("--searches", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=2, help="of the first round")
    options = parser.parse_args()
    for name in options.scenes or SCENES:
        scene, random = SCENES[name], np.random.default_rng(0)
        networks = len(scene(random)[0])
        looks = [networks * seeds for seeds in (4, 6, 8)]
        found = []
        for _ in range(options.searches):
            means, deviations = scene(random)
            one = searched(random, means, deviations, seeds=options.seeds, looks=looks)
            picks = [good(means, one.picks.get(look, one.pick)) for look in looks]
            found.append((good(means, one.pick), one.trainings, *picks))
        right, trainings, *by_look = np.mean(found, axis=0)
        error = np.sqrt(right * (1 - right) / options.searches)
        print(f"{name}: {networks} networks")
        print(f"  90 % sure after {trainings:.0f} trainings, right {right:.3f} +- {error:.3f}", end="")
        print(f"; shared equally as often right by {equal_trainings(random, scene, min(right, 0.995), networks)}")
        for look, chance in zip(looks, by_look, strict=True):
            same = equal_trainings(random, scene, min(chance, 0.995), networks)
            equal = equal_chance(random, scene, look)
            print(f"  {look} trainings: right {chance:.3f}, shared equally {equal:.3f}; as often by {same}", flush=True)


if __name__ == "__main__":
    main()
