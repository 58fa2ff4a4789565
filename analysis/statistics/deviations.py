"""How much the trainings of each network scatter, by its own seeds and by what the others tell of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_LIKENESS = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
"""Degrees of freedom that the other networks may be worth to one."""

FEWEST = 6
"""Networks from which deviations are borrowed; with fewer, each stands by its own seeds."""

_ODD = 0.1
"""A network whose seeds scatter more than all but this share of networks should goes by no less than its own."""
_UNLIKE = 0.01


@dataclass(frozen=True, eq=False)
class Deviations:
    """Variance of one training of each network: scaled inverse chi-squares, averaged over how alike networks may be."""

    squares: Floats
    """Mean square of each network's own seeds about their mean, (networks,)."""
    own_df: Floats
    """Its degrees of freedom, (networks,)."""
    variance: Floats
    """(likenesses, networks)."""
    df: Floats
    """(likenesses, networks)."""
    weight: Floats
    """Probability of each likeness, (likenesses,)."""
    p_value: Floats
    """How probable so large a `squares` is by the other networks, (networks,)."""

    @property
    def unlike(self) -> bool:
        """Whether networks scatter too unlike each other for one deviation, or are too few to tell."""
        return bool(self.weight[_LIKENESS[: len(self.weight)] <= 2].sum() > 0.5 or (self.p_value < _UNLIKE).any())

    @property
    def _odd(self) -> NDArray[np.bool_]:
        # Two seeds tell too little of their own.
        return np.asarray((self.p_value < _ODD) & (self.own_df >= 2))

    def half_width(self, seeds: Floats, confidence: float) -> Floats:
        """Half the width of the interval for each network's mean over `seeds`, (networks,): quantiles of mixed t's."""
        from scipy import special, stats

        scale = np.sqrt(self.variance / seeds)
        tail = (1 - confidence) / 2
        ends = stats.t.isf(tail, self.df) * scale
        low, high = ends.min(0), ends.max(0)
        for _ in range(40):
            middle = (low + high) / 2
            # The survival function of Student's t; that of scipy.stats spends its time on checks.
            beyond = self.weight @ special.stdtr(self.df, -middle / np.where(scale > 0, scale, 1.0))
            low, high = np.where(beyond > tail, middle, low), np.where(beyond > tail, high, middle)
        own = stats.t.isf(tail, self.own_df) * np.sqrt(self.squares / seeds)
        return np.asarray(np.where(self._odd, np.fmax(high, own), high))

    def one_each(self) -> tuple[Floats, Floats]:
        """One variance and its degrees of freedom for each network, (networks,) each."""
        variance, df = self.weight @ self.variance, 1 / (self.weight @ (1 / self.df))
        odd = self._odd & (self.squares > variance)
        return np.where(odd, self.squares, variance), np.where(odd, self.own_df, df)


def borrowed_deviations(means: Floats, squares: Floats, df: Floats) -> Deviations:
    """Deviations by empirical Bayes (Smyth, 2004), with a trend over the logit of the mean.

    A network's variance is drawn from a scaled inverse chi-square about a line, fitted by marginal likelihood to the
    logarithms of all; how narrow it is, is averaged over. Networks whose deviations are unlike so count for little.

    Args:
        means: accuracy of each network, (networks,).
        squares: its seeds' mean square about it, (networks,); anything for one seed.
        df: degrees of freedom of that, (networks,); 0 for one seed.

    """
    from scipy import stats

    known = df > 0
    if known.sum() < FEWEST or not squares[known].any():
        # One seed tells nothing of its own.
        pooled = float(squares[known] @ df[known] / df[known].sum())
        squares, df = np.where(known, squares, pooled), np.where(known, df, df.sum())
        return Deviations(squares, df, squares[None], df[None], np.ones(1), np.ones(len(df)))
    inside = np.clip(means, 0.005, 0.995)
    x = np.log(inside / (1 - inside))
    x = x - x.mean()
    design = np.column_stack([np.ones_like(x), x]) if np.ptp(x) > 0.2 else np.ones((len(x), 1))
    fits = [_fit(design, squares, df, prior, known) for prior in _LIKENESS]
    expected, scores = np.exp([level for level, _ in fits]), np.array([score for _, score in fits])
    weight = np.exp(scores - scores.max())
    weight /= weight.sum()
    prior = _LIKENESS[:, None]
    p_value = np.ones(len(df))
    p_value[known] = weight @ stats.f.sf((squares / expected)[:, known], df[known], prior)
    variance = (prior * expected + np.where(known, df * squares, 0.0)) / (prior + df)
    return Deviations(squares, df, variance, prior + df, weight, p_value)


def _fit(design: Floats, squares: Floats, df: Floats, prior: float, known: NDArray[np.bool_]) -> tuple[Floats, float]:
    """The line's heights at each network and the likelihood, by Newton's method; mean squares follow F about it."""
    from scipy import special

    rows, s, d = design[known], squares[known], df[known]
    line = np.zeros(design.shape[1])
    line[0] = np.log(np.average(s, weights=d))
    for _ in range(25):
        ratio = d * s / (prior * np.exp(rows @ line))
        share = ratio / (1 + ratio)
        slope = rows.T @ (-d / 2 + (d + prior) / 2 * share)
        # A weak pull of the trend towards none keeps it finite.
        pull = np.diag([1e-9, *[0.5] * (len(line) - 1)])
        bend = (rows * ((d + prior) / 2 * share * (1 - share))[:, None]).T @ rows + pull
        step = np.linalg.solve(bend, slope - pull @ line)
        line = line + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-4:
            break
    level = rows @ line
    ratio = d * s / (prior * np.exp(level))
    score = d / 2 * (np.log(d / prior) - level) - (d + prior) / 2 * np.log1p(ratio)
    score += special.gammaln((d + prior) / 2) - special.gammaln(prior / 2)
    return design @ line, float(score.sum())
