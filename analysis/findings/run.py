"""What a run says so far, finished or not: its frames, what was judged by them, and in words what is not there yet."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scaling_search.analysis.findings.frontier import frontier_frame
from scaling_search.analysis.findings.nas import nas_table
from scaling_search.analysis.findings.step1 import judge, preferred_rules
from scaling_search.analysis.findings.step2 import step2_table
from scaling_search.analysis.findings.sweep import sweep_table
from scaling_search.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.findings.step1 import Judgement
    from scaling_search.analysis.frames import Run


@dataclass(frozen=True)
class Progress:
    """How many of the trainings that are laid out have come to their end."""

    planned: int
    finished: int
    failed: int

    @property
    def complete(self) -> bool:
        """Whether nothing that is laid out is missing."""
        return 0 < self.planned == self.finished + self.failed


@dataclass(frozen=True, eq=False)
class Findings:
    """A run, judged as far as its records go."""

    run: "Run"
    judgement: "Judgement | None"
    """STEP 1, where a network of it has finished."""
    step2: "pd.DataFrame | None"
    """B0..B7, where STEP 2 is laid out."""
    sweep: "pd.DataFrame | None"
    """Networks that were trained as they are, in a run of `train` or `sweep`; with their `fingerprint`."""
    nas: "pd.DataFrame | None"
    """Architectures by their rewards, where the run is a search that has tried some."""
    measured: "pd.DataFrame"
    """Every measured network as `frontier_frame` gives it; empty where none is."""
    missing: tuple[str, ...]
    """Sentences that say what there is not yet."""
    progress: Progress
    names: dict[str, str]
    """A short name for each network, by fingerprint: the parts it plays and its rule."""

    @property
    def complete(self) -> bool:
        """Whether all that the run set out to train is trained."""
        is_searched = bool(self.run.finalists)
        is_last = self.step2 is not None or self.sweep is not None or is_searched or only_step1(self.run)
        return self.progress.complete and is_last


_SAID_BY_MANIFEST: dict[str, Any] = {"family": str, "data": str, "phi": (int, float), "seeds": int}


def check_manifest(run: "Run") -> None:
    """Raises UserError where the manifest does not say what the run is about."""
    config = run.manifest.get("config")
    given = config if isinstance(config, dict) else {}
    lacking = [name for name, kind in _SAID_BY_MANIFEST.items() if not isinstance(given.get(name), kind)]
    if lacking:
        raise UserError(
            f"the manifest of {run.path} does not say {', '.join(lacking)}", hint="name a folder that run has made"
        )


def findings_of(run: "Run") -> Findings:
    """Judges what there is of a run, which may be nothing but the manifest. Raises UserError by `check_manifest`."""
    check_manifest(run)
    missing = []
    judgement = step2 = sweep = None
    nas = None if run.nas.empty else nas_table(run)
    if not run.sweep.empty:
        sweep = sweep_table(run).assign(fingerprint=run.sweep["fingerprint"])
    elif run.is_search:
        if not run.finalists:
            missing.append("The search goes on: its best have not been trained from all seeds yet.")
    elif run.points.empty:
        missing.append("The grid of STEP 1 is not laid out, so there is no winner.")
    else:
        try:
            judgement = judge(run.points, run.trials)
        except UserError as error:
            missing.append(f"STEP 1 has no winner yet: {error}.")
    if not run.models.empty:
        step2 = step2_table(run.models, run.trials)
    elif sweep is None and not run.is_search and not only_step1(run):
        missing.append("STEP 2 is not laid out: it begins when STEP 1 has a winner.")
    measured = frontier_frame(run)
    if measured.empty:
        missing.append("No training has finished, so there is no accuracy to show.")
    return Findings(run, judgement, step2, sweep, nas, measured, tuple(missing), _progress(run), _names(run, measured))


def only_step1(run: "Run") -> bool:
    """Whether the run is of `step1` alone: its winner has been tested, which `run` does only with STEP 2 laid out."""
    return run.models.empty and bool((run.trials["evaluate"] == "test").any())


def _progress(run: "Run") -> Progress:
    allowed = run.points["fingerprint"][run.points["rejected"].isna()]
    networks = {*allowed, *run.models["fingerprint"][run.models["trained"]], *run.sweep["fingerprint"]}
    # A search tries each architecture from one seed, and those that it sorted out in fewer epochs have no trial here.
    whole = run.nas[run.nas["epochs"] == run.manifest["config"]["recipe"]["epochs"]]
    tried = set(whole["fingerprint"])
    mine = run.trials[(run.trials["evaluate"] == "validation") & run.trials["fingerprint"].isin(networks | tried)]
    finished = int((mine["status"] == "ok").sum())
    from_all_seeds = networks | run.finalists
    planned = len(from_all_seeds) * int(run.manifest["config"]["seeds"]) + len(tried - from_all_seeds)
    return Progress(planned, finished, len(mine) - finished)


def _names(run: "Run", measured: "pd.DataFrame") -> dict[str, str]:
    grid, baseline = (run.points[(run.points["phi"] != 0) == in_grid] for in_grid in (True, False))
    parts: dict[str, list[str]] = {name: [] for name in measured["fingerprint"]}
    for name in baseline["fingerprint"]:
        parts.setdefault(name, []).append("baseline")
    for architecture, name in zip(run.nas["architecture"], run.nas["fingerprint"], strict=True):
        parts[name] = [architecture]
    for row in run.sweep.to_dict("records"):
        factor = f" {row[row['scaling']]:.4g}" if row["scaling"] in row else ""
        parts.setdefault(str(row["fingerprint"]), []).append(f"{row['scaling']}{factor}")
    for model, by, name in zip(run.models["model"], run.models["coefficients"], run.models["fingerprint"], strict=True):
        parts.setdefault(name, []).append(f"{model} {by}")
    for rule in preferred_rules(grid).to_dict("records"):
        coefficients = ", ".join(f"{rule[name]:.4g}" for name in ("alpha", "beta", "gamma"))
        parts.setdefault(str(rule["fingerprint"]), []).append(f"({coefficients})")
    for row in measured.to_dict("records"):
        if not parts[row["fingerprint"]]:
            scale = f"depth {row['depth']:.4g}, width {row['width']:.4g}, resolution {row['resolution']:.4g}"
            parts[row["fingerprint"]].append(scale)
    return {name: ", ".join(words) for name, words in parts.items()}
