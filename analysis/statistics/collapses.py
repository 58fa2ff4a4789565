"""Trainings that ended far below the others of their network: they failed to train, which no deviation describes."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

COLLAPSE = 0.05
"""A training that ends this far (accuracy, 0..1) below its network's others may have collapsed."""
_DEVIATIONS = 8


def collapsed(accuracies: Floats) -> Bools:
    """Which trainings ended far below the median of their network, by COLLAPSE and by what is usual in all.

    `accuracies` are (networks, trainings), 0..1, with NaN where there is none. Of a network with fewer than three
    trainings none is marked: of two that differ nothing says which is odd.
    """
    several = (~np.isnan(accuracies)).sum(1) > 2
    marked = np.zeros(accuracies.shape, bool)
    if several.any():
        below = np.nanmedian(accuracies[several], axis=1)[:, None] - accuracies[several]
        usual = 1.4826 * float(np.nanmedian(np.abs(below)))
        marked[several] = below > max(COLLAPSE, _DEVIATIONS * usual)
    return marked


def without_collapsed(trials: "pd.DataFrame") -> "pd.DataFrame":
    """`trials`, each with a `fingerprint` and one of `val_accuracy` and `fresh_accuracy`, without those that collapsed.

    A network's fresh seeds are judged together with the others.
    """
    accuracy = trials["val_accuracy"].fillna(trials["fresh_accuracy"]).to_numpy(np.float64)
    known = np.flatnonzero(~np.isnan(accuracy))
    names = trials["fingerprint"].iloc[known]
    network, place = names.factorize()[0], names.groupby(names).cumcount().to_numpy()
    accuracies = np.full((network.max(initial=-1) + 1, place.max(initial=-1) + 1), np.nan)
    accuracies[network, place] = accuracy[known]
    kept = np.ones(len(trials), bool)
    kept[known] = ~collapsed(accuracies)[network, place]
    return trials[kept]
