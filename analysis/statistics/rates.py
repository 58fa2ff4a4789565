"""The learning rate as a function of a network's size, from trainings of a few sizes at a few rates."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scaling_search.analysis.statistics.law_forms import logit
from scaling_search.analysis.statistics.means import check_confidence
from scaling_search.errors import UserError

Floats = NDArray[np.float64]

STEP = 0.5
"""Rates lie on a lattice of half octaves about the recipe's: equal networks get equal rates, whatever the digits."""
FAR = 1.5
"""Logits below the best rate of its size from which on a rate only counts as that bad: where trainings fall off a
cliff, how deep says nothing about where the top is."""
_NEAREST = 1e-3
"""Accuracies count as at least so far from 0 and 1, where logits have no end."""


@dataclass(frozen=True)
class RateLaw:
    """The learning rate for a size: its logarithm is linear in that of multiply-adds.

    Sizes below or above those that were probed get the rate of the nearest, and no rate lies outside those tried.
    """

    base: float
    """The rate in the middle of those tried, the recipe's."""
    octaves: float
    """log2 of the best rate over `base`, at `size`."""
    slope: float
    """By how many octaves the best rate changes where multiply-adds double."""
    size: float
    """Multiply-adds: the geometric mean of the sizes probed."""
    smallest: float
    """Multiply-adds of the smallest network probed."""
    largest: float
    """Multiply-adds of the largest."""
    lowest: float
    """log2 of the lowest rate tried over `base`."""
    highest: float
    """log2 of the highest."""

    def best(self, multiply_adds: float) -> float:
        """The best rate by the law, before it is rounded to the lattice."""
        size = min(max(multiply_adds, self.smallest), self.largest)
        octaves = self.octaves + self.slope * math.log2(size / self.size)
        return self.base * 2.0 ** min(max(octaves, self.lowest), self.highest)

    def at(self, multiply_adds: float) -> float:
        """The rate that a network of so many multiply-adds is trained with: the nearest of the lattice."""
        # Rounded first, so that a rate halfway between two goes the same way on every machine.
        steps = math.floor(round(math.log2(self.best(multiply_adds) / self.base) / STEP, 6) + 0.5)
        return float(f"{self.base * 2.0 ** (STEP * steps):.3g}") if steps else self.base


@dataclass(frozen=True)
class RateFit:
    """A law with what is known of its slope."""

    law: RateLaw
    """With a slope of 0 where `low` and `high` do not exclude it."""
    low: float
    """Lower end of the slope's interval, octaves of the rate an octave of multiply-adds; minus infinity where the rates
    tried do not show a best one."""
    high: float
    """Its upper end."""
    curved: bool
    """Whether accuracy falls on both sides of a best rate beyond noise. Otherwise the law is the single best rate of
    those that every size was trained with."""


def fit_rates(sizes: Floats, rates: Floats, accuracy: Floats, *, base: float, confidence: float = 0.95) -> RateFit:
    """The best rate as a function of size.

    On the logit scale, accuracy is a quadratic function of the logarithm of the rate, with one curvature and a top of
    each size's own height, whose place is linear in the logarithm of the size:

        logit(accuracy) = height(size) - c * (x - m - s * z)^2,  x = log2(rate / base),  z = log2(multiply-adds)

    That is linear in its coefficients, and the slope s a ratio of two of them, whose interval is Fieller's. What the
    quadratic misses counts as noise where it is more than seeds explain. A slope whose interval holds 0 is taken as 0.

    Args:
        sizes: multiply-adds of the network of each training, (trainings,).
        rates: learning rate of each, (trainings,).
        accuracy: 0..1 of each; that of chance for one that failed, (trainings,).
        base: the recipe's rate.
        confidence: of the interval.

    Raises:
        UserError: there are fewer than two sizes, or a size with fewer than three rates.

    """
    from scipy import stats

    check_confidence(confidence)
    cells = _cells(np.log2(rates / base), sizes, logit(np.clip(accuracy, _NEAREST, 1 - _NEAREST)))
    names, size = np.unique(cells.size, return_inverse=True)
    if len(names) < 2 or np.bincount(size).min() < 3:
        raise UserError("too few trainings to tell learning rates apart", "it takes two sizes at three rates each")
    z = np.log2(names)[size] - np.log2(names).mean()
    heights = (size[:, None] == np.arange(len(names))).astype(np.float64)
    x, y = cells.x, np.maximum(cells.y, (np.maximum.reduceat(cells.y, _starts(size)) - FAR)[size])
    sloped = _fit(np.column_stack([heights, x**2, x, x * z]), y, cells)
    curve, tilt = sloped.best[-3], sloped.best[-1]
    spread = sloped.spread[np.ix_([-3, -1], [-3, -1])]
    critical = float(stats.t.ppf((1 + confidence) / 2, sloped.df))
    low, high = _fieller(curve, tilt, spread, critical)
    level = _fit(np.column_stack([heights, x**2, x]), y, cells)
    one = level.best[-2] + float(stats.t.ppf(confidence, level.df)) * math.sqrt(level.spread[-2, -2]) < 0
    moves = math.isfinite(low) and not low <= 0 <= high
    if moves:
        slope, octaves = -tilt / (2 * curve), -sloped.best[-2] / (2 * curve)
    elif one:
        slope, octaves = 0.0, -level.best[-1] / (2 * level.best[-2])
    else:
        slope, octaves = 0.0, _single_best(x, y, size)
    law = RateLaw(
        base=base,
        octaves=round(float(octaves), 6),
        slope=round(float(slope), 6),
        size=float(2 ** np.log2(names).mean()),
        smallest=float(names[0]),
        largest=float(names[-1]),
        lowest=float(x.min()),
        highest=float(x.max()),
    )
    return RateFit(law, low, high, curved=bool(one or moves))


@dataclass(frozen=True, eq=False)
class _Cells:
    """Means over seeds of each size at each rate, ordered by size."""

    x: Floats
    size: Floats
    y: Floats
    seeds: Floats
    within: float
    """Sum of squares of trainings about these means."""
    df: float


def _cells(x: Floats, size: Floats, y: Floats) -> _Cells:
    keys, which = np.unique(np.column_stack([size, x.round(9)]), axis=0, return_inverse=True)
    which = which.reshape(-1)
    seeds = np.bincount(which).astype(np.float64)
    means = np.bincount(which, weights=y) / seeds
    return _Cells(keys[:, 1], keys[:, 0], means, seeds, float(np.sum((y - means[which]) ** 2)), len(y) - len(keys))


@dataclass(frozen=True, eq=False)
class _Fit:
    best: Floats
    spread: Floats
    """Covariance of `best`."""
    df: float


def _fit(design: Floats, y: Floats, cells: _Cells) -> _Fit:
    """Least squares through the means, weighted by their seeds."""
    spread: Floats = np.asarray(np.linalg.inv((design.T * cells.seeds) @ design), np.float64)
    best = spread @ (design.T * cells.seeds) @ y
    missed, left = float(cells.seeds @ (y - design @ best) ** 2), float(len(y) - design.shape[1])
    if cells.df and (not left or missed / left <= cells.within / cells.df):
        return _Fit(best, spread * (missed + cells.within) / (left + cells.df), left + cells.df)
    return _Fit(best, spread * missed / max(left, 1.0), max(left, 1.0))


def _fieller(curve: float, tilt: float, spread: Floats, critical: float) -> tuple[float, float]:
    """The interval of -tilt / (2 curve), whose covariance is `spread`: the slopes s by which tilt + 2 s curve is 0."""
    doubled = np.array([[4, 2], [2, 1]]) * spread
    a = 4 * curve**2 - critical**2 * doubled[0, 0]
    b = 4 * curve * tilt - 2 * critical**2 * doubled[0, 1]
    c = tilt**2 - critical**2 * doubled[1, 1]
    if a <= 0 or curve >= 0:
        return -math.inf, math.inf
    half = math.sqrt(max(b**2 - 4 * a * c, 0.0))
    return (-b - half) / (2 * a), (-b + half) / (2 * a)


def _single_best(x: Floats, y: Floats, size: NDArray[np.intp]) -> float:
    """log2 of the rate with the best mean, of those that every size was trained with; of equals, the nearest to 0."""
    everywhere = [rate for rate in np.unique(x) if np.sum(x == rate) == size.max() + 1]
    return float(max(everywhere, key=lambda rate: (round(float(y[x == rate].mean()), 9), -abs(rate))))


def _starts(size: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.flatnonzero(np.diff(size, prepend=-1))
