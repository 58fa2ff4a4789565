"""Rivals of STEP 1's rule: others that were trained at the same cost, such as each dimension alone."""

from typing import TYPE_CHECKING

import numpy as np

from scaling_search.analysis.findings.region import SHARES
from scaling_search.analysis.findings.step1 import pair_interval
from scaling_search.analysis.statistics.means import seed_means

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.findings.step1 import Standing

_GIVEN = (
    *("rival", "alpha", "beta", "gamma", "layers", "channels", "pixels", "realised_cost", *SHARES, "network"),
    *("depth", "width", "resolution", "input_resolution", "parameters", "multiply_adds", "activations"),
)


def rivals_table(
    rivals: "pd.DataFrame", trials: "pd.DataFrame", winner: "Standing", confidence: float = 0.95
) -> "pd.DataFrame":
    """One row a rival, compared with `Judgement.winner`. Arguments are `rivals` and `trials` of a Run.

    Depth, width and resolution alone test the paper's claim that compound scaling beats a single dimension (Figure 8).

    Columns: `rival` (its name), `alpha`, `beta`, `gamma`, `layers`, `channels`, `pixels`, `realised_cost` (relative to
    the baseline's, see `columns.POINTS`), `depth_share`, `width_share`, `resolution_share` (of its growth), `network`
    (the family), `depth`, `width`, `resolution`, `input_resolution`, `parameters`, `multiply_adds`, `activations`,
    `val_accuracy` (mean over seeds, 0..1), `low`, `high`, `seeds`, `difference` (its accuracy less the winner's),
    `difference_low`, `difference_high` (`step1.pair_interval`, for each rival by itself), `note`, `fingerprint`.

    The winner was picked by the same trainings, which flatters it: a rival by name was not picked.
    """
    trials = trials[(trials["evaluate"] == "validation") & (trials["step"] == 1)]
    means = seed_means(trials, confidence)
    table = rivals.join(means.table, on="fingerprint")
    table["difference"] = table["val_accuracy"] - winner.val_accuracy
    halves = [
        np.nan if value != value else pair_interval(means, (name, winner.fingerprint), confidence)[1]
        for name, value in zip(table["fingerprint"], table["difference"], strict=True)
    ]
    table["difference_low"], table["difference_high"] = table["difference"] - halves, table["difference"] + halves
    same = table["fingerprint"] == winner.fingerprint
    table.loc[same, ["difference_low", "difference_high"]] = 0.0
    table["seeds"] = table["seeds"].fillna(0).astype("int64")
    table["note"] = np.select(
        [table["rejected"].notna(), same, table["seeds"] == 0],
        [table["rejected"].astype("object").fillna(""), "its own network", "not trained"],
        "",
    )
    measured = ("val_accuracy", "low", "high", "seeds", "difference", "difference_low", "difference_high")
    return table[[*_GIVEN, *measured, "note", "fingerprint"]]
