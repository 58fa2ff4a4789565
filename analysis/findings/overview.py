"""The runs of a folder in one table: what each is, how far it has come, what it found."""

import time
import warnings
from typing import TYPE_CHECKING, Any, Literal

from scaling_search.analysis.findings.facts import Facts, facts_of
from scaling_search.analysis.frames import load_run
from scaling_search.analysis.text.words import rule_in_brackets
from scaling_search.errors import UserError
from scaling_search.places import Place, inside, place_of
from scaling_search.store import RunDirectory

if TYPE_CHECKING:
    import pandas as pd

State = Literal["running", "complete", "incomplete", "empty"]

COLUMNS = {
    "run": "str",
    "kind": "str",
    "state": "str",
    "done": "int64",
    "planned": "int64",
    "failed": "int64",
    "result": "str",
    "val_accuracy": "float64",
    "low": "float64",
    "high": "float64",
    "bytes": "int64",
    "changed": "float64",
}


def overview(folder: str | Place = "runs") -> "pd.DataFrame":
    """One row a run in `folder`, the last changed first.

    Columns: `run` (its folder), `kind` (method, sweep, train, nas), `state`, `done` and `planned` (trainings, as far as
    they are planned), `failed`, `result` (the rule that won, the best architecture or network), `val_accuracy` of that
    with `low` and `high` (0..1), `bytes` on disk, `changed` (seconds since 1970, when its newest record was written).

    A run is "running" while a process works on it, "complete" once it has trained all it set out to, "empty" where it
    has no record, else "incomplete". Runs that cannot be read are skipped with a warning.

    Raises:
        UserError: There is no such folder, or no run in it.

    """
    import pandas as pd

    place = place_of(folder)
    if not place.is_dir():
        raise UserError(f"{str(folder)!r} is not a folder", hint="name the folder that holds runs, such as runs")
    rows = []
    for path in inside(place):
        if (path / "manifest.json").is_file():
            try:
                rows.append(_row(RunDirectory(path)))
            except UserError as error:
                warnings.warn(f"skipped {path}: {error}", stacklevel=2)
    if not rows:
        raise UserError(f"no runs in {str(folder)!r}", hint="try scaling-search run --phi 1 --quick")
    table = pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=kind) for name, kind in COLUMNS.items()})
    return table.sort_values("changed", ascending=False, kind="stable", ignore_index=True)


def _row(directory: RunDirectory) -> dict[str, Any]:
    facts = facts_of(load_run(directory.path))
    files = [file.stat() for file in directory.path.rglob("*") if file.is_file()]
    written = [directory.path / "manifest.json", *(directory.path / "trials").glob("*.json")]
    progress = facts.progress
    return {
        "run": str(directory.path),
        "kind": facts.run.kind,
        "state": _state(directory, facts),
        "done": progress.finished,
        "planned": progress.planned,
        "failed": progress.failed,
        **_result(facts),
        "bytes": sum(file.st_size for file in files),
        "changed": max(file.stat().st_mtime for file in written),
    }


def _state(directory: RunDirectory, facts: Facts) -> State:
    if directory.in_use():
        return "running"
    if facts.run.trials.empty:
        return "empty"
    return "complete" if facts.complete else "incomplete"


def _result(facts: Facts) -> dict[str, Any]:
    nothing = {"result": None, "val_accuracy": None, "low": None, "high": None}
    accuracy = ("val_accuracy", "low", "high")
    if facts.winner is not None:
        own = {name: getattr(facts.winner, name) for name in accuracy}
        return {"result": rule_in_brackets(vars(facts.winner)), **own}
    if facts.frontier is None:
        return nothing
    if facts.nas is not None and facts.nas["reward"].notna().any():
        best = facts.nas.nlargest(1, "reward")["fingerprint"]
        of_best = facts.frontier[facts.frontier["fingerprint"].isin(best)]
    else:
        of_best = facts.frontier.nlargest(1, "val_accuracy")
    if of_best.empty:
        return nothing
    row = of_best.iloc[0]
    return {"result": facts.names[row["fingerprint"]], **{name: row[name] for name in accuracy}}


def age(changed: float) -> str:
    """How long ago a time was, given in seconds since 1970: "3 hours"."""
    seconds = max(0.0, time.time() - changed)
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}" + "s" * (count != 1)
    return "under a minute"
