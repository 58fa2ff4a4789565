"""How often 95 % intervals hold the truth, in scenes where it is known."""

import numpy as np
import pandas as pd

from scaling_search.analysis.findings.confirmed import confirm
from scaling_search.analysis.statistics.hold_outs import calibrated_law
from scaling_search.analysis.statistics.law import fit_law
from scaling_search.analysis.statistics.means import seed_means
from tests.answers.scenes import error_of, scattered, sizes_of_a_run, trials_of

BEYOND = np.array([1.0, 2.0, 4.0, 10.8])
"""Sizes that a law predicts, relative to the largest network that it is fitted to."""


def covered(table, truth):
    """Whether each interval holds the truth."""
    return ((table["low"] <= truth) & (truth <= table["high"])).to_numpy()


def networks_covered(scene, runs, seed=3):
    """Whether the interval of each network holds its true mean, (runs, networks), and whether the run warns."""
    random, hits, warned = np.random.default_rng(seed), [], []
    for _ in range(runs):
        means = seed_means(trials_of(scene.draw(random)))
        hits.append(covered(means.table, scene.truth))
        warned.append(means.collapsed > 0)
    return np.array(hits), np.array(warned)


def winners_covered(scene, runs, seed=4):
    """Of the network with the best mean: whether its interval by fresh seeds holds its true mean, (runs,).

    And by how much the mean of the selecting and of the fresh seeds exceeds it, (runs, 2).
    """
    random, hits, excess = np.random.default_rng(seed), [], []
    for _ in range(runs):
        selecting, fresh = scene.draw(random), scene.draw(random)
        best = int(selecting.mean(1).argmax())
        accuracy = np.r_[selecting[best], fresh[best]]
        is_fresh = np.arange(len(accuracy)) >= scene.seeds
        columns = {"val_accuracy": ~is_fresh, "fresh_accuracy": is_fresh}
        frame = pd.DataFrame({name: np.where(mine, accuracy, np.nan) for name, mine in columns.items()})
        found = confirm(frame.assign(fingerprint="best"), "best")
        hits.append(found.low <= scene.truth[best] <= found.high)
        excess.append([found.selected_at - scene.truth[best], found.val_accuracy - scene.truth[best]])
    return np.array(hits), np.array(excess)


def laws_covered(law, runs, scatter=0.1, seed=5):
    """Whether intervals hold new networks at BEYOND, (runs, sizes), and their widths, in runs that predict at all."""
    random, hits, widths = np.random.default_rng(seed), [], []
    for _ in range(runs):
        x = sizes_of_a_run(random)
        found = calibrated_law(x, scattered(error_of(x, *law), scatter, random))
        if not found.doubt:
            predicted = found.predict(x.max() * BEYOND)
            hits.append(covered(predicted, scattered(error_of(x.max() * BEYOND, *law), scatter, random)))
            widths.append(predicted["high"] - predicted["low"])
    return np.array(hits), np.array(widths)


def doubted(runs, rise=0.15, scatter=0.1, seed=6):
    """Share of runs, in which error rises with size, that predict nothing and say why."""
    random, doubts = np.random.default_rng(seed), []
    for _ in range(runs):
        x = sizes_of_a_run(random)
        doubts.append(fit_law(x, scattered(0.06 * (x / x.max()) ** rise, scatter, random), draws=1).doubt != "")
    return float(np.mean(doubts))
