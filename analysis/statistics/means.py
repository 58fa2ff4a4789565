"""Mean accuracy of each network over its seeds, and how sure it is: networks by seeds, as a randomised block design."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scaling_search.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class SeedMeans:
    """The mean of every network over its seeds, and the variance that a difference of two is judged by."""

    table: "pd.DataFrame"
    """By fingerprint: `val_accuracy` (mean), `low`, `high`, `seeds` (how many finished)."""
    variance: float
    """Variance of one training about its network's mean (and its seed's, where seeds are blocks), in accuracy
    squared. NaN where no network has two seeds."""
    df: int
    """Degrees of freedom of `variance`."""
    blocks: int
    """How many seeds served as blocks; 0 where networks have different seeds."""


def check_confidence(confidence: float) -> None:
    """Raises UserError unless `confidence` is a number strictly between 0 and 1."""
    if not isinstance(confidence, int | float) or not 0 < confidence < 1:
        raise UserError(f"confidence {confidence!r} given", "it must lie between 0 and 1", "try 0.95")


def seed_means(trials: "pd.DataFrame", confidence: float = 0.95) -> SeedMeans:
    """Means over seeds of the networks in `trials`, from what was judged on the validation split.

    Seeds are few, so one variance is pooled over all networks given, which should be alike: those of STEP 1, say. An
    interval is that of Student's t for the mean of one network over seeds: it covers how initialisation, the order of
    images and their augmentation vary, on this one validation split. It does not cover which images the split drew.

    A seed has an effect of its own on every network where all see the same order of images. Where every network has
    the same seeds that effect is taken out of differences (`variance`, `df`), as in any randomised block design, but
    left in the intervals: their variance estimates block and residual together, and Satterthwaite's formula says
    with how many degrees of freedom. Where seeds are missing, seeds are no blocks.
    """
    import pandas as pd
    from scipy import stats

    check_confidence(confidence)
    finished = trials[trials["val_accuracy"].notna()]
    grid = finished.groupby(["fingerprint", "seed"])["val_accuracy"].mean().unstack()
    values = grid.to_numpy(np.float64)
    seeds = (~np.isnan(values)).sum(1)
    means = np.nansum(values, 1) / seeds
    networks, most = values.shape
    within = np.nansum((values - means[:, None]) ** 2)
    within_df = int(seeds.sum()) - networks
    if within_df <= 0:
        total = variance = freedom = np.nan
        df = blocks = 0
    elif networks > 1 and seeds.min() == most:
        block = networks * np.sum((values.mean(0) - values.mean()) ** 2)
        df, blocks = (networks - 1) * (most - 1), most
        variance = max(within - block, 0.0) / df
        total = within / within_df
        freedom = _satterthwaite(block / (most - 1), variance, networks, most)
    else:
        df, blocks = within_df, 0
        total = variance = within / within_df
        freedom = float(within_df)
    half = stats.t.ppf((1 + confidence) / 2, freedom) * np.sqrt(total / seeds)
    table = pd.DataFrame(
        {
            "val_accuracy": means,
            "low": np.maximum(means - half, 0.0),
            "high": np.minimum(means + half, 1.0),
            "seeds": seeds.astype(np.int64),
        },
        index=grid.index,
    )
    return SeedMeans(table, float(variance), df, blocks)


def run_means(trials: "pd.DataFrame", confidence: float = 0.95) -> "pd.DataFrame":
    """`SeedMeans.table` of all networks of a run. STEP 1's share one variance, and the larger ones of STEP 2 another.

    So a network has the same interval wherever it appears, in the table of STEP 1 as in every other.
    """
    import pandas as pd

    parts = [seed_means(part, confidence).table for _, part in trials.groupby("step")]
    return pd.concat([part for part in parts if len(part)] or [seed_means(trials, confidence).table])


def _satterthwaite(block_square: float, residual_square: float, networks: int, seeds: int) -> float:
    """Degrees of freedom of (block_square + (networks - 1) * residual_square) / networks, two mean squares' sum."""
    residual = (networks - 1) * residual_square
    total = (block_square + residual) ** 2
    spread = block_square**2 / (seeds - 1) + residual**2 / ((networks - 1) * (seeds - 1))
    return total / spread if spread > 0 else float(networks * (seeds - 1))
