"""Accuracy as a surface over the shares of growth, and where on it the optimum may lie: the answer of STEP 1."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scaling_search.analysis.statistics.means import check_confidence
from scaling_search.errors import UserError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

Shares = tuple[float, float, float]
"""Parts of the growth in cost that depth, width and resolution take; they add up to 1."""

FEWEST = 8
"""Networks that a surface needs: six coefficients, and two degrees of freedom to judge them by. One more where costs
differ."""

DIVISIONS = 20
"""Shares are looked at in steps of a twentieth."""

EQUAL = 0.02
"""Standard deviation of log2 of the cost up to which networks cost the same."""

_DRAWS = 400
_RANK = 1e-4
"""Singular values below this part of the largest count as none."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Accuracy as a quadratic function of the shares of growth, at equal cost."""

    places: Floats
    """Shares of depth, width and resolution, as far as networks were measured, (places, 3)."""
    heights: Floats
    """Accuracy (0..1) at each of these, (places,)."""
    room: Floats
    """How far each is from being significantly below another, in standard errors of the difference, (places,)."""
    optimum: Shares
    """The highest of them."""
    centre: Shares
    """The mean of where the optimum is in draws of the surface, as a place of the region. Nearer to what is best than
    the middle of the region, where that lies at a corner."""
    lack_of_fit: float
    """Standard deviation of networks about the surface beyond what their seeds explain, accuracy in 0..1."""
    p_value: float
    """Of the F test that the shares do not matter at all."""
    networks: int
    """How many networks the surface was fitted to."""
    confidence: float
    coefficients: Floats
    """Of 1, x, y, x^2, xy, y^2, where x and y are the shares of depth and resolution less a third, (6,)."""
    peaks: Floats
    """Where the optimum is in draws of the surface, (draws, 3)."""

    @property
    def region(self) -> Bools:
        """Which of the places may be the optimum, (places,)."""
        return np.asarray(self.room >= 0)

    @property
    def covered(self) -> float:
        """How much of the places the region is, 0..1."""
        return float(self.region.mean())

    @property
    def whole(self) -> bool:
        """Whether networks were measured all over the triangle of shares, up to its corners."""
        return len(self.places) == (DIVISIONS + 1) * (DIVISIONS + 2) // 2

    @property
    def ends(self) -> Floats:
        """The smallest and the largest share of each dimension in the region, (2, 3)."""
        inside = self.places[self.region]
        return np.stack([inside.min(0), inside.max(0)])

    def predict(self, shares: Floats) -> Floats:
        """Accuracy (0..1) at `shares`, (..., 3)."""
        return np.asarray(_features(np.asarray(shares, np.float64)) @ self.coefficients)


def fit_surface(
    shares: Floats,
    accuracy: Floats,
    variance: Floats,
    df: float,
    *,
    cost: Floats | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> Surface:
    """Fits the surface to networks and marks where its optimum may lie.

    Weighted least squares as in random-effects meta-regression: a network's mean varies by its own `variance` and by
    what a quadratic misses, which is estimated by Paule and Mandel's moments. Where nothing is missed, the scatter
    about the surface and that of seeds are pooled.

    The region holds the shares that are not significantly below any others (Peterson, Cahya and del Castillo, 2002):
    for each, the largest Student's t of the others' lead is compared with what it exceeds in 1 - confidence of draws
    of a flat surface. So it holds the optimum with probability `confidence` or more wherever that lies, inside, on an
    edge or at a corner, and all shares where none is better than others.

    Args:
        shares: of depth, width and resolution in each network's growth, (networks, 3).
        accuracy: mean over seeds, 0..1, (networks,).
        variance: of that mean, (networks,); NaN where no network has two seeds.
        df: degrees of freedom of the variances together.
        cost: in any unit, (networks,). Where it differs among networks, what its logarithm explains is taken out.
        confidence: of the region.
        seed: of the draws. The same arguments give the same numbers.

    Raises:
        UserError: there are fewer than FEWEST networks, or they lie on a line.

    """
    from scipy import stats

    check_confidence(confidence)
    shares = np.asarray(shares, np.float64)
    design = _features(shares)
    size = np.zeros(len(design)) if cost is None else np.log2(np.asarray(cost, np.float64))
    fewest = FEWEST
    if size.std() > EQUAL:
        design, fewest = np.column_stack([design, size - size.mean()]), FEWEST + 1
    if len(design) < fewest:
        raise UserError(f"{len(design)} networks to fit a surface to", f"it needs {fewest}", "train more of the grid")
    if np.linalg.matrix_rank(design / np.linalg.norm(design, axis=0), _RANK) < design.shape[1]:
        raise UserError("networks on a line to fit a surface to", "they differ in two dimensions")
    fit = _fit(design, np.asarray(accuracy, np.float64), np.nan_to_num(variance), 0.0 if df != df else df)
    places = _places(shares)
    features = _features(places)
    heights = features @ fit.best[:6]
    spread = fit.spread[:6, :6]
    noise = features @ _draws(spread, fit.df, seed).T
    room = _room(features, heights, spread, noise, confidence)
    peaks = np.concatenate([places[(heights[:, None] + sign * noise).argmax(0)] for sign in (1, -1)])
    inside = places[room >= 0]
    moving = fit.best[1:6] @ np.linalg.solve(fit.spread[1:6, 1:6], fit.best[1:6]) / 5
    return Surface(
        places=places,
        heights=heights,
        room=room,
        optimum=_shares_at(places[heights.argmax()]),
        centre=_shares_at(inside[((inside - peaks.mean(0)) ** 2).sum(1).argmin()]),
        lack_of_fit=float(np.sqrt(fit.missed)),
        p_value=float(stats.f.sf(moving, 5, fit.df)),
        networks=len(design),
        confidence=confidence,
        coefficients=fit.best[:6],
        peaks=peaks,
    )


def _features(shares: Floats) -> Floats:
    x, y = shares[..., 0] - 1 / 3, shares[..., 2] - 1 / 3
    return np.stack([np.ones_like(x), x, y, x**2, x * y, y**2], axis=-1)


def _places(shares: Floats) -> Floats:
    """The lattice of shares within the hull of those of networks, and half a step around it."""
    from scipy.spatial import ConvexHull

    depth, width = np.mgrid[0 : DIVISIONS + 1, 0 : DIVISIONS + 1].reshape(2, -1)
    lattice = np.stack([depth, width, DIVISIONS - depth - width], axis=1) / DIVISIONS
    lattice = lattice[lattice[:, 2] >= 0]
    sides = ConvexHull(shares[:, [0, 2]]).equations
    beyond = lattice[:, [0, 2]] @ sides[:, :2].T + sides[:, 2]
    return np.asarray(lattice[(beyond <= 0.5 / DIVISIONS).all(1)])


@dataclass(frozen=True, eq=False)
class _Fit:
    best: Floats
    spread: Floats
    """Covariance of `best`."""
    df: float
    missed: float
    """Variance of networks about the surface beyond that of their means."""


def _fit(design: Floats, accuracy: Floats, variance: Floats, df: float) -> _Fit:
    left_df = len(design) - design.shape[1]

    def weighed(missed: float) -> tuple[Floats, Floats, float]:
        # A floor keeps weights finite where nothing scatters.
        weights = 1 / np.maximum(variance + missed, 1e-12)
        spread: Floats = np.asarray(np.linalg.inv((design.T * weights) @ design), np.float64)
        best: Floats = spread @ (design.T * weights) @ accuracy
        return best, spread, float(weights @ (accuracy - design @ best) ** 2)

    best, spread, left = weighed(0.0)
    if left <= left_df:
        pooled = (left + df) / (left_df + df) if variance.any() else 1.0
        return _Fit(best, pooled * spread, left_df + df, 0.0)
    low, high = 0.0, float(np.sum((accuracy - design @ best) ** 2)) / left_df + float(variance.max())
    while weighed(high)[2] > left_df:
        high *= 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if weighed(middle)[2] > left_df else (low, middle)
    best, spread, _ = weighed(high)
    return _Fit(best, spread, left_df, high)


def _draws(spread: Floats, df: float, seed: int) -> Floats:
    """Errors of the coefficients, Student's t, (draws, coefficients). Each stands for its mirror image too."""
    random = np.random.default_rng(seed)
    loose = np.sqrt(df / random.chisquare(df, _DRAWS))[:, None]
    return np.asarray((random.standard_normal((_DRAWS, len(spread))) * loose) @ np.linalg.cholesky(spread).T)


def _room(features: Floats, heights: Floats, spread: Floats, noise: Floats, confidence: float) -> Floats:
    """The critical value of the largest lead over each place, less that lead; `noise` is draws of the heights' errors.

    (places,), from noise of (places, draws).
    """
    covariance = features @ spread @ features.T
    own = np.diag(covariance)
    room = np.empty(len(features))
    for index in range(len(features)):
        errors = np.sqrt(np.maximum(own + own[index] - 2 * covariance[index], 0.0))
        errors[index] = np.inf
        leads = (noise - noise[index]) / errors[:, None]
        critical = np.quantile(np.concatenate([leads.max(0), -leads.min(0)]), confidence)
        room[index] = critical - np.max((heights - heights[index]) / errors)
    return room


def _shares_at(place: Floats) -> Shares:
    depth, width, resolution = map(float, place)
    return depth, width, resolution
