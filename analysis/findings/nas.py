"""A search for a baseline as a table: its architectures by their rewards."""

from typing import TYPE_CHECKING

from scaling_search.analysis.statistics.means import run_means

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.frames import Run


def nas_table(run: "Run") -> "pd.DataFrame":
    """One row a network of `Run.nas`, the finalists first, then by falling reward; what failed or was sorted out last.

    Columns: `rank`, `architecture`, `input_resolution`, `parameters`, `multiply_adds`, `activations`, `cost` (by the
    search's metric), `epochs`, `val_accuracy` (0..1: of a finalist, the mean over the seeds that did not select it; of
    the others, by the first seed, and after fewer epochs where the search sorted it out), `low`, `high` (see
    `means.run_means`), `seeds`, `reward` (of that accuracy), `batch` in which it was first proposed, `finalist` and
    `fingerprint`. The best by one seed are lucky ones as well, so finalists are only compared with each other.
    """
    import numpy as np

    table = run.nas.drop_duplicates("fingerprint").set_index("fingerprint")
    # What the cost makes of an accuracy: accuracy * (cost / T)^w.
    factor = table["reward"] / table["accuracy"]
    judging = run.judging
    if judging["val_accuracy"].notna().any():
        table = table.join(run_means(judging)).fillna({"val_accuracy": table["accuracy"], "seeds": 1})
    else:
        table = table.assign(val_accuracy=table["accuracy"], low=np.nan, high=np.nan, seeds=1)
    table["seeds"] = table["seeds"].where(table["val_accuracy"].notna(), 0).astype("int64")
    table["reward"] = (table["val_accuracy"] * factor).where(table["finalist"], table["reward"])
    order = ["finalist", "epochs", "reward", "batch"]
    table = table.sort_values(order, ascending=[False, False, False, True], na_position="last", kind="stable")
    table = table.reset_index()
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    costs = ["input_resolution", "parameters", "multiply_adds", "activations", "cost", "epochs"]
    means = ["val_accuracy", "low", "high", "seeds", "reward"]
    return table[["rank", "architecture", *costs, *means, "batch", "finalist", "fingerprint"]]
