"""Laws that the measured networks allow: draws from the posterior of a law's coefficients."""

import numpy as np
from numpy.typing import NDArray

from scaling_search.analysis.statistics.law_forms import Form, logit

Floats = NDArray[np.float64]

_STEPS = 250
"""Of each chain; the last is its draw."""

_NO_FLOOR = 1e-4
"""Floors far below this error are none."""

_SCATTER = 0.02
"""Scatter about a law that is expected before any network is seen, on the logit scale; it counts as one network."""


def draw_laws(
    form: Form, best: Floats, u: Floats, target: Floats, draws: int, random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Coefficients of laws about the fit `best`, (draws, coefficients), and the scatter about each, (draws,).

    Networks of log size `u` scatter about the law normally on the logit scale, where their errors are `target`. The
    coefficients have the prior of the form, the scatter one of 1 / scatter. A floor is sampled by its logarithm, down
    to none. Sampled by differential evolution (ter Braak, 2006): each chain proposes to move by the difference of two
    others.
    """
    half, count, seen = max((draws + 1) // 2, 6), len(best), len(u) + 1
    before = np.arange(half) - 1
    best, lowest, highest = (_sampled(form, np.array(ends)) for ends in (best, form.lowest, form.highest))
    typical = np.array((1.0, *form.typical[1:]) if form.floored else form.typical)

    def squares(points: Floats) -> Floats:
        misses = logit(form.error(_coefficients(form, points).T[:, :, None], u)) - target
        return np.asarray((misses**2).sum(1) + _SCATTER**2)

    def density(points: Floats) -> Floats:
        within = np.minimum(np.maximum(points, lowest), highest)
        found = form.log_prior(within.T) - seen / 2 * np.log(squares(within))
        found[(within != points).any(1)] = -np.inf
        return found

    # Two populations, spread wide; each moves by differences within the other.
    chains = best + typical * random.standard_normal((2, half, count))
    if form.floored:
        chains[..., 0] = random.uniform(lowest[0], best[0] + 1, (2, half))
    chains = np.clip(chains, lowest, highest)
    now = np.stack([density(population) for population in chains])
    for step in range(_STEPS):
        # Every tenth step is a whole difference, which leads from one mode to another.
        length = 1.0 if step % 10 == 9 else 2.38 / np.sqrt(2 * count)
        for moving, other in ((0, 1), (1, 0)):
            order = random.permutation(half)
            difference = chains[other][order] - chains[other][order[before]]
            shake = 1e-4 * typical * random.standard_normal((half, count))
            proposed = chains[moving] + length * difference + shake
            new = density(proposed)
            taken = np.log(random.random(half)) < new - now[moving]
            chains[moving][taken], now[moving][taken] = proposed[taken], new[taken]
    laws = chains.reshape(-1, count)[:draws]
    return _coefficients(form, laws), np.sqrt(squares(laws) / random.chisquare(seen, len(laws)))


def _sampled(form: Form, coefficients: Floats) -> Floats:
    """Coefficients as they are sampled, a floor by its logarithm."""
    if form.floored:
        coefficients = np.r_[np.log(coefficients[0] + _NO_FLOOR), coefficients[1:]]
    return coefficients


def _coefficients(form: Form, points: Floats) -> Floats:
    """The inverse of `_sampled`, of (draws, coefficients)."""
    if form.floored:
        points = points.copy()
        points[:, 0] = np.maximum(np.exp(points[:, 0]) - _NO_FLOOR, 0.0)
    return points
