"""Networks compared pair by pair over the seeds they share, and how many seeds it takes to tell two apart."""

from typing import TYPE_CHECKING

import numpy as np

from scaling_search.analysis.statistics.dunnett import dunnett_critical_value
from scaling_search.analysis.statistics.means import seed_means
from scaling_search.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

MOST_SEEDS = 10_000
"""Beyond this many seeds nobody trains a network to tell it from another."""


def paired_differences(trials: "pd.DataFrame", to: str, confidence: float = 0.95) -> "pd.DataFrame":
    """Every network of `trials` less the network with fingerprint `to`, seed by seed.

    By fingerprint: `difference` (mean over the seeds that both have, of validation accuracy, 0..1), `low` and `high`
    (Student's t for this pair by itself), `p` (two-sided, by itself), `p_adjusted` (Holm, 1979: with probability
    `confidence` or more no network that is truly equal has one below 1 - `confidence`) and `seeds` (how many both
    have). The variance is pooled over all networks as in `means.seed_means`; NaN where no
    network has two seeds. Raises UserError where `to` has no finished training.
    """
    import pandas as pd
    from scipy import stats

    means = seed_means(trials, confidence)
    if to not in means.table.index:
        raise UserError(f"network {to!r} has no finished training", "compare to one that has")
    finished = trials[trials["val_accuracy"].notna()]
    grid = finished.groupby(["fingerprint", "seed"])["val_accuracy"].mean().unstack()
    gaps = grid.drop(index=to) - grid.loc[to]
    seeds = gaps.notna().sum(axis=1)
    difference = gaps.mean(axis=1)
    error = np.sqrt(2 * means.variance / seeds.where(seeds > 0))
    half = stats.t.ppf((1 + confidence) / 2, means.df) * error
    p = pd.Series(2 * stats.t.sf((difference / error).abs(), means.df), gaps.index)
    return pd.DataFrame(
        {
            "difference": difference,
            "low": difference - half,
            "high": difference + half,
            "p": p,
            "p_adjusted": _holm(p),
            "seeds": seeds.astype("int64"),
        }
    )


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


def _holm(p: "pd.Series[float]") -> "pd.Series[float]":
    """Holm's adjusted p-values: NaN stays NaN and counts for none of the comparisons."""
    known = p.dropna().sort_values(kind="stable")
    factors = np.arange(len(known), 0, -1)
    return (known * factors).cummax().clip(upper=1.0).reindex(p.index)
