"""How often the region of STEP 1 holds the optimum: `python -m tests.answers.regions [repeats]`.

Networks of the default grid and its two other rivals, judged in made scenes by the code that judges a run. Of each
scene: how often the region holds the optimum, how much of the triangle it covers on average, and what the pick loses
to the best network of the grid, in points: the representative rule, the network nearest to the highest place of the
surface, that nearest to the middle of the region, and the best measured.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from scaling_search.analysis.findings.region import SHARES, region_of, representative
from scaling_search.analysis.statistics import surface
from scaling_search.analysis.statistics.means import seed_means

INSIDE, EDGE = (0.25, 0.35, 0.4), (0.0, 0.4, 0.6)


def lattice(divisions):
    """The shares of a grid."""
    steps = range(divisions + 1)
    return np.array([(i, j, divisions - i - j) for i in steps for j in steps if i + j <= divisions]) / divisions


USUAL = np.concatenate([lattice(3), [[0.263, 0.275, 0.462], [0.1, 0.8, 0.1]]])
"""The default grid, the paper's rule and dWr."""


@dataclass(frozen=True)
class Scene:
    """Networks and what is true of them; accuracies and deviations in points."""

    truth: Callable[[np.ndarray], np.ndarray]
    shares: np.ndarray = field(default_factory=lambda: USUAL)
    grid: int = 10
    """How many of them are of the grid, the first ones."""
    seeds: int = 3
    deviation: float = 1.0
    """Of a network's own trainings. Seeds have an effect of 1 point on all alike."""
    unlike: float = 0.0
    """Standard deviation of the logarithm of networks' deviations."""
    misfit: float = 0.0
    """Standard deviation of networks about `truth`."""


def bowl(peak, curvature=12.0):
    """Falls with the square of the distance from `peak`."""
    return lambda shares: 85 - curvature * ((shares - np.array(peak)) ** 2).sum(-1)


def in_logits(shares):
    """As a bowl, on the logit scale: from 64 to 90 %."""
    return 100 / (1 + np.exp(-(np.log(9) - 1.7 * ((shares - np.array(INSIDE)) ** 2).sum(-1))))


def corner(shares):
    """Rises towards resolution alone."""
    return 80 + 4 * shares[..., 2]


def flat(shares):
    """The same everywhere."""
    return np.full(shares.shape[:-1], 85.0)


_FEW = {"shares": USUAL[[0, 1, 3, 5, 6, 8, 9, 10]], "grid": 7}
SCENES = {
    "inside": Scene(bowl(INSIDE)),
    "inside, sharp": Scene(bowl(INSIDE, 40)),
    "on an edge": Scene(bowl(EDGE)),
    "at a corner": Scene(corner),
    "flat": Scene(flat),
    "inside, two seeds": Scene(bowl(INSIDE), seeds=2),
    "inside, unlike deviations": Scene(bowl(INSIDE), unlike=0.7),
    "flat, unlike deviations": Scene(flat, unlike=0.7),
    "inside, networks off it by 1 point": Scene(bowl(INSIDE), misfit=1.0),
    "flat, networks off it by 1 point": Scene(flat, misfit=1.0),
    "inside, quadratic in logits": Scene(in_logits),
    "inside, 8 networks": Scene(bowl(INSIDE), **_FEW),
    "flat, 8 networks": Scene(flat, **_FEW),
    "inside, seeds scatter by 4.5 points": Scene(bowl(INSIDE), deviation=4.5),
    "the same, six seeds": Scene(bowl(INSIDE), deviation=4.5, seeds=6),
    "the same, networks off it by 3.4 points": Scene(bowl(INSIDE), deviation=4.5, seeds=6, misfit=3.4),
    "as the default run: three seeds": Scene(bowl(INSIDE), deviation=4.5, misfit=3.4),
    "inside, 21 networks": Scene(bowl(INSIDE), shares=lattice(5), grid=21),
}


def simulate(scene, repeats, random):
    """How often the region holds the optimum, how much it covers, and what each pick loses."""
    names = [f"{index:02}" for index in range(len(scene.shares))]
    exponents = dict(zip(("alpha", "beta", "gamma"), (scene.shares / [1, 2, 2]).T, strict=True))
    networks = pd.DataFrame(scene.shares, columns=list(SHARES)).assign(fingerprint=names, realised_cost=2.0)
    networks = networks.assign(**{name: 2**exponent for name, exponent in exponents.items()})
    grid, true = networks[: scene.grid], scene.truth(scene.shares)
    size, rows = len(names), []
    for _ in range(repeats):
        own = scene.deviation * np.exp(scene.unlike * random.standard_normal(size) - scene.unlike**2 / 2)
        trained = true + scene.misfit * random.standard_normal(size) + random.standard_normal((scene.seeds, 1))
        trained = trained + own * random.standard_normal((scene.seeds, size))
        seeds = np.repeat(range(scene.seeds), size)
        trials = {"fingerprint": names * scene.seeds, "seed": seeds, "val_accuracy": trained.ravel() / 100}
        means = seed_means(pd.DataFrame(trials).assign(val_accuracy=lambda all_: all_["val_accuracy"].clip(0, 1)))
        fit = region_of(networks, means, 0.95)
        heights, inside = scene.truth(fit.places), fit.places[fit.region]
        # Where all places are equally good, one of them stands for the truth.
        optimum = heights.argmax() if np.ptp(heights) else random.integers(len(heights))
        nearest = [
            ((grid[list(SHARES)] - np.array(at)) ** 2).sum(axis=1).idxmin() for at in (fit.optimum, inside.mean(0))
        ]
        best = means.table["val_accuracy"].to_numpy()[: scene.grid].argmax()
        picks = (representative(grid, fit), *nearest, best)
        rows.append([fit.region[optimum], fit.covered, *(true[: scene.grid].max() - true[pick] for pick in picks)])
    return np.mean(rows, axis=0)


def main(repeats=200):
    """Prints the table of docs/region.md."""
    surface.DIVISIONS = 10  # Tenths in place of twentieths, for speed.
    print("| optimum | held | covered | representative | highest | middle | best measured |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, scene in SCENES.items():
        held, covered, *losses = simulate(scene, repeats, np.random.default_rng(0))
        picks = " | ".join(f"{loss:.2f}" for loss in losses)
        print(f"| {name} | {100 * held:.1f} % | {100 * covered:.0f} % | {picks} |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
