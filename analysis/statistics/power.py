"""How many seeds it takes to tell two networks apart."""

import numpy as np

from scaling_search.analysis.statistics.dunnett import dunnett_critical_value

MOST_SEEDS = 10_000
"""Beyond this many seeds nobody trains a network to tell it from another."""


def seeds_to_separate(
    gap: float, variance: float, networks: int, confidence: float = 0.95, power: float = 0.8
) -> int | None:
    """How many seeds each of `networks` needs for the best to be told from one `gap` (accuracy, 0..1) behind it.

    With that many, and `gap` the true difference, the paired difference over seeds passes the critical value that
    `comparison.judge` sets for all rivals together, with probability `power`: a noncentral t, `variance` being that of
    one training (`SeedMeans.variance`). None where MOST_SEEDS are too few, or nothing is known of the variance.
    """
    from scipy import stats

    if not (gap > 0 and np.isfinite(variance)):
        return None

    def separates(seeds: int) -> bool:
        df = (networks - 1) * (seeds - 1)
        critical = dunnett_critical_value(seeds, (seeds,) * (networks - 1), df, confidence)
        return bool(stats.nct.sf(critical, df, gap / np.sqrt(2 * variance / seeds)) >= power)

    if variance == 0:
        return 2
    low, high = 1, 2
    while not separates(high):
        low, high = high, 2 * high
        if low >= MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if separates(middle) else (middle, high)
    return high if high <= MOST_SEEDS else None
