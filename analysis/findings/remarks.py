"""What STEP 1 says of its networks and of its own intervals, in words."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from scaling_search.analysis.statistics.deviations import FEWEST
from scaling_search.analysis.statistics.means import SeedMeans

if TYPE_CHECKING:
    import pandas as pd


def notes_of(table: "pd.DataFrame", trials: "pd.DataFrame", planned: Mapping[str, int] | None) -> list[str]:
    """What to say of each row of the grid: refusals, missing seeds, failures, collapsed trainings."""
    most = int(trials.groupby("fingerprint")["seed"].nunique().max())
    failures = trials[trials["status"] != "ok"].drop_duplicates("fingerprint").set_index("fingerprint")
    notes = []
    columns = (table[name] for name in ("rejected", "fingerprint", "seeds", "collapsed"))
    for rejected, fingerprint, seeds, collapsed in zip(*columns, strict=True):
        parts = []
        wanted = most if planned is None else planned.get(fingerprint, 0)
        if isinstance(rejected, str):
            parts = [f"refused by equation 2: {rejected}"]
        elif seeds < wanted:
            parts = [f"{seeds} of {wanted} seeds finished"]
            if fingerprint in failures.index:
                parts += [f"{failures['status'][fingerprint]}: {failures['reason'][fingerprint]}"]
        if collapsed > 0:
            parts.append(f"{collapsed:.0f} of {seeds} trainings collapsed")
        notes.append("; ".join(parts))
    return notes


def first_reason(trials: "pd.DataFrame") -> str:
    """How many trainings failed and why the first did, as the end of a sentence."""
    failed = trials[trials["status"] != "ok"]
    return "" if failed.empty else f"; {len(failed)} failed, the first because {failed['reason'].iloc[0]}"


def method_of(means: SeedMeans, confidence: float) -> str:
    """How networks were compared and what the intervals cover."""
    if np.isnan(means.variance):
        return "one seed a network: there are no intervals, and nothing says how sure these means are"
    networks = len(means.table)
    seeds = f"{means.blocks} seeds as blocks" if means.blocks else f"{means.table['seeds'].sum()} trainings"
    shared = "each network by its own deviation" if means.unlike else f"one variance, {means.df} degrees of freedom"
    return (
        f"{100 * confidence:g} % intervals cover seed-to-seed variation on this validation split, not the draw of its "
        f"images; {networks} networks, {seeds}, compared by {shared}"
    )


def warnings_of(means: SeedMeans) -> tuple[str, ...]:
    """What makes the intervals doubtful, a sentence each."""
    warnings = []
    if means.collapsed:
        many = means.collapsed > 1
        warnings.append(
            f"{means.collapsed} training{'s' * many} ended far below the other seeds of {'their' if many else 'its'} "
            "network, which no interval covers: look at the learning curves, train longer or at a lower learning rate."
        )
    if means.unlike and len(means.table) >= FEWEST:
        low, high = (100 * float(np.sqrt(end)) for end in (np.nanmin(means.variances), np.nanmax(means.variances)))
        warnings.append(
            f"Seeds scatter much more for some networks than for others (standard deviations {low:.1f} to {high:.1f} "
            "points): intervals of those that scatter most may be too narrow; train more seeds."
        )
    return tuple(warnings)
