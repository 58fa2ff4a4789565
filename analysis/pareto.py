"""The Pareto frontier: the networks that no other network beats at the same cost or less."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scaling_search.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


def frontier(frame: "pd.DataFrame", x: str = "multiply_adds", y: str = "val_accuracy") -> "pd.DataFrame":
    """The rows of `frame` for which no row has both `x` at most as large and `y` at least as large, one of them truly.

    Smaller `x` and larger `y` are better. Rows keep their index and come sorted by `x`; equal rows stay together, and
    a row without `x` or `y` is left out. O(n log n). Raises UserError where a column is missing.

    >>> frontier(load_run("runs/digits").trials, x="multiply_adds", y="val_accuracy")
    """
    for column in (x, y):
        if column not in frame.columns:
            raise UserError(f"no column {column!r} to draw a frontier by", f"the frame has {', '.join(frame.columns)}")
    costs = frame[x].to_numpy(np.float64, na_value=np.nan)
    gains = frame[y].to_numpy(np.float64, na_value=np.nan)
    rows = np.flatnonzero(~(np.isnan(costs) | np.isnan(gains)))
    rows = rows[np.lexsort((-gains[rows], costs[rows]))]
    best: pd.DataFrame = frame.iloc[rows[_undominated(costs[rows], gains[rows])]]
    return best


def _undominated(costs: NDArray[np.float64], gains: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of the points, sorted by rising cost and, at equal cost, falling gain, no other one dominates."""
    if len(costs) == 0:
        return np.zeros(0, bool)
    starts = np.flatnonzero(np.r_[True, np.diff(costs) > 0])
    group = np.repeat(starts, np.diff(np.r_[starts, len(costs)]))
    best_at_this_cost = gains[group]
    best_so_far = np.maximum.accumulate(gains)
    best_cheaper = np.where(group > 0, best_so_far[group - 1], -np.inf)
    return np.asarray((gains == best_at_this_cost) & ((group == 0) | (gains > best_cheaper)))
