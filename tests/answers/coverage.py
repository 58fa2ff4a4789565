"""How often 95 % intervals hold the truth, in scenes where it is known."""

from functools import cache
from unittest.mock import patch

import numpy as np
import pandas as pd

from scaling_search.analysis.findings.confirmed import confirm, confirm_all
from scaling_search.analysis.findings.gains import gains
from scaling_search.analysis.statistics import law
from scaling_search.analysis.statistics.collapses import without_collapsed
from scaling_search.analysis.statistics.hold_outs import calibrated_law
from scaling_search.analysis.statistics.law import fit_law
from scaling_search.analysis.statistics.means import seed_means
from tests.answers.scenes import error_of, scattered, sizes_of_a_run, trials_of

BEYOND = np.array([1.0, 2.0, 4.0, 10.8])
"""Sizes that a law predicts, relative to the largest network that it is fitted to."""
NEW = 50
"""Networks of each of these sizes that are held against a law."""


def covered(table, truth):
    """Whether each interval holds the truth."""
    return ((table["low"] <= truth) & (truth <= table["high"])).to_numpy()


@cache
def networks_covered(scene, runs, seed=3):
    """Whether the interval of each network holds its true mean and whether a note says that some of its trainings
    collapsed, (runs, networks) both.
    """
    random, hits, warned = np.random.default_rng(seed), [], []
    for _ in range(runs):
        means = seed_means(trials_of(scene.draw(random)))
        hits.append(covered(means.table, scene.truth))
        warned.append(means.table["collapsed"].to_numpy() > 0)
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


def gains_covered(scene, runs, seed=7):
    """Whether the intervals of two gains hold the true ones, (runs, 2), and how wide they are, (runs, 2).

    That of the network with the best mean, by fresh seeds, over the worst, by all its seeds; and that of the truly best
    network, by the seeds that all have, over the former.
    """
    random, hits, widths = np.random.default_rng(seed), [], []
    worst, last = int(scene.truth.argmin()), int(scene.truth.argmax())
    for _ in range(runs):
        selecting, fresh = scene.draw(random), scene.draw(random)
        trials = trials_of(selecting)
        means = seed_means(trials)
        names = means.table.index.to_numpy()
        best = max(set(range(len(scene.means))) - {worst, last}, key=lambda network: selecting[network].mean())
        trials = pd.concat([trials, trials_of(fresh).rename(columns={"val_accuracy": "fresh_accuracy"})])
        found = confirm_all(trials[trials["fingerprint"].isin(names[[worst, best]])], [names[best]], [names[worst]])
        chosen = [worst, best, last]
        table = means.table.loc[names[chosen]].reset_index().assign(coefficients="found", source="measured")
        table.loc[[0, 1], "val_accuracy"] = [found[names[network]].val_accuracy for network in (worst, best)]
        gained = gains(table, means, found, 0.95).loc[1:]
        true = np.diff(scene.truth[chosen])
        hits.append((gained["gain_low"] <= true) & (true <= gained["gain_high"]))
        widths.append(gained["gain_high"] - gained["gain_low"])
    return np.array(hits), np.array(widths)


def trained(accuracy, random, scatter, seeds=3, collapse=0.0):
    """Trainings of networks, (networks, seeds), that scatter on the logit scale; some end 15 points lower."""
    found = scattered(1 - np.repeat(accuracy[:, None], seeds, axis=1), scatter, random)
    return np.clip(found - 0.15 * (random.random(found.shape) < collapse), 0.0, 1.0)


def laws_covered(truth, runs, scatter=0.1, seed=5, collapse=None):
    """How many of NEW networks at BEYOND intervals hold, (runs, sizes), and their widths, in runs that predict at all.

    With `collapse`, networks are means of three seeds that scatter too, and so many trainings collapse, which are left
    out as in STEP 2.
    """
    random, hits, widths = np.random.default_rng(seed), [], []
    for _ in range(runs):
        x = sizes_of_a_run(random)
        accuracy = scattered(error_of(x, *truth), scatter, random)
        new = scattered(error_of(np.tile(x.max() * BEYOND, NEW), *truth), scatter, random)
        if collapse is not None:
            trials = trials_of(trained(accuracy, random, scatter, collapse=collapse)).assign(fresh_accuracy=np.nan)
            accuracy = seed_means(without_collapsed(trials)).table["val_accuracy"].to_numpy()
            new = trained(new, random, scatter).mean(1)
        found = calibrated_law(x, accuracy)
        if not found.doubt:
            predicted = found.predict(x.max() * BEYOND)
            low, high = predicted["low"].to_numpy(), predicted["high"].to_numpy()
            new = new.reshape(NEW, -1)
            hits.append(((low <= new) & (new <= high)).mean(0))
            widths.append(high - low)
    return np.array(hits), np.array(widths)


def doubted(runs, rise=0.15, scatter=0.1, seed=6):
    """Share of runs, in which error rises with size, that predict nothing and say why."""
    random, doubts = np.random.default_rng(seed), []
    for _ in range(runs):
        x = sizes_of_a_run(random)
        accuracy = scattered(0.06 * (x / x.max()) ** rise, scatter, random)
        # A doubt is one of the fit, before anything is drawn from it.
        with patch.object(law, "draw_laws", lambda form, best, *_: (best[None], np.ones(1))):
            doubts.append(fit_law(x, accuracy, draws=1).doubt != "")
    return float(np.mean(doubts))
