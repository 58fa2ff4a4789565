"""Run directories as data frames, whether a run is finished, interrupted or still going."""

import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling_search.analysis.columns import (
    CURVES,
    MODELS,
    NAS,
    POINTS,
    RIVALS,
    SWEEP,
    TIMINGS,
    TRIALS,
    frame,
    typed,
)
from scaling_search.analysis.rows import (
    curve_rows,
    model_rows,
    nas_rows,
    point_rows,
    rival_rows,
    sweep_rows,
    timing_rows,
    trial_row,
)
from scaling_search.errors import UserError
from scaling_search.plain import MALFORMED
from scaling_search.recorded import RecordedTable
from scaling_search.store import RunDirectory, is_fresh, is_probe, open_run

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Run:
    """What a run has written so far. The columns of each frame are listed in `columns`, as TRIALS and so on."""

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
    rounds: tuple[Mapping[str, int], ...] = ()
    """With `--certainty`, how many further trainings each round of STEP 1 gives to networks, by fingerprint."""
    exhausted: frozenset[str] = frozenset()
    """Fingerprints of networks that get no more: the last ones failed, or the table that is replayed has none."""
    probe: Mapping[str, Any] | None = None
    """With `--rates probe`, which networks it trains at which rates, and what follows; see `findings.rates`."""
    probes: "pd.DataFrame" = field(default_factory=lambda: frame([], TRIALS))
    """One row a finished trial of the probe, with the columns of `trials`, which has none of them."""
    shorter: "pd.DataFrame" = field(default_factory=lambda: frame([], TRIALS))
    """One row a finished trial of STEP 1 for fewer epochs than the run's, with the columns of `trials`, which has none
    of them."""

    @property
    def planned_seeds(self) -> Counter[str]:
        """By fingerprint, how many trainings of a network the rounds of STEP 1 plan; 0 where there are no rounds."""
        return sum((Counter(dict(one)) for one in self.rounds), Counter())

    @property
    def finalists(self) -> frozenset[str]:
        """Fingerprints of the best architectures of a search, which it trained from further seeds in the end."""
        return frozenset(self.nas["fingerprint"][self.nas["finalist"]])

    @property
    def judging(self) -> "pd.DataFrame":
        """`trials` without those that selected the finalists of a search: they came out best, so they flatter them."""
        if not self.finalists:
            return self.trials
        first = self.trials["seed"] == self.manifest["config"].get("seed", 0)
        again = self.trials["fingerprint"][~first & self.trials["val_accuracy"].notna()]
        return self.trials[~(first & self.trials["fingerprint"].isin(self.finalists & set(again)))]


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
    run's own and those that chose learning rates are in frames of their own; those by which a search sorts
    architectures out are left out.

    Raises:
        UserError: `path` is neither, or a document of the run cannot be read.

    """
    if Path(path).is_file():
        return _load_table(RecordedTable(Path(path)))
    directory = open_run(path)
    manifest = directory.manifest()
    points = frame(_rows_of(directory, "step1", point_rows, POINTS), POINTS)
    rivals = frame(_rows_of(directory, "step1", rival_rows, RIVALS), RIVALS)
    models = frame(_rows_of(directory, "step2", model_rows, MODELS), MODELS)
    sweep = frame(_rows_of(directory, "sweep", sweep_rows, SWEEP), SWEEP)
    nas = frame(_rows_of(directory, "nas", nas_rows, NAS), NAS)
    allowed = {name for part in (points, rivals) for name in part["fingerprint"][part["rejected"].isna()]}
    elsewhere = 0 if points.empty and models.empty else 2
    frames, aside = _trial_frames(directory, lambda fingerprint: 1 if fingerprint in allowed else elsewhere)
    kind = directory.kind()
    steps = _steps_of(manifest, points, models, frames[0]) if kind == "method" else ()
    tables = (*frames, points, rivals, models, sweep, nas)
    notes, rounds, exhausted = _rounds_of(directory)
    run = Run(directory.path, manifest, *tables, kind, steps, notes, rounds, exhausted)
    return replace(run, probe=directory.document("rates"), probes=aside["probe"], shorter=aside["shorter"])


def _rounds_of(directory: RunDirectory) -> tuple[tuple[str, ...], tuple[dict[str, int], ...], frozenset[str]]:
    """Notes, trainings by round, and networks that get no more, as far as STEP 1 has them."""
    step1 = directory.document("step1") or {}
    try:
        rounds = tuple(
            {str(name): int(count) for name, count in one["trainings"].items()} for one in step1.get("rounds", ())
        )
        return tuple(map(str, step1.get("notes", ()))), rounds, frozenset(map(str, step1.get("exhausted", ())))
    except MALFORMED as error:
        raise _unreadable(directory, "step1", error) from None


def _steps_of(
    manifest: Mapping[str, Any], points: "pd.DataFrame", models: "pd.DataFrame", trials: "pd.DataFrame"
) -> tuple[int, ...]:
    """Steps that a run of the method does: as its manifest says or, in older ones that do not, by what it has."""
    config = manifest.get("config")
    if isinstance(config, dict) and isinstance(config.get("steps"), list):
        return tuple(step for step in (1, 2) if step in config["steps"])
    if points.empty and not models.empty:
        return (2,)
    # Only a run without STEP 2 tests the winner before STEP 2 is laid out.
    return (1,) if models.empty and (trials["evaluate"] == "test").any() else (1, 2)


def _load_table(table: RecordedTable) -> Run:
    empty = (frame([], columns) for columns in (POINTS, RIVALS, MODELS, SWEEP, NAS))
    frames, _ = _trial_frames(table, lambda fingerprint: 0)
    points, rivals, models, sweep, nas = empty
    return Run(table.path, table.manifest(), *frames, points, rivals, models, sweep, nas, "method", ())


def _trial_frames(
    source: RunDirectory | RecordedTable, step_of: Callable[[str], int]
) -> "tuple[tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame], dict[str, pd.DataFrame]]":
    """Trials, curves and timings, and trials that are none of these: of the probe, and of STEP 1 for fewer epochs.

    `step_of` is told a network's fingerprint.
    """
    trials, curves, timings = [], [], []
    aside: dict[str, list[Mapping[str, Any]]] = {"probe": [], "shorter": []}
    manifest = source.manifest()
    for record in source.records():
        try:
            # What the manifest lacks is said where a run is judged.
            epochs, asked = manifest["config"]["recipe"]["epochs"], manifest["config"].get("shorter", ())
            own, seed = record["spec"]["recipe"]["epochs"], record["spec"]["seed"]
            if own < epochs and own not in asked:
                continue
            network = trial_row(record, isinstance(seed, int) and is_fresh(manifest, seed))
            row = typed(network | {"step": step_of(network["fingerprint"])}, TRIALS)
            if own < epochs or is_probe(manifest, seed):
                aside["shorter" if own < epochs else "probe"].append(row)
                continue
            curve = [typed(epoch, CURVES) for epoch in curve_rows(record)]
            times = [typed(time, TIMINGS) for time in timing_rows(record)]
        except MALFORMED as error:
            warnings.warn(f"skipped record {record['key']} of {source.path}: {_wrong_in(error)}", stacklevel=3)
            continue
        trials.append(row)
        curves += curve
        timings += times
    frames = frame(trials, TRIALS), frame(curves, CURVES), frame(timings, TIMINGS)
    return frames, {name: frame(rows, TRIALS) for name, rows in aside.items()}


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
            part = getattr(run, name)
            part.insert(0, "run", pd.Series(folder, part.index, dtype="str"))
            parts.append(part)
        return pd.concat(parts, ignore_index=True)

    return Runs(together("trials"), together("curves"), together("timings"))


def _wrong_in(error: Exception) -> str:
    """What one of MALFORMED says of a document, in words."""
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _rows_of(directory: RunDirectory, name: str, rows: Any, columns: Mapping[str, str]) -> list[Any]:
    tree = directory.document(name)
    if tree is None:
        return []
    try:
        return [typed(row, columns) for row in rows(tree)]
    except MALFORMED as error:
        raise _unreadable(directory, name, error) from None


def _unreadable(directory: RunDirectory, name: str, error: Exception) -> UserError:
    return UserError(
        f"{directory.path / name}.json cannot be read: {_wrong_in(error)}",
        hint=f"run the step again: scaling-search resume {directory.path}",
    )
