"""The critical value of many comparisons with one mean."""

from functools import lru_cache

import numpy as np

_NODES = 64
"""Quadrature nodes in each of two dimensions; 128 change the critical value by less than 1e-4."""


@lru_cache(maxsize=256)
def dunnett_critical_value(seeds: int, others: tuple[int, ...], df: int, confidence: float) -> float:
    """What the largest of the t statistics (other mean - one mean) stays below with probability `confidence`.

    One mean is of `seeds` values, the others of `others`, all with the same true mean and a common variance estimated
    with `df` degrees of freedom (Dunnett, 1955, one-sided). For a single other mean it is Student's t.
    """
    from scipy import optimize, special, stats

    if not others:
        return 0.0
    sizes, counts = np.unique(others, return_counts=True)
    # t statistics that share a mean correlate by products of these loadings on it.
    loadings = np.sqrt(sizes / (seeds + sizes))[:, None, None]
    z, z_weights = np.polynomial.hermite_e.hermegauss(_NODES)
    z_weights = z_weights / z_weights.sum()
    p, p_weights = np.polynomial.legendre.leggauss(_NODES)
    spread = np.sqrt(stats.chi2.ppf((p + 1) / 2, df) / df)
    p_weights = p_weights / 2

    def shortfall(critical: float) -> float:
        arguments = (critical * spread[:, None] - loadings * z) / np.sqrt(1 - loadings**2)
        below = np.exp((counts[:, None, None] * special.log_ndtr(arguments)).sum(0))
        return float(p_weights @ below @ z_weights) - confidence

    return 0.0 if shortfall(0.0) >= 0 else float(optimize.brentq(shortfall, 0.0, 1e4, xtol=1e-9))
