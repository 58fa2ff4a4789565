"""Mean accuracy of each network over its seeds, and how sure it is: networks by seeds, as a randomised block design."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scaling_search.analysis.statistics.collapses import collapsed
from scaling_search.analysis.statistics.deviations import FEWEST, borrowed_deviations
from scaling_search.analysis.statistics.given import accuracies, column
from scaling_search.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SeedMeans:
    """The mean of every network over its seeds, and the variances that differences are judged by."""

    table: "pd.DataFrame"
    """By fingerprint: `val_accuracy` (mean), `low`, `high`, `seeds` (how many finished), `collapsed` (how many of these
    ended far below the others)."""
    variance: float
    """Variance of one training about its network's mean (and its seed's, where seeds are blocks), in accuracy squared,
    were it the same for all. NaN where no network has two seeds."""
    df: int
    """Degrees of freedom of `variance`."""
    blocks: int
    """How many seeds served as blocks; 0 where networks have different seeds."""
    variances: Floats
    """Variance of one training of each network by itself, see `deviations`, in the table's order."""
    dfs: Floats
    """Degrees of freedom of `variances`."""
    unlike: bool
    """Whether networks scatter too unlike each other for one `variance`, or are too few to tell."""
    seed_variance: float
    """Variance of what a seed does to all networks alike, where seeds are blocks; else 0."""

    @property
    def collapsed(self) -> int:
        """How many trainings ended far below the others of their network."""
        return int(self.table["collapsed"].sum())

    def of_means(self) -> tuple[Floats, Floats]:
        """The variance of each mean as networks are compared, and its degrees of freedom, in the table's order."""
        seeds = self.table["seeds"].to_numpy(np.float64)
        if self.unlike:
            return self.variances / seeds, self.dfs
        return self.variance / seeds, np.full(len(seeds), float(self.df))


def check_confidence(confidence: float) -> None:
    """Raises UserError unless `confidence` is a number strictly between 0 and 1."""
    if not isinstance(confidence, int | float) or not 0 < confidence < 1:
        raise UserError(f"confidence {confidence!r} given", "it must lie between 0 and 1", "try 0.95")


def seed_means(trials: "pd.DataFrame", confidence: float = 0.95) -> SeedMeans:
    """Means over seeds of the networks in `trials`, from what was judged on the validation split.

    Seeds are few, so how much a network's trainings scatter is judged by its own seeds and by those of all networks
    given, see `deviations.borrowed_deviations`. An interval covers how initialisation, the order of images and their
    augmentation vary, on this one validation split. It does not cover which images the split drew, nor that a network
    picked because it came out best has had luck.

    A seed has an effect of its own on every network where all see the same order of images. Where every network has
    the same seeds that effect is taken out of the variances, as in any randomised block design, but left in the
    intervals.

    Raises:
        UserError: accuracies are not numbers from 0 to 1.

    """
    import pandas as pd
    from scipy import stats

    check_confidence(confidence)
    accuracies(column(trials, "val_accuracy"), "val_accuracy")
    finished = trials[trials["val_accuracy"].notna()]
    grid = finished.groupby(["fingerprint", "seed"])["val_accuracy"].mean().unstack()
    values = grid.to_numpy(np.float64)
    seeds = (~np.isnan(values)).sum(1)
    means = np.nansum(values, 1) / seeds
    networks, most = values.shape
    squares = np.nansum((values - means[:, None]) ** 2, axis=1)
    own_df = seeds - 1.0
    shared = 0.0
    if not networks or not own_df.any():
        variance, df, blocks, unlike = np.nan, 0, 0, False
        half = variances = dfs = np.full(networks, np.nan)
    else:
        within = float(squares.sum())
        df, blocks = int(own_df.sum()), 0
        variance = within / df
        if networks > 1 and seeds.min() == most:
            block = networks * float(np.sum((values.mean(0) - values.mean()) ** 2))
            df, blocks = (networks - 1) * (most - 1), most
            variance = max(within - block, 0.0) / df
        own = np.divide(squares, own_df, out=np.full(networks, np.nan), where=own_df > 0)
        if blocks and networks >= FEWEST:
            own, shared = _without_seed_effects(values, means)
        deviations = borrowed_deviations(means, own, own_df)
        half = deviations.half_width(seeds.astype(np.float64), confidence)
        if shared:
            half = np.hypot(half, stats.t.ppf((1 + confidence) / 2, most - 1) * np.sqrt(shared / most))
        unlike = deviations.unlike
        variances, dfs = deviations.one_each()
    table = pd.DataFrame(
        {
            "val_accuracy": means,
            "low": np.maximum(means - half, 0.0),
            "high": np.minimum(means + half, 1.0),
            "seeds": seeds.astype(np.int64),
            "collapsed": collapsed(values).sum(1),
        },
        index=grid.index,
    )
    return SeedMeans(table, float(variance), df, blocks, variances, dfs, unlike, shared)


def _without_seed_effects(values: Floats, means: Floats) -> tuple[Floats, float]:
    """Mean squares of networks without what each seed does to all alike, and the variance of that.

    A seed's effect is the median over networks: those that scatter most must not make it.
    """
    networks, seeds = values.shape
    effects = np.median(values - means[:, None], axis=0)
    effects = effects - effects.mean()
    # Of the variance of a median, pi / 2 times that of a mean.
    taken = np.pi / 2 / networks
    own = ((values - means[:, None] - effects) ** 2).sum(1) / (seeds - 1) / (1 - taken)
    return own, max(float(effects.var(ddof=1)) - taken * float(np.median(own)), 0.0)


def run_means(trials: "pd.DataFrame", confidence: float = 0.95) -> "pd.DataFrame":
    """`SeedMeans.table` of all networks of a run.

    Those of STEP 1 are judged among themselves, so that a network has the same interval there as in every other table.
    """
    import pandas as pd

    everything = seed_means(trials, confidence).table
    first = trials[trials["step"] == 1]
    if len(first) in (0, len(trials)):
        return everything
    step1 = seed_means(first, confidence).table
    return pd.concat([step1, everything.drop(index=step1.index)])
