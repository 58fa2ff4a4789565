"""Run directories as data frames, whether a run is finished, interrupted or still going."""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling_search.errors import UserError
from scaling_search.recorded import RecordedTable
from scaling_search.rule import CompoundRule
from scaling_search.store import RunDirectory, open_run

if TYPE_CHECKING:
    import pandas as pd

_NETWORK = {
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
    **_NETWORK,
    "step": "int64",
    "seed": "int64",
    "evaluate": "str",
    "status": "str",
    "reason": "str",
    "failed_step": "Int64",
    "val_accuracy": "float64",
    "test_accuracy": "float64",
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
what neither did. Accuracies are 0..1; `val_accuracy` is missing where the test split judged and `test_accuracy` where
the validation split did, so that neither gets into the other's statistics. `seconds_*` are missing where another seed's
trial did that work, and `peak_memory` is in bytes. `machine` is missing but for trials of a cluster.
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

_GROWTH = {
    "layers": "float64",
    "channels": "float64",
    "pixels": "float64",
    "realised_cost": "float64",
    "target_cost": "float64",
}

POINTS = {
    "phi": "float64",
    "alpha": "float64",
    "beta": "float64",
    "gamma": "float64",
    "cost_factor": "float64",
    **_GROWTH,
    **_NETWORK,
    "rejected": "str",
}
"""Columns of `Run.points`: one row a point of STEP 1's grid, and last the baseline with phi 0 and coefficients of 1.

`cost_factor` is alpha * beta^2 * gamma^2, and `rejected` why equation 2 refused the point. `layers`, `channels` and
`pixels` (a side) are what the network has relative to the baseline, missing in runs that did not record them and, but
for pixels, where the family has no plan. `realised_cost` is its cost relative to the baseline's, in multiply-adds or in
what `--match-by` names, and `target_cost` what its width was solved for, missing where all is rounded as in the paper.
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
    **_GROWTH,
    **_NETWORK,
    "training_cost": "float64",
    "trained": "bool",
}
"""Columns of `Run.models`: B0..B7 of STEP 2, by coefficients "found" and "published". Only the found have a phi and
alpha, beta, gamma; what a model has relative to the baseline is as in POINTS; `training_cost` is in multiply-adds, and
`trained` says whether the run's budget allows it."""

SWEEP = {"scaling": "str", **_NETWORK}
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
    **_NETWORK,
}
"""Columns of `Run.nas`: the architectures that a search tried, in order. `cost` is by the search's metric, `accuracy`
and `reward` are from one seed after `epochs`, and missing where training failed. Finalists were trained from all seeds
in the end."""


@dataclass(frozen=True, eq=False)
class Run:
    """What a run has written so far. The columns of each frame are listed in this module, as TRIALS and so on."""

    path: Path
    manifest: dict[str, Any]
    trials: "pd.DataFrame"
    """One row a finished trial."""
    curves: "pd.DataFrame"
    """One row an epoch of a trial."""
    timings: "pd.DataFrame"
    """One row a phase of a trial."""
    points: "pd.DataFrame"
    """One row a point of the grid; empty until STEP 1 is laid out."""
    rivals: "pd.DataFrame"
    """One row a rule that the grid's best is compared with; empty in runs without `--rivals`."""
    models: "pd.DataFrame"
    """One row a model and set of coefficients; empty until STEP 2 is laid out."""
    sweep: "pd.DataFrame"
    """One row a network of `train` or `sweep`; empty in other runs."""
    nas: "pd.DataFrame"
    """One row an architecture that `nas` tried; empty in other runs."""
    kind: str
    """What kind of run it is: method, sweep, train or nas."""
    steps: tuple[int, ...]
    """Steps of the method that the run does: (1, 2), (1,) or (2,); empty in runs of another kind."""
    notes: tuple[str, ...] = ()
    """What STEP 1 was laid out with: sides whose last map has a single pixel, how well costs are matched."""

    @property
    def finalists(self) -> frozenset[str]:
        """Fingerprints of the architectures that a search trained from all seeds in the end."""
        return frozenset(self.nas["fingerprint"][self.nas["finalist"]])


def family_of(run: Run) -> str:
    """The network family that a run is of; the space of architectures where it is a search."""
    config = run.manifest["config"]
    return str(config.get("family") or config.get("space"))


@dataclass(frozen=True, eq=False)
class Runs:
    """Several runs in one set of frames: the columns of a Run's, and first `run`, the folder of the run."""

    trials: "pd.DataFrame"
    """One row a finished trial; one that several runs share is there for each."""
    curves: "pd.DataFrame"
    """One row an epoch of a trial."""
    timings: "pd.DataFrame"
    """One row a phase of a trial."""


def load_run(path: str | Path) -> Run:
    """The frames of a run directory, or of a recorded table, which has only trials, curves and timings.

    Trial records that cannot be read are skipped with a warning that names them. Trainings of fewer epochs than the
    run's own, by which a search sorts architectures out, are left out.

    Raises:
        UserError: `path` is neither, or a document of the run cannot be read.

    """
    if Path(path).is_file():
        return _load_table(RecordedTable(Path(path)))
    directory = open_run(path)
    manifest = directory.manifest()
    points = _frame(_rows_of(directory, "step1", _point_rows, POINTS), POINTS)
    rivals = _frame(_rows_of(directory, "step1", _rival_rows, RIVALS), RIVALS)
    models = _frame(_rows_of(directory, "step2", _model_rows, MODELS), MODELS)
    sweep = _frame(_rows_of(directory, "sweep", _sweep_rows, SWEEP), SWEEP)
    nas = _frame(_rows_of(directory, "nas", _nas_rows, NAS), NAS)
    allowed = {name for part in (points, rivals) for name in part["fingerprint"][part["rejected"].isna()]}
    elsewhere = 0 if points.empty and models.empty else 2
    frames = _trial_frames(directory, lambda fingerprint: 1 if fingerprint in allowed else elsewhere)
    kind = directory.kind()
    steps = _steps_of(manifest, points, models, frames[0]) if kind == "method" else ()
    notes = tuple(map(str, (directory.document("step1") or {}).get("notes", ())))
    return Run(directory.path, manifest, *frames, points, rivals, models, sweep, nas, kind, steps, notes)


def _steps_of(
    manifest: Mapping[str, Any], points: "pd.DataFrame", models: "pd.DataFrame", trials: "pd.DataFrame"
) -> tuple[int, ...]:
    """Steps that a run of the method does: as its manifest says or, in older ones that do not, by what it has."""
    config = manifest.get("config")
    if isinstance(config, dict) and isinstance(config.get("steps"), list):
        return tuple(int(step) for step in config["steps"])
    if points.empty and not models.empty:
        return (2,)
    # Only a run without STEP 2 tests the winner before STEP 2 is laid out.
    return (1,) if models.empty and (trials["evaluate"] == "test").any() else (1, 2)


def _load_table(table: RecordedTable) -> Run:
    empty = (_frame([], columns) for columns in (POINTS, RIVALS, MODELS, SWEEP, NAS))
    frames = _trial_frames(table, lambda fingerprint: 0)
    points, rivals, models, sweep, nas = empty
    return Run(table.path, table.manifest(), *frames, points, rivals, models, sweep, nas, "method", ())


def _trial_frames(
    source: RunDirectory | RecordedTable, step_of: Callable[[str], int]
) -> "tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]":
    """Trials, curves and timings; `step_of` is told a network's fingerprint."""
    trials, curves, timings = [], [], []
    manifest = source.manifest()
    for record in source.records():
        try:
            if record["spec"]["recipe"]["epochs"] < manifest["config"]["recipe"]["epochs"]:
                continue
            network = _trial_row(record)
            row = _typed(network | {"step": step_of(network["fingerprint"])}, TRIALS)
            curve = [_typed(epoch, CURVES) for epoch in _curve_rows(record)]
            times = [_typed(time, TIMINGS) for time in _timing_rows(record)]
        except _UNREADABLE as error:
            warnings.warn(f"skipped record {record['key']} of {source.path}: {_wrong_in(error)}", stacklevel=3)
            continue
        trials.append(row)
        curves += curve
        timings += times
    return _frame(trials, TRIALS), _frame(curves, CURVES), _frame(timings, TIMINGS)


def load_runs(pattern: str) -> Runs:
    """The frames of every run whose folder matches `pattern`, such as "runs/*", sorted by name.

    Runs may be finished, interrupted or still going. Other files and folders are ignored; runs and records that cannot
    be read are skipped with a warning that names them.

    Raises:
        UserError: no run is left.

    """
    import pandas as pd

    runs = []
    for folder in sorted(glob(str(Path(pattern).expanduser()), recursive=True)):  # noqa: PTH207
        if (Path(folder) / "manifest.json").exists():
            try:
                runs.append((folder, load_run(folder)))
            except UserError as error:
                warnings.warn(f"skipped run {folder}: {error}", stacklevel=2)
    if not runs:
        raise UserError(f"no run matches {pattern!r}", hint='name folders that hold runs, as in "runs/*"')

    def together(name: str) -> "pd.DataFrame":
        parts = []
        for folder, run in runs:
            frame = getattr(run, name)
            frame.insert(0, "run", pd.Series(folder, frame.index, dtype="str"))
            parts.append(frame)
        return pd.concat(parts, ignore_index=True)

    return Runs(together("trials"), together("curves"), together("timings"))


def _frame(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=kind) for name, kind in columns.items()})


_UNREADABLE = (KeyError, TypeError, AttributeError, ValueError, OverflowError)


def _wrong_in(error: Exception) -> str:
    """What one of _UNREADABLE says of a document, in words."""
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _typed(row: Mapping[str, Any], columns: Mapping[str, str]) -> Mapping[str, Any]:
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
            if fits and name in ("val_accuracy", "test_accuracy", "accuracy"):
                fits = 0 <= value <= 1
        if not fits:
            raise ValueError(f"{name} is {value!r}")
    return row


def _network_row(network: dict[str, Any]) -> dict[str, Any]:
    costs = {name: network[name] for name in ("input_resolution", "parameters", "multiply_adds", "activations")}
    scale = {name: network["scale"][name] for name in ("depth", "width", "resolution")}
    return {"network": network["family"], "fingerprint": network["fingerprint"], **scale, **costs}


def _trial_row(record: dict[str, Any]) -> dict[str, Any]:
    spec, outcome = record["spec"], record["outcome"]
    accuracy = outcome["accuracy"] if outcome["status"] == "ok" else None
    phases = ("build", "trace", "compile", "train", "evaluate")
    return {
        "key": record["key"],
        **_network_row(spec["network"]),
        "seed": spec["seed"],
        "evaluate": spec["evaluate"],
        "status": outcome["status"],
        "reason": outcome["reason"],
        "failed_step": outcome["failed_step"],
        "val_accuracy": accuracy if spec["evaluate"] == "validation" else None,
        "test_accuracy": accuracy if spec["evaluate"] == "test" else None,
        "loss": outcome["loss"],
        **{f"seconds_{phase}": outcome["seconds"].get(phase) for phase in phases},
        "peak_memory": outcome["peak_memory"],
        "device": outcome["device"],
        # Records of older versions have none.
        "machine": outcome.get("machine"),
    }


def _curve_rows(record: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"key": record["key"]} | {name: epoch[name] for name in CURVES if name != "key"}
        for epoch in record["outcome"]["curve"]
    ]


def _timing_rows(record: dict[str, Any]) -> list[dict[str, Any]]:
    seconds = record["outcome"]["seconds"].items()
    return [{"key": record["key"], "phase": phase, "seconds": value} for phase, value in seconds]


def _point_rows(tree: dict[str, Any]) -> Iterable[dict[str, Any]]:
    baseline = _network_row(_baseline(tree))
    for point in tree["points"]:
        yield _point_row(point, tree)
    ones = dict.fromkeys(
        ("alpha", "beta", "gamma", "cost_factor", "layers", "channels", "pixels", "realised_cost"), 1.0
    )
    yield {"phi": 0.0, **ones, "target_cost": None, "rejected": None, **baseline}


def _rival_rows(tree: dict[str, Any]) -> Iterable[dict[str, Any]]:
    # Runs of older versions have none.
    for point in tree.get("rivals", ()):
        yield {"rival": point["rival"]} | _point_row(point, tree)


def _point_row(point: dict[str, Any], tree: dict[str, Any]) -> dict[str, Any]:
    network = tree["networks"][point["network"]]
    growth = _growth_row(point, network, _baseline(tree))
    row = _network_row(network)
    if growth["target_cost"] is None:
        # The point's own scale, not that of another which rounds to the same network.
        row |= asdict(CompoundRule(point["alpha"], point["beta"], point["gamma"]).at(tree["phi"]))
    own = {name: point[name] for name in ("alpha", "beta", "gamma", "cost_factor", "rejected")}
    return {"phi": tree["phi"], **own, **growth, **row}


def _baseline(tree: dict[str, Any]) -> dict[str, Any]:
    network: dict[str, Any] = tree["networks"][tree["baseline"]]
    return network


def _growth_row(row: dict[str, Any], network: dict[str, Any], baseline: dict[str, Any]) -> dict[str, Any]:
    """What a network has relative to the baseline; older versions recorded nothing of it."""
    growth = {name: row.get(name) for name in _GROWTH}
    if growth["realised_cost"] is None:
        growth["realised_cost"] = network["multiply_adds"] / baseline["multiply_adds"]
    return growth


def _model_rows(tree: dict[str, Any]) -> Iterable[dict[str, Any]]:
    none = dict.fromkeys(("alpha", "beta", "gamma"))
    baseline = next(tree["networks"][model["network"]] for model in tree["models"] if model["model"] == "B0")
    for model in tree["models"]:
        rule = tree["rule"] if model["coefficients"] == "found" else none
        own = {
            name: model[name]
            for name in ("model", "coefficients", "phi", "depth", "width", "resolution", "training_cost", "trained")
        }
        network = tree["networks"][model["network"]]
        growth = _growth_row(model, network, baseline)
        yield _network_row(network) | {name: rule[name] for name in none} | growth | own


def _sweep_rows(tree: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for row in tree["rows"]:
        yield {"scaling": row["scaling"]} | _network_row(row["network"])


def _nas_rows(tree: dict[str, Any]) -> Iterable[dict[str, Any]]:
    finalists = {row["network"] for row in tree["finalists"]}
    for row in tree["tried"]:
        network = tree["networks"][row["network"]]
        own = {name: row[name] for name in ("batch", "epochs", "cost", "accuracy", "reward")}
        own["finalist"] = row["network"] in finalists
        yield own | {"architecture": " ".join(network["options"]).removeprefix("architecture=")} | _network_row(network)


def _rows_of(directory: RunDirectory, name: str, rows: Any, columns: Mapping[str, str]) -> list[Any]:
    tree = directory.document(name)
    if tree is None:
        return []
    try:
        return [_typed(row, columns) for row in rows(tree)]
    except (*_UNREADABLE, ZeroDivisionError) as error:
        raise UserError(
            f"{directory.path / name}.json cannot be read: {_wrong_in(error)}",
            hint=f"run the step again: scaling-search resume {directory.path}",
        ) from None
