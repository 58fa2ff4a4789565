"""What networks reached on the test split, which no other table takes into account."""

from typing import TYPE_CHECKING

from scaling_search.analysis.findings.step1 import preferred_rules
from scaling_search.analysis.statistics.means import seed_means

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.frames import Run


def tested_table(run: "Run", confidence: float = 0.95) -> "pd.DataFrame | None":
    """One row a network evaluated on the test split, or None where there is none.

    Columns: `alpha`, `beta`, `gamma` (NaN for a network that is not of the grid), `test_accuracy` (mean over seeds,
    0..1), `low`, `high` (Student's t over the network's own seeds), `seeds`, `fingerprint`.
    """
    import pandas as pd

    trials = run.trials[run.trials["test_accuracy"].notna()]
    if trials.empty:
        return None
    judged = trials.assign(val_accuracy=trials["test_accuracy"])
    means = pd.concat([seed_means(own, confidence).table for _, own in judged.groupby("fingerprint")])
    rules = preferred_rules(run.points[run.points["phi"] != 0]).set_index("fingerprint")[["alpha", "beta", "gamma"]]
    table = means.rename(columns={"val_accuracy": "test_accuracy"}).join(rules).reset_index()
    return table[["alpha", "beta", "gamma", "test_accuracy", "low", "high", "seeds", "fingerprint"]]
