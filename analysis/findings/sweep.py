"""Networks that were trained as they are, one dimension grown at a time for instance, in one table."""

from typing import TYPE_CHECKING

from scaling_search.analysis.statistics.means import run_means

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.frames import Run

COSTS = ("depth", "width", "resolution", "input_resolution", "parameters", "multiply_adds")


def sweep_table(run: "Run") -> "pd.DataFrame":
    """One row a network of `Run.sweep`, in its order.

    Columns: `scaling`, `depth`, `width`, `resolution`, `input_resolution`, `parameters`, `multiply_adds`,
    `of_baseline` (multiply-adds relative to the first row's), `val_accuracy` (mean over seeds, 0..1), `low`, `high`
    (see `means.run_means`), `seeds` that finished, `note` (why trials failed), `fingerprint`.
    """
    table = run.sweep[["scaling", *COSTS, "fingerprint"]].copy()
    table.insert(8, "of_baseline", table["multiply_adds"] / table["multiply_adds"].iloc[0])
    trained = run.trials["val_accuracy"].notna().any()
    means = run_means(run.trials) if trained else None
    for name in ("val_accuracy", "low", "high"):
        table[name] = float("nan") if means is None else table["fingerprint"].map(means[name])
    seeds = 0 if means is None else table["fingerprint"].map(means["seeds"]).fillna(0)
    table["seeds"] = seeds
    table["seeds"] = table["seeds"].astype("int64")
    failed = run.trials[run.trials["status"] != "ok"].drop_duplicates("fingerprint").set_index("fingerprint")["reason"]
    table["note"] = [failed.get(name, "") for name in table["fingerprint"]]
    return table.assign(fingerprint=table.pop("fingerprint"))
