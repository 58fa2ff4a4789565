"""Networks of STEP 1 by fresh seeds: the answer, the best measured and the baseline that they are compared with."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling_search.analysis.statistics.collapses import without_collapsed
from scaling_search.analysis.statistics.means import check_confidence

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.findings.step1 import Judgement


JUDGED = ("val_accuracy", "low", "high", "seeds")
"""What tables of networks have in common with `Confirmed`."""


@dataclass(frozen=True)
class Confirmed:
    """A network's accuracy on the validation split, by seeds that did not select it."""

    fingerprint: str
    val_accuracy: float
    """Mean over these seeds, 0..1."""
    low: float
    high: float
    seeds: int
    """How many of them finished."""
    variance: float
    """Of the mean, by the network's own trainings; NaN where a single one has finished."""
    df: int
    """Degrees of freedom of `variance`."""
    collapsed: int
    """How many of its trainings, selecting ones too, ended far below the others."""
    selected_at: float | None
    """Mean over the seeds that selected it, which flatter it; NaN where none finished, None where nothing selected it,
    so that `val_accuracy` is over all its seeds."""


def confirm(
    trials: "pd.DataFrame", fingerprint: str, confidence: float = 0.95, *, selected: bool = True
) -> Confirmed | None:
    """The network's mean with its interval, once a fresh seed has finished; before, None.

    The best mean of many is too high, since luck took part in the selection; fresh seeds had no part in it. So of a
    network that was `selected` the mean is theirs alone, of another over all its seeds. The interval is Student's t by
    the network's own trainings: their deviation from the mean of the fresh seeds or of those that selected it, each
    about its own. It holds however other networks scatter. `trials` is that of a Run.
    """
    from scipy import stats

    check_confidence(confidence)
    own = trials[trials["fingerprint"] == fingerprint]
    fresh, selecting = (own[name].dropna().to_numpy(np.float64) for name in ("fresh_accuracy", "val_accuracy"))
    if not len(fresh):
        return None
    judging = fresh if selected else np.concatenate([fresh, selecting])
    groups = [group for group in (fresh, selecting) if len(group)] if selected else [judging]
    df = sum(len(group) - 1 for group in groups)
    squares = sum(float(np.sum((group - group.mean()) ** 2)) for group in groups)
    variance = squares / df / len(judging) if df else np.nan
    mean, half = float(judging.mean()), float(stats.t.ppf((1 + confidence) / 2, df or np.nan) * np.sqrt(variance))
    at = float(selecting.mean()) if len(selecting) else np.nan
    return Confirmed(
        fingerprint=fingerprint,
        val_accuracy=mean,
        low=max(mean - half, 0.0) if df else np.nan,
        high=min(mean + half, 1.0) if df else np.nan,
        seeds=len(judging),
        variance=variance,
        df=df,
        collapsed=len(own) - int((without_collapsed(trials)["fingerprint"] == fingerprint).sum()),
        selected_at=at if selected else None,
    )


def confirm_all(
    trials: "pd.DataFrame", selected: Iterable[str], others: Iterable[str], confidence: float = 0.95
) -> dict[str, Confirmed]:
    """`confirm` of networks that were `selected` and of `others`, by fingerprint, as far as fresh seeds finished."""
    named = dict.fromkeys(others, False) | dict.fromkeys(selected, True)
    found = {name: confirm(trials, name, confidence, selected=how) for name, how in named.items()}
    return {name: one for name, one in found.items() if one is not None}


def as_judged(row: dict[str, Any], fresh: Mapping[str, Confirmed]) -> dict[str, Any]:
    """A network's row with its accuracy, interval and seeds as fresh seeds have them, where they judged it."""
    judged = fresh.get(row["fingerprint"])
    if judged is None:
        return row
    return row | {name: getattr(judged, name) for name in JUDGED}


def named_networks(judgement: "Judgement") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Fingerprints of the networks that fresh seeds judge: those that STEP 1 selected, and its baseline."""
    selected = dict.fromkeys((judgement.winner.fingerprint, judgement.best.fingerprint))
    return tuple(selected), (judgement.baseline.fingerprint,)
