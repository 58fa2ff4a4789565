"""Networks by their scale factors: those scaled in one dimension alone, and those scaled in all three."""

from typing import TYPE_CHECKING

import numpy as np

from scaling_search.analysis.statistics.given import accuracies, column
from scaling_search.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

DIMENSIONS = ("depth", "width", "resolution")
NEEDED = (*DIMENSIONS, "multiply_adds", "val_accuracy")
"""Columns of a frame of networks by their scale factors."""


def measured(trials: "pd.DataFrame") -> "pd.DataFrame":
    """The rows that have an accuracy and scale factors.

    Raises:
        UserError: a column of NEEDED is missing, is there twice, does not hold numbers, or holds infinite or impossible
            ones.

    """
    for name in NEEDED:
        values = column(trials, name)
        wrong = values[~np.isnan(values) & ~((values > 0) & np.isfinite(values))]
        if name == "val_accuracy":
            accuracies(values, name)
        elif len(wrong):
            raise UserError(f"{name} {wrong[0]:g} given", "it must be a finite number above 0")
    return trials[trials[list(NEEDED)].notna().all(axis=1)]


def alone(networks: "pd.DataFrame", dimension: str) -> "pd.DataFrame":
    """The networks whose other two factors are 1, the baseline among them, by the rising factor of `dimension`."""
    others = [name for name in DIMENSIONS if name != dimension]
    curve = networks[((networks[others] - 1).abs() < 1e-9).all(axis=1)]
    return curve.sort_values(dimension, kind="stable")


def compounds(networks: "pd.DataFrame") -> "pd.DataFrame":
    """The networks whose three factors are all above 1."""
    return networks[(networks[list(DIMENSIONS)] > 1 + 1e-9).all(axis=1)]
