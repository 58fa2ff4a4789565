"""Laws that the measured networks allow: draws from the posterior of a law's coefficients."""

import numpy as np
from numpy.typing import NDArray

from scaling_search.analysis.statistics.law_forms import Form, logit

Floats = NDArray[np.float64]

_STEPS = 150
"""Of each chain; the last is its draw."""

_SCATTER = 0.02
"""Scatter about a law that is expected before any network is seen, on the logit scale; it counts as one network."""


def draw_laws(
    form: Form, best: Floats, u: Floats, target: Floats, draws: int, random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Coefficients of laws about the fit `best`, (draws, coefficients), and the scatter about each, (draws,).

    Networks of log size `u` scatter about the law normally on the logit scale, where their errors are `target`. The
    coefficients have the prior of the form, the scatter one of 1 / scatter. Sampled by differential evolution (ter
    Braak, 2006): each chain proposes to move by the difference of two others.
    """
    half, count, freedom = max((draws + 1) // 2, 6), len(best), len(u) + 1
    lowest, highest, typical = (np.array(bounds) for bounds in (form.lowest, form.highest, form.typical))

    def squares(coefficients: Floats) -> Floats:
        misses = logit(form.error(coefficients.T[:, :, None], u)) - target
        return np.asarray(np.sum(misses**2, axis=1) + _SCATTER**2)

    def density(coefficients: Floats) -> Floats:
        inside = np.all((coefficients >= lowest) & (coefficients <= highest), axis=1)
        within = np.clip(coefficients, lowest, highest)
        return np.where(inside, form.log_prior(within.T) - (freedom - 1) / 2 * np.log(squares(within)), -np.inf)

    # Two populations; each moves by differences within the other.
    chains = best + 0.1 * typical * random.standard_normal((2, half, count))
    chains = np.clip(chains, lowest, highest)
    now = np.stack([density(population) for population in chains])
    for step in range(_STEPS):
        # Every tenth step is a whole difference, which leads from one mode to another.
        length = 1.0 if step % 10 == 9 else 2.38 / np.sqrt(2 * count)
        for moving, other in ((0, 1), (1, 0)):
            order = random.permutation(half)
            difference = chains[other][order] - chains[other][np.roll(order, 1)]
            shake = 1e-4 * typical * random.standard_normal((half, count))
            proposed = chains[moving] + length * difference + shake
            new = density(proposed)
            taken = np.log(random.random(half)) < new - now[moving]
            chains[moving][taken], now[moving][taken] = proposed[taken], new[taken]
    laws = chains.reshape(-1, count)[:draws]
    return laws, np.sqrt(squares(laws) / random.chisquare(freedom - 1, len(laws)))
