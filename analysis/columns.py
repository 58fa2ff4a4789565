"""The columns of a run's frames, with their types."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

NETWORK = {
    "network": "str",
    "fingerprint": "str",
    "depth": "float64",
    "width": "float64",
    "resolution": "float64",
    "input_resolution": "int64",
    "parameters": "int64",
    "multiply_adds": "int64",
    "activations": "int64",
}

TRIALS = {
    "key": "str",
    **NETWORK,
    "step": "int64",
    "seed": "int64",
    "epochs": "int64",
    "learning_rate": "float64",
    "evaluate": "str",
    "status": "str",
    "reason": "str",
    "failed_step": "Int64",
    "val_accuracy": "float64",
    "test_accuracy": "float64",
    "fresh_accuracy": "float64",
    "loss": "float64",
    "seconds_build": "float64",
    "seconds_trace": "float64",
    "seconds_compile": "float64",
    "seconds_train": "float64",
    "seconds_evaluate": "float64",
    "peak_memory": "Int64",
    "device": "str",
    "machine": "str",
}
"""Columns of `Run.trials` with their types.

`network` is the family, and `depth`, `width`, `resolution` the scale that first led to the network `fingerprint`.
`step` is 1 for the networks of STEP 1, its baseline and rivals among them, 2 for what only STEP 2 trains, and 0 for
what neither did. `epochs` and `learning_rate` (the recipe's, see `Recipe.learning_rate`) are what it was trained by.
`evaluate` is "validation", "test" or "confirmation": the validation split, from a seed that selects nothing and judges
what STEP 1 selected, and its baseline. Accuracies are 0..1; each of `val_accuracy`, `test_accuracy` and
`fresh_accuracy` is missing where `evaluate` is another, so that none gets into the statistics of the others.
`seconds_*` are missing where another seed's trial did that work, and `peak_memory` is in bytes. `machine` is missing
but for trials of a cluster.
"""

CURVES = {
    "key": "str",
    "epoch": "int64",
    "step": "int64",
    "learning_rate": "float64",
    "train_loss": "float64",
    "accuracy": "float64",
    "loss": "float64",
}
"""Columns of `Run.curves`: one row an epoch of the trial `key`; `accuracy` (top-1, 0..1) and `loss` (cross-entropy in
nats) where it was evaluated. `step` counts the steps done by the end of the epoch."""

TIMINGS = {
    "key": "str",
    "phase": "str",
    "seconds": "float64",
}
"""Columns of `Run.timings`: the wall time of each phase (build, trace, compile, train, evaluate) of the trial `key`.
What the trials of one network share stands with the first of them."""

GROWTH = {
    "layers": "float64",
    "channels": "float64",
    "pixels": "float64",
    "realised_cost": "float64",
    "depth_share": "float64",
    "width_share": "float64",
    "resolution_share": "float64",
    "target_cost": "float64",
}

POINTS = {
    "phi": "float64",
    "alpha": "float64",
    "beta": "float64",
    "gamma": "float64",
    "cost_factor": "float64",
    **GROWTH,
    **NETWORK,
    "rejected": "str",
}
"""Columns of `Run.points`: one row a point of STEP 1's grid, and last the baseline with phi 0 and coefficients of 1.

`cost_factor` is alpha * beta^2 * gamma^2, and `rejected` why equation 2 refused the point. `layers`, `channels` and
`pixels` (a side) are what the network has relative to the baseline, missing in runs that did not record them and, but
for pixels, where the family has no plan. `realised_cost` is its cost relative to the baseline's, in multiply-adds or in
what `--match-by` names, and `target_cost` what its width was solved for, missing where all is rounded as in the paper.
`depth_share`, `width_share` and `resolution_share`, which add up to 1, are what layers, channels and input side make of
log2 of that cost; they are missing in runs that did not record them, and for the baseline.
"""

RIVALS = {"rival": "str", **POINTS}
"""Columns of `Run.rivals`: one row a rule that the grid's best is compared with, `rival` its name."""

MODELS = {
    "model": "str",
    "coefficients": "str",
    "phi": "float64",
    "alpha": "float64",
    "beta": "float64",
    "gamma": "float64",
    **GROWTH,
    **NETWORK,
    "training_cost": "float64",
    "trained": "bool",
}
"""Columns of `Run.models`: B0..B7 of STEP 2, by coefficients "found" and "published". Only the found have a phi and
alpha, beta, gamma; what a model has relative to the baseline is as in POINTS; `training_cost` is in multiply-adds, and
`trained` says whether the run's budget allows it."""

SWEEP = {"scaling": "str", **NETWORK}
"""Columns of `Run.sweep`: networks that `train` or `sweep` was given; `scaling` is "network", or "baseline", "depth",
"width", "resolution", "compound" or "given"."""

NAS = {
    "batch": "int64",
    "architecture": "str",
    "epochs": "int64",
    "cost": "float64",
    "accuracy": "float64",
    "reward": "float64",
    "finalist": "bool",
    **NETWORK,
}
"""Columns of `Run.nas`: the architectures that a search tried, in order. `cost` is by the search's metric, `accuracy`
and `reward` are from the first seed after `epochs`, and missing where training failed. Finalists were trained from all
others in the end."""


def frame(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> "pd.DataFrame":
    """The rows, each a value per column, as a frame with these columns alone."""
    import pandas as pd

    return pd.DataFrame(
        {
            # Arrays, as pandas would align Series by their indices, in a third of the time.
            name: pd.Series([_text(row[name]) if kind == "str" else row[name] for row in rows], dtype=kind).array
            for name, kind in columns.items()
        }
    )


def _text(value: Any) -> Any:
    """Text as pandas can have it: bytes of a file's name that are no text are spelt out."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def typed(row: Mapping[str, Any], columns: Mapping[str, str]) -> Mapping[str, Any]:
    """`row` unchanged. Raises ValueError where a value does not fit its column."""
    for name, kind in columns.items():
        value = row[name]
        if value is None:
            fits = kind in ("str", "float64", "Int64")
        elif kind in ("str", "bool"):
            fits = isinstance(value, str if kind == "str" else bool)
        else:
            fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if fits and kind != "float64":
                fits = value == int(value) and abs(value) < 2**63
            if fits and name in ("val_accuracy", "test_accuracy", "fresh_accuracy", "accuracy"):
                fits = 0 <= value <= 1
        if not fits:
            raise ValueError(f"{name} is {value!r}")
    return row
