"""The Pareto frontier, in two objectives or more, and the distribution of error over a population of networks."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from scaling_search.analysis.statistics.given import accuracies, column
from scaling_search.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Objectives = Mapping[str, Literal["min", "max"]]

COST_AND_ACCURACY: Objectives = {"multiply_adds": "min", "val_accuracy": "max"}
"""The default objectives."""


def frontier(frame: "pd.DataFrame", x: str = "multiply_adds", y: str = "val_accuracy") -> "pd.DataFrame":
    """The Pareto frontier of `frame`, one network a row: least `x`, largest `y`.

    As `nondominated` with these two objectives. A million rows take under a second.

    Raises:
        UserError: `x` and `y` are the same column, or as `nondominated`.

    >>> frontier(load_run("runs/digits").trials, x="multiply_adds", y="val_accuracy")

    """
    if x == y:
        raise UserError(f"{x!r} given as both x and y", "they must be two columns")
    return _best(frame, {x: "min", y: "max"})


def nondominated(frame: "pd.DataFrame", objectives: Objectives = COST_AND_ACCURACY) -> "pd.DataFrame":
    """The rows of `frame` that no other row dominates, being at least as good in every objective and better in one.

    `objectives` maps columns to directions. Rows keep their index and are sorted by the first objective, then the
    next; equal rows are all kept. Rows whose objectives are missing or infinite are left out with a warning that
    counts them. Two objectives take O(n log n), more take O(n * size of the frontier).

    Raises:
        UserError: a column is missing, is there twice or does not hold numbers, or a direction is unknown.

    >>> nondominated(table2(), {"parameters": "min", "multiply_adds": "min", "val_accuracy": "max"})

    """
    return _best(frame, objectives)


def error_distribution(frame: "pd.DataFrame", y: str = "val_accuracy") -> "pd.DataFrame":
    """The empirical distribution of error over a population of networks, one a row ("Designing Network Design Spaces",
    Radosavovic et al. 2020, equation 1).

    Columns: `error` (1 - y, unique and rising) and `share` of the networks, 0..1, with at most that error. The paper
    counts networks strictly below an error; the two differ only at the steps. Rows without `y` are left out with a
    warning.

    Raises:
        UserError: the column is missing, is there twice, or does not hold accuracies from 0 to 1.

    """
    import pandas as pd

    accuracies(column(frame, y), y)
    losses, _ = _losses(frame, {y: "max"})
    error, counts = np.unique(1 + losses[:, 0], return_counts=True)
    return pd.DataFrame({"error": error, "share": np.cumsum(counts) / max(len(losses), 1)})


def _best(frame: "pd.DataFrame", objectives: Objectives) -> "pd.DataFrame":
    losses, rows = _losses(frame, objectives, stacklevel=4)
    kept = np.flatnonzero(_undominated(losses))
    kept = kept[np.lexsort(losses[kept].T[::-1])]
    best: pd.DataFrame = frame.iloc[rows[kept]]
    return best


def _losses(frame: "pd.DataFrame", objectives: Objectives, stacklevel: int = 3) -> tuple[Floats, NDArray[np.intp]]:
    """The objectives, less being better in each, of the rows that have them all, and the places of these rows."""
    for name, direction in objectives.items():
        if direction not in ("min", "max"):
            raise UserError(f"direction {direction!r} given for {name}", 'it must be "min" or "max"')
    if not objectives:
        raise UserError("no objective given", hint='try {"multiply_adds": "min", "val_accuracy": "max"}')
    # One contiguous piece a column: with a million rows that halves the time.
    values = np.stack([column(frame, name) for name in objectives]).T
    known = np.isfinite(values).all(1)
    if not known.all():
        warnings.warn(
            f"left out {np.sum(~known)} of {len(frame)} rows without a finite {' and '.join(objectives)}",
            stacklevel=stacklevel,
        )
    return values[known] * _signs(objectives), np.flatnonzero(known)


def _signs(objectives: Objectives) -> Floats:
    return np.array([1.0 if direction == "min" else -1.0 for direction in objectives.values()])


def _undominated(losses: Floats) -> Bools:
    """Which of the points, (n, objectives) with less being better, no other one dominates."""
    if len(losses) == 0:
        return np.zeros(0, bool)
    if losses.shape[1] == 1:
        return np.asarray(losses[:, 0] == losses[:, 0].min())
    return _undominated_pairs(losses) if losses.shape[1] == 2 else _undominated_many(losses)


def _undominated_pairs(losses: Floats) -> Bools:
    order = np.argsort(losses[:, 0])
    first, second = losses[order].T
    begins = np.r_[True, first[1:] > first[:-1]]
    step = np.cumsum(begins) - 1
    lowest = np.minimum.reduceat(second, np.flatnonzero(begins))
    better = lowest < np.r_[np.inf, np.minimum.accumulate(lowest)[:-1]]
    better[0] = True
    kept = np.zeros(len(losses), bool)
    kept[order] = better[step] & (second == lowest[step])
    return kept


def _undominated_many(losses: Floats) -> Bools:
    # Who dominates has a smaller sum of ranks, so the first point left is never dominated by a later one. Ranks are
    # whole numbers: their sums, unlike those of the losses, are exact.
    ranks = np.stack([np.unique(column, return_inverse=True)[1] for column in losses.T], axis=1)
    left = np.argsort(ranks.sum(1), kind="stable")
    kept = np.zeros(len(losses), bool)
    while len(left):
        points, first = losses[left], losses[left[0]]
        kept[left[(points == first).all(1)]] = True
        left = left[~(points >= first).all(1)]
    return kept
