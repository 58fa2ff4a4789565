"""The winner of STEP 1, confirmed: its accuracy by seeds that did not select it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scaling_search.analysis.statistics.means import check_confidence

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Confirmed:
    """A network's accuracy on the validation split, by fresh seeds."""

    fingerprint: str
    val_accuracy: float
    """Mean over the fresh seeds, 0..1."""
    low: float
    high: float
    seeds: int
    """How many fresh seeds finished."""
    selected_at: float
    """Mean over the seeds that selected it, which flatter it."""


def confirm(trials: "pd.DataFrame", fingerprint: str, confidence: float = 0.95) -> Confirmed | None:
    """The network's mean over fresh seeds with its interval, or None where none has finished.

    The best mean of many is too high, since luck took part in the selection; fresh seeds had no part in it. The
    interval is Student's t by the network's own trainings: their deviation from the mean of the fresh seeds or of those
    that selected it, each about its own. It holds however other networks scatter. `trials` is that of a Run.
    """
    from scipy import stats

    check_confidence(confidence)
    own = trials[trials["fingerprint"] == fingerprint]
    fresh, selecting = (own[name].dropna().to_numpy(np.float64) for name in ("fresh_accuracy", "val_accuracy"))
    if not len(fresh):
        return None
    groups = [group for group in (fresh, selecting) if len(group)]
    df = sum(len(group) - 1 for group in groups)
    mean, half = float(fresh.mean()), np.nan
    if df:
        variance = sum(float(np.sum((group - group.mean()) ** 2)) for group in groups) / df
        half = float(stats.t.ppf((1 + confidence) / 2, df) * np.sqrt(variance / len(fresh)))
    return Confirmed(
        fingerprint=fingerprint,
        val_accuracy=mean,
        low=max(mean - half, 0.0) if df else np.nan,
        high=min(mean + half, 1.0) if df else np.nan,
        seeds=len(fresh),
        selected_at=float(selecting.mean()) if len(selecting) else np.nan,
    )
