"""How sharp the optimum of STEP 1 is: a quadratic surface through the networks of the grid."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling_search.analysis.statistics.means import check_confidence
from scaling_search.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

MOVED = 0.25
"""Share of the growth that is moved from one dimension to another where sharpness is measured."""

FEWEST = 9
"""Networks that a surface needs: seven coefficients, and two degrees of freedom to judge them by."""

DIMENSIONS = {"depth": "alpha", "width": "beta", "resolution": "gamma"}
"""The coefficient of each dimension, in the order of shares."""

_DRAWS = 400
_STEP = 0.01
# Orthonormal directions in the plane of shares that sum to one.
_PLANE = np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2.0], [6.0]])


@dataclass(frozen=True, eq=False)
class Surface:
    """Accuracy as a quadratic function of how growth is shared among depth, width and resolution.

    The shares of a rule are the parts of log(alpha * beta^2 * gamma^2) that are log alpha, 2 log beta and 2 log gamma.
    They sum to one, so equation 3 leaves two free dimensions. A term in the logarithm of the multiply-adds takes out
    that points of the grid meet the constraint more or less well.
    """

    optimum: "pd.DataFrame"
    """By coefficient, `alpha`, `beta` and `gamma`: `value`, `low`, `high`. Sought among the shares that the grid
    tried; at the edge of these where the surface still rises there."""
    at_edge: bool
    """Whether it lies at that edge, so that there may be more beyond."""
    sharpness: float
    """Accuracy (0..1) lost on average by moving a quarter of the growth from one dimension to another, at the optimum
    of a surface that has one: its mean curvature. Negative where the surface is a bowl or falls to no peak."""
    low: float
    high: float
    p_value: float
    """Of the F test that the shares do not matter at all."""
    networks: int
    """How many networks the surface was fitted to."""
    confidence: float
    coefficients: Floats
    """Of 1, t1, t2, t1^2, t1 t2, t2^2 and log2(multiply-adds / their geometric mean)."""
    traces: "pd.DataFrame"
    """The surface along the response traces through its optimum (Cox, 1971): the share of one dimension changes, and
    the other two divide the rest as they do at the optimum. By rising share for each `dimension` ("depth", "width",
    "resolution"), as far as the grid tried: `share` (0..1), `alpha`, `beta`, `gamma`, `accuracy` (0..1, at the mean
    multiply-adds), `low`, `high` (of the surface, at each place by itself) and `optimum` (true once for each)."""

    def predict(self, alpha: ArrayLike, beta: ArrayLike, gamma: ArrayLike) -> Floats:
        """Accuracy of rules (arrays of one shape) at the grid's mean multiply-adds."""
        return np.asarray(_features(_shares(alpha, beta, gamma)) @ self.coefficients[:-1])


def fit_surface(table: "pd.DataFrame", confidence: float = 0.95, seed: int = 0) -> Surface:
    """Fits the surface to networks, one a row: `alpha`, `beta`, `gamma`, `multiply_adds`, `val_accuracy`, `seeds`.

    Least squares, each network weighing as many seeds as it has. Intervals take the scatter about the surface, from
    seeds and from what a quadratic misses, for normal: Student's t for sharpness, and for the optimum the middle of
    where it lies in draws of the coefficients. The same arguments give the same numbers. Raises UserError for fewer
    than FEWEST networks, or where they lie on a line.
    """
    import pandas as pd
    from scipy import stats

    check_confidence(confidence)
    table = table[table["val_accuracy"].notna()]
    if len(table) < FEWEST:
        raise UserError(f"{len(table)} networks to fit a surface to", f"it needs {FEWEST}", "train more of the grid")
    shares = _shares(table["alpha"], table["beta"], table["gamma"])
    size = np.log2(table["multiply_adds"].to_numpy(np.float64))
    design = np.column_stack([_features(shares), size - size.mean()])
    weights = np.sqrt(table["seeds"].to_numpy(np.float64))
    target = table["val_accuracy"].to_numpy(np.float64)
    best, _, rank, _ = np.linalg.lstsq(design * weights[:, None], target * weights)
    if rank < design.shape[1]:
        raise UserError("networks on a line to fit a surface to", "they differ in two dimensions and in cost")
    df = len(table) - design.shape[1]
    left = float(np.sum((weights * (target - design @ best)) ** 2))
    without = design[:, [0, -1]]
    flat = np.linalg.lstsq(without * weights[:, None], target * weights)[0]
    explained = float(np.sum((weights * (target - without @ flat)) ** 2)) - left
    f = (explained / 5) / (left / df) if left > 0 else np.inf
    scatter = np.sqrt(left / df)
    spread = np.linalg.inv((design * weights[:, None] ** 2).T @ design)
    # Moved from one share to another, MOVED is a step of MOVED * sqrt(2) in the plane; the mean over directions of a
    # quadratic form is half its trace.
    fall = np.zeros(design.shape[1])
    fall[[3, 5]] = -(MOVED**2)
    half = stats.t.ppf((1 + confidence) / 2, df) * float(scatter * np.sqrt(fall @ spread @ fall))
    sharpness = float(fall @ best)
    random = np.random.default_rng(seed)
    loose = scatter * np.sqrt(df / random.chisquare(df, _DRAWS))[:, None]
    draws = best + loose * (random.standard_normal((_DRAWS, len(best))) @ np.linalg.cholesky(spread).T)
    lattice = _lattice(shares)
    growth = np.log(_cost_factor(table["alpha"], table["beta"], table["gamma"])).mean()
    rules = np.exp(lattice * growth / [1, 2, 2])
    heights = _features(lattice) @ np.vstack([best, draws])[:, :-1].T
    peaks, top = rules[heights.argmax(0)], lattice[heights[:, 0].argmax()]
    traces, along = _traces(top, shares)
    features = _features(along)
    heights_along = features @ best[:-1]
    error = scatter * np.sqrt(np.einsum("ij,jk,ik->i", features, spread[:-1, :-1], features))
    half_along = stats.t.ppf((1 + confidence) / 2, df) * error
    low, high = np.quantile(peaks[1:], [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return Surface(
        optimum=pd.DataFrame(
            {"value": peaks[0], "low": np.minimum(low, peaks[0]), "high": np.maximum(high, peaks[0])},
            index=list(DIMENSIONS.values()),
        ),
        at_edge=bool(((top < shares.min(0) + _STEP) | (top > shares.max(0) - _STEP)).any()),
        sharpness=sharpness,
        low=sharpness - half,
        high=sharpness + half,
        p_value=float(stats.f.sf(f, 5, df)),
        networks=len(table),
        confidence=confidence,
        coefficients=best,
        traces=traces.assign(
            **dict(zip(DIMENSIONS.values(), np.exp(along * growth / [1, 2, 2]).T, strict=True)),
            accuracy=heights_along,
            low=heights_along - half_along,
            high=heights_along + half_along,
        ),
    )


def _cost_factor(alpha: ArrayLike, beta: ArrayLike, gamma: ArrayLike) -> Floats:
    return np.asarray(alpha, np.float64) * np.asarray(beta, np.float64) ** 2 * np.asarray(gamma, np.float64) ** 2


def _shares(alpha: ArrayLike, beta: ArrayLike, gamma: ArrayLike) -> Floats:
    """Shares of growth of depth, width and resolution, along the last axis."""
    logs = [np.log(np.asarray(alpha, np.float64))]
    logs += [2 * np.log(np.asarray(value, np.float64)) for value in (beta, gamma)]
    return np.asarray(np.stack(logs, axis=-1) / np.log(_cost_factor(alpha, beta, gamma))[..., None])


def _features(shares: Floats) -> Floats:
    one, two = np.moveaxis((shares - 1 / 3) @ _PLANE.T, -1, 0)
    return np.stack([np.ones_like(one), one, two, one**2, one * two, two**2], axis=-1)


def _lattice(shares: Floats) -> Floats:
    """Shares in steps of _STEP within the bounds of those tried, (points, 3)."""
    depth, width = np.mgrid[0 : 1 + _STEP / 2 : _STEP, 0 : 1 + _STEP / 2 : _STEP].reshape(2, -1)
    points = np.stack([depth, width, 1 - depth - width], axis=1)
    inside = (points >= shares.min(0) - 1e-9) & (points <= shares.max(0) + 1e-9)
    return np.asarray(points[inside.all(1)])


def _traces(top: Floats, shares: Floats) -> tuple["pd.DataFrame", Floats]:
    """Places in steps of _STEP along the traces through `top`: `dimension`, `share`, `optimum`; and their shares."""
    import pandas as pd

    low, high = shares.min(0) - 1e-9, shares.max(0) + 1e-9
    frames, along = [], []
    for index, dimension in enumerate(DIMENSIONS):
        others = np.delete(top, index)
        # Of nothing, both others take a half.
        parts = others / others.sum() if others.sum() > 0 else np.full(2, 0.5)
        steps = np.arange(-round(1 / _STEP), round(1 / _STEP) + 1)
        share = top[index] + _STEP * steps
        points = np.insert((1 - share)[:, None] * parts, index, share, axis=1)
        inside = ((points >= low) & (points <= high)).all(1)
        along.append(points[inside])
        frames.append(pd.DataFrame({"dimension": dimension, "share": share[inside], "optimum": steps[inside] == 0}))
    return pd.concat(frames, ignore_index=True), np.concatenate(along)
