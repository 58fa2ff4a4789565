"""The Pareto frontier, in two objectives or more, and what sets of networks are compared by: hypervolume, coverage,
the difference of two frontiers at equal cost, and the distribution of error.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from scaling_search.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Objectives = Mapping[str, Literal["min", "max"]]

COST_AND_ACCURACY: Objectives = {"multiply_adds": "min", "val_accuracy": "max"}
"""What a network is judged by where nothing else is said."""


def frontier(frame: "pd.DataFrame", x: str = "multiply_adds", y: str = "val_accuracy") -> "pd.DataFrame":
    """The rows of `frame` for which no row has both `x` at most as large and `y` at least as large, one of them truly.

    `nondominated` with the least `x` and the largest `y`: rows keep their index and come sorted by `x`, equal rows
    stay together, and a warning counts the rows without `x` or `y`. A million points take under a second.

    >>> frontier(load_run("runs/digits").trials, x="multiply_adds", y="val_accuracy")
    """
    return _best(frame, {x: "min", y: "max"})


def nondominated(frame: "pd.DataFrame", objectives: Objectives = COST_AND_ACCURACY) -> "pd.DataFrame":
    """The rows of `frame` that no other row dominates: is as good in every objective and better in one.

    `objectives` are columns and their directions. Rows keep their index and come sorted by the first objective, then
    by the next; equal rows stay together. A row that lacks an objective is left out, and a warning says how many did.
    Two objectives take O(n log n), more take O(n * size of the frontier). Raises UserError where a column is missing
    or a direction is neither "min" nor "max".

    >>> nondominated(table2(), {"parameters": "min", "multiply_adds": "min", "val_accuracy": "max"})
    """
    return _best(frame, objectives)


def hypervolume(
    frame: "pd.DataFrame", reference: Mapping[str, float], objectives: Objectives = COST_AND_ACCURACY
) -> float:
    """The volume that the rows of `frame` dominate, up to the point `reference`, which has a value for each objective.

    Its unit is the product of the objectives' units; take the logarithm of a cost first where factors matter. A row
    no better than `reference` in some objective adds nothing. Exact: in two objectives O(n log n), in more by the
    WFG recursion (While, Bradstreet and Barone, 2012), meant for frontiers of some hundred rows. Rows without a value
    are left out with a warning. Raises UserError as `nondominated` does, or where `reference` lacks an objective.

    >>> hypervolume(table2(), reference={"multiply_adds": 50e9, "val_accuracy": 0.7})
    """
    missing = [name for name in objectives if name not in reference]
    if missing:
        raise UserError(f"reference without {', '.join(missing)} given", "it has a value for each objective")
    losses, _ = _losses(frame, objectives)
    corner = _signs(objectives) * np.array([float(reference[name]) for name in objectives])
    gains = np.ascontiguousarray(corner - losses)
    gains = gains[(gains > 0).all(1)]
    return float(_volume(gains[_undominated(-gains)]))


def coverage(one: "pd.DataFrame", other: "pd.DataFrame", objectives: Objectives = COST_AND_ACCURACY) -> float:
    """The share of the rows of `other` that some row of `one` dominates or equals (Zitzler and Thiele, 1998), 0..1.

    NaN where `other` has no row. It is not symmetric: look at both ways round. Rows without a value are left out with
    a warning. Raises UserError as `nondominated` does.
    """
    best, _ = _losses(one, objectives)
    best = best[_undominated(best)]
    asked, _ = _losses(other, objectives)
    if not len(asked):
        return float("nan")
    return float(np.mean([bool((best <= row).all(1).any()) for row in asked]))


@dataclass(frozen=True, eq=False)
class Dominance:
    """How one set of networks stands to another."""

    coverage: float
    """Share of the other's networks that one's dominate or equal, see `coverage`."""
    covered: float
    """The reverse: share of one's networks that the other's dominate or equal."""
    difference: "pd.DataFrame"
    """One row a cost at which either frontier rises, where both have a network: the cost, `one` and `other` (the best
    y for at most this cost) and `difference` (one - other)."""
    mean_difference: float
    """Mean of `difference` over the logarithm of the cost; NaN where the frontiers share no range of costs."""


def dominance(
    one: "pd.DataFrame", other: "pd.DataFrame", x: str = "multiply_adds", y: str = "val_accuracy"
) -> Dominance:
    """How the networks of `one` stand to those of `other`: shares dominated, and the frontiers at equal cost `x`.

    A frontier is a staircase: at any cost it is as good as the best network that costs no more. The two are compared
    from the cost at which both have begun to the largest of either. Raises UserError as `frontier` does, or where
    nothing is left of one, or costs are not above 0.
    """
    import pandas as pd

    objectives: Objectives = {x: "min", y: "max"}
    stairs = []
    for frame in (one, other):
        best = _best(frame, objectives)
        if best.empty:
            raise UserError(f"a frame without a row that has {x} and {y} given", "both sides need one")
        stairs.append((best[x].to_numpy(np.float64), best[y].to_numpy(np.float64)))
    begin = max(costs[0] for costs, _ in stairs)
    if begin <= 0:
        raise UserError(f"{x} of 0 or less given", "costs are compared by their logarithm and lie above 0")
    corners = np.unique(np.concatenate([costs for costs, _ in stairs]))
    corners = corners[corners >= begin]
    mine, theirs = (gains[np.searchsorted(costs, corners, side="right") - 1] for costs, gains in stairs)
    difference = pd.DataFrame({x: corners, "one": mine, "other": theirs, "difference": mine - theirs})
    widths = np.diff(np.log(corners))
    mean = float(np.average((mine - theirs)[:-1], weights=widths)) if len(widths) else float("nan")
    with warnings.catch_warnings():
        # Said already, above.
        warnings.simplefilter("ignore", UserWarning)
        shares = coverage(one, other, objectives), coverage(other, one, objectives)
    return Dominance(*shares, difference, mean)


def error_distribution(frame: "pd.DataFrame", y: str = "val_accuracy") -> "pd.DataFrame":
    """The empirical distribution of error over a population of networks, one a row ("Designing Network Design Spaces",
    Radosavovic et al. 2020, equation 1).

    Columns: `error` (1 - y, rising, each once) and `share` of the networks, 0..1, with at most that error. The paper
    counts those strictly below an error: at a step it is the lower end, between steps the two agree. Rows without
    `y` are left out with a warning. Raises UserError where the column is missing.
    """
    import pandas as pd

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
    """The objectives, less being better in each, of the rows that have them all, and where these rows stand."""
    for column, direction in objectives.items():
        if column not in frame.columns:
            raise UserError(
                f"no column {column!r} to draw a frontier by", f"the frame has {', '.join(map(str, frame.columns))}"
            )
        if direction not in ("min", "max"):
            raise UserError(f"direction {direction!r} given for {column}", 'it is "min" or "max"')
    if not objectives:
        raise UserError("no objective given", hint='try {"multiply_adds": "min", "val_accuracy": "max"}')
    # Columns lie in one piece each: with a million rows that halves the time.
    values = np.stack([frame[name].to_numpy(np.float64, na_value=np.nan) for name in objectives]).T
    known = ~np.isnan(values).any(1)
    if not known.all():
        warnings.warn(
            f"left out {np.sum(~known)} of {len(frame)} rows, which lack {' or '.join(objectives)}",
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


def _volume(gains: Floats) -> float:
    """The volume of the union of boxes from 0 to each of `gains`, (n, objectives), of which none lies in another."""
    if len(gains) == 0:
        return 0.0
    if gains.shape[1] == 1:
        return float(gains.max())
    gains = gains[np.argsort(gains[:, -1], kind="stable")]
    if gains.shape[1] == 2:
        wide, high = gains.T
        return float(np.sum(wide * np.diff(high, prepend=0.0)))
    total = 0.0
    for index, (*sides, height) in enumerate(gains):
        # All boxes that follow are as high: what they share with this one differs in the other objectives alone.
        shared = np.minimum(gains[index + 1 :, :-1], sides)
        total += height * (float(np.prod(sides)) - _volume(shared[_undominated(-shared)]))
    return total
