"""What each model of STEP 2 gains on the one before: the difference of two measured means, with its interval."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.findings.confirmed import Confirmed
    from scaling_search.analysis.statistics.means import SeedMeans

GAIN = ("gain", "gain_low", "gain_high")


def gains(
    table: "pd.DataFrame", means: "SeedMeans", fresh: Mapping[str, "Confirmed"], confidence: float
) -> "pd.DataFrame":
    """Columns GAIN for each row of a `step2_table`: its accuracy less that of the model before, of the same
    coefficients. Missing where one of the two was not measured, or both are one network.

    Welch's t, for each difference by itself. A network's trainings scatter as they do themselves, where fresh seeds
    judge it, and else as `means`, of the whole run, says of it.
    """
    import pandas as pd

    rows = pd.DataFrame(np.nan, index=table.index, columns=list(GAIN))
    for _, models in table.groupby("coefficients"):
        measured = models["source"] == "measured"
        for before, index in zip(models.index[:-1], models.index[1:], strict=True):
            pair = tuple(table.loc[[index, before], "fingerprint"])
            if measured[before] and measured[index] and pair[0] != pair[1]:
                gain = table["val_accuracy"][index] - table["val_accuracy"][before]
                half = _half(pair, means, fresh, confidence)
                rows.loc[index] = gain, gain - half, gain + half
    return rows


def _half(pair: tuple[str, ...], means: "SeedMeans", fresh: Mapping[str, "Confirmed"], confidence: float) -> float:
    """Half the interval of the difference of two networks' means."""
    from scipy import stats

    parts: list[tuple[float, float]] = []
    for name in pair:
        if name in fresh:
            parts.append((fresh[name].variance, fresh[name].df))
            continue
        (at,) = np.flatnonzero(means.table.index == name)
        parts.append((means.variances[at] / means.table["seeds"].iloc[at], means.dfs[at]))
        # What a seed does to all alike cancels only where both networks have the same seeds.
        if means.blocks and any(other in fresh for other in pair):
            parts.append((means.seed_variance / means.blocks, means.blocks - 1))
    variance, df = np.array([part for part in parts if part[0] != 0]).reshape(-1, 2).T
    if not len(variance):
        return 0.0
    welch = variance.sum() ** 2 / np.sum(variance**2 / df)
    return float(stats.t.ppf((1 + confidence) / 2, welch) * np.sqrt(variance.sum()))
