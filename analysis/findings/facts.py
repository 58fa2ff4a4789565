"""What a run found, judged once: the facts that figures, tables and the report are made from."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling_search.analysis.findings.advice import advice_of
from scaling_search.analysis.findings.certainty import Certainty, certainty_of
from scaling_search.analysis.findings.confirmed import Confirmed, confirm_all, named_networks
from scaling_search.analysis.findings.epochs import ByEpochs, by_epochs
from scaling_search.analysis.findings.frontier import frontier_frame
from scaling_search.analysis.findings.nas import nas_table
from scaling_search.analysis.findings.rates import Rates, rates_of
from scaling_search.analysis.findings.rivals import rivals_table
from scaling_search.analysis.findings.step1 import judge, preferred_rules
from scaling_search.analysis.findings.step2 import step2_table
from scaling_search.analysis.findings.sweep import sweep_table
from scaling_search.analysis.findings.tested import tested_table
from scaling_search.analysis.statistics.scales import DIMENSIONS
from scaling_search.errors import UserError
from scaling_search.store import RunDirectory

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.findings.step1 import Judgement, Standing
    from scaling_search.analysis.frames import Run


@dataclass(frozen=True)
class Progress:
    """How many of the planned trainings have ended."""

    planned: int
    finished: int
    failed: int

    @property
    def complete(self) -> bool:
        """Whether every planned training has ended."""
        return 0 < self.planned == self.finished + self.failed


@dataclass(frozen=True, eq=False)
class Facts:
    """What a run found, as far as its records go. Made by `facts_of`; `of_run.Findings` adds figures and a report."""

    run: "Run"
    judgement: "Judgement | None"
    """STEP 1, once a network of it has finished."""
    fresh: dict[str, Confirmed]
    """By fingerprint, its winner, its best network and the baseline, once fresh seeds of them have finished."""
    certainty: Certainty | None
    """How sure STEP 1 is; None where its trainings are not given out in rounds (`--certainty`)."""
    rivals: "pd.DataFrame | None"
    """What was trained to compare the winner with, as `rivals_table` gives it, once STEP 1 has one; else None."""
    step2: "pd.DataFrame | None"
    """B0..B7 as `step2_table` gives them, once STEP 2 is planned."""
    sweep: "pd.DataFrame | None"
    """Networks of `sweep` or `train` as `sweep_table` gives them."""
    nas: "pd.DataFrame | None"
    """Architectures of a search as `nas_table` gives them, once it has tried some."""
    by_epochs: ByEpochs | None
    """STEP 1 for each number of epochs; None where it is done for one (`--recipe.epochs 4 8 16`)."""
    probe: Rates | None
    """The probe of learning rates, as far as it goes; None where there is none (`--rates probe`)."""
    frontier: "pd.DataFrame | None"
    """Every measured network as `frontier_frame` gives it; None where there is none."""
    tested: "pd.DataFrame | None"
    """Networks evaluated on the test split as `tested_table` gives them; None where there are none."""
    missing: tuple[str, ...]
    """Sentences on what is still to come."""
    progress: Progress
    advice: tuple[str, ...]
    """Sentences on what the trainings say against their own recipe, data or baseline, and what to change."""
    names: dict[str, str]
    """A short name for each network, by fingerprint: its roles and its rule."""

    @property
    def winner(self) -> "Standing | None":
        """STEP 1's rule, `Judgement.winner`: `alpha`, `beta`, `gamma`, `val_accuracy` and more, or None."""
        return None if self.judgement is None else self.judgement.winner

    @property
    def confirmed(self) -> Confirmed | None:
        """The winner by seeds that did not select it, once one of these has finished."""
        return None if self.judgement is None else self.fresh.get(self.judgement.winner.fingerprint)

    @property
    def step1(self) -> "pd.DataFrame | None":
        """The grid of STEP 1, `Judgement.table`, or None."""
        return None if self.judgement is None else self.judgement.table

    @property
    def rates(self) -> "pd.DataFrame | None":
        """The probe of learning rates, `Rates.table`, or None."""
        return None if self.probe is None else self.probe.table

    @property
    def epochs(self) -> "pd.DataFrame | None":
        """STEP 1 by numbers of epochs, `ByEpochs.table`, or None."""
        return None if self.by_epochs is None else self.by_epochs.table

    @property
    def weights(self) -> tuple[Path, ...]:
        """Files of the weights that the run has kept, the first the likeliest to be wanted."""
        return tuple(RunDirectory(self.run.path).weights().values())

    @property
    def complete(self) -> bool:
        """Whether the run has trained all that it set out to train."""
        planned_all = 2 not in self.run.steps if self.run.kind == "method" else True
        planned_all = planned_all or self.step2 is not None
        if self.run.kind == "nas":
            planned_all = bool(self.run.finalists)
        return self.progress.complete and planned_all


_STATED_BY_MANIFEST: dict[str, Any] = {"data": str, "seeds": int}
_MAY_BE_STATED: dict[str, Any] = {
    "seed": int,
    "phi": int | float,
    "certainty": int | float | None,
    "within": int | float,
    "recipe": dict,
    "shorter": list,
    "family": str,
    "space": str,
    "rates": str,
}


def check_manifest(run: "Run") -> None:
    """Raises UserError unless the manifest says what the run is about."""
    config = run.manifest.get("config")
    given = config if isinstance(config, dict) else {}
    missing = [name for name, kind in _STATED_BY_MANIFEST.items() if not isinstance(given.get(name), kind)]
    missing += [name for name, kind in _MAY_BE_STATED.items() if name in given and not isinstance(given[name], kind)]
    if missing:
        raise UserError(
            f"the manifest of {run.path} does not state {', '.join(missing)}", hint="name a folder made by a run"
        )


def facts_of(run: "Run") -> Facts:
    """Judges a run by its records: finished, interrupted, going on, or nothing but a manifest.

    Raises:
        UserError: the manifest does not say what the run is about.

    """
    check_manifest(run)
    missing = []
    judgement = None
    fresh: dict[str, Confirmed] = {}
    if run.kind == "nas" and not run.finalists:
        missing.append("The search has not picked its finalists yet.")
    if run.kind in ("sweep", "train") and run.sweep.empty:
        missing.append("Its networks are not planned yet.")
    if not run.points.empty:
        try:
            judgement = judge(
                run.points,
                run.trials,
                rivals=run.rivals,
                planned=run.planned_seeds if run.rounds else None,
            )
            fresh = confirm_all(run.trials, *named_networks(judgement))
        except UserError as error:
            missing.append(f"STEP 1 has no winner yet: {error}.")
    elif 1 in run.steps:
        missing.append("The grid of STEP 1 is not planned yet, so there is no winner.")
    if 2 in run.steps and run.models.empty:
        missing.append("STEP 2 is not planned yet: it starts once STEP 1 has a winner.")
    measured = frontier_frame(run, fresh=fresh)
    if measured.empty:
        missing.append("No training has finished, so there is no accuracy to show.")
    names = _names(run, measured)
    region = judgement.surface if judgement is not None and judgement.by_region else None
    return Facts(
        run,
        judgement,
        fresh,
        certainty=None if judgement is None else certainty_of(run, judgement),
        rivals=None
        if judgement is None or run.rivals.empty
        else rivals_table(run.rivals, run.trials, judgement.winner),
        step2=None if run.models.empty else step2_table(run.models, run.trials, fresh=fresh, region=region),
        sweep=None if run.sweep.empty else sweep_table(run),
        nas=None if run.nas.empty else nas_table(run),
        by_epochs=None if judgement is None else by_epochs(run, judgement),
        probe=rates_of(run),
        frontier=None if measured.empty else measured,
        tested=tested_table(run),
        missing=tuple(missing),
        progress=_progress(run),
        advice=advice_of(run, names),
        names=names,
    )


def _progress(run: "Run") -> Progress:
    allowed = [name for part in (run.points, run.rivals) for name in part["fingerprint"][part["rejected"].isna()]]
    networks = {*allowed, *run.models["fingerprint"][run.models["trained"]], *run.sweep["fingerprint"]}
    # A search tries each architecture from one seed; those it dropped after fewer epochs have no trial here.
    whole = run.nas[run.nas["epochs"] == run.manifest["config"]["recipe"]["epochs"]]
    tried = set(whole["fingerprint"])
    mine = run.trials[(run.trials["evaluate"] == "validation") & run.trials["fingerprint"].isin(networks | tried)]
    from_all_seeds = networks | run.finalists
    seeds, in_rounds = int(run.manifest["config"]["seeds"]), run.planned_seeds
    planned = sum(max(seeds, in_rounds[name]) for name in from_all_seeds) + len(tried - from_all_seeds)
    if in_rounds:
        # There may be more, if the run was once asked to be surer.
        last = mine["fingerprint"].map(lambda name: max(seeds, in_rounds[name])).astype("int64")
        mine = mine[mine["seed"] < run.manifest["config"]["seed"] + last]
    if run.probe is not None:
        planned += seeds * sum(len(one["rates"]) for one in run.probe["probed"])
    planned += seeds * len(_shorter(run)) * len({*allowed})
    every = [mine["status"], run.probes["status"], run.shorter["status"]]
    finished = sum(int((one == "ok").sum()) for one in every)
    return Progress(planned, finished, sum(map(len, every)) - finished)


def _shorter(run: "Run") -> list[int]:
    """Fewer epochs than the run's for which it does STEP 1, if it does any."""
    return list(run.manifest["config"].get("shorter", ())) if 1 in run.steps else []


def _names(run: "Run", measured: "pd.DataFrame") -> dict[str, str]:
    grid, baseline = (run.points[(run.points["phi"] != 0) == in_grid] for in_grid in (True, False))
    roles: dict[str, list[str]] = {name: [] for name in measured["fingerprint"]}
    for name in baseline["fingerprint"]:
        roles.setdefault(name, []).append("baseline")
    for architecture, name in zip(run.nas["architecture"], run.nas["fingerprint"], strict=True):
        roles[name] = [architecture]
    for row in run.sweep.to_dict("records"):
        factor = f" {row[row['scaling']]:.4g}" if row["scaling"] in DIMENSIONS else ""
        roles.setdefault(str(row["fingerprint"]), []).append(f"{row['scaling']}{factor}")
    for model, by, name in zip(run.models["model"], run.models["coefficients"], run.models["fingerprint"], strict=True):
        roles.setdefault(name, []).append(f"{model} {by}")
    for rule in preferred_rules(grid).to_dict("records"):
        coefficients = ", ".join(f"{rule[name]:.4g}" for name in ("alpha", "beta", "gamma"))
        roles.setdefault(str(rule["fingerprint"]), []).append(f"({coefficients})")
    for rival, name in zip(run.rivals["rival"], run.rivals["fingerprint"], strict=True):
        roles.setdefault(name, []).append(rival)
    for row in measured.to_dict("records"):
        if not roles[row["fingerprint"]]:
            scale = f"depth {row['depth']:.4g}, width {row['width']:.4g}, resolution {row['resolution']:.4g}"
            roles[row["fingerprint"]].append(scale)
    return {name: ", ".join(words) for name, words in roles.items()}
