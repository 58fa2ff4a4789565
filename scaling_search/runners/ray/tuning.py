"""A plan as Ray Tune sees it: a searcher that suggests its groups, and a scheduler that keeps their processes warm."""

from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from scaling_search.runners.agenda import Group
from scaling_search.runners.ray.private import creation_error
from scaling_search.runners.ray.worker import CORES, GROUP, LAST, OUTCOME
from scaling_search.trial import Outcome

DIED = "its process died twice: it crashed or was killed, out of memory for example"


class TrialsApart(Protocol):
    """`trials.Trials`, which are in another process."""

    @property
    def done(self) -> bool:
        """Whether the plan has ended."""

    def suggest(self, trial_id: str) -> Group | None:
        """What a new trial is to train, or None while there is nothing."""

    def report(self, trial_id: str, outcome: Outcome) -> None:
        """Hands over the outcome of the trial's next spec."""

    def ended(self, trial_id: str, reason: str) -> None:
        """Gives back what a trial has not trained."""


class PlanSearcher(Searcher):
    """Suggests the groups of a plan, none while it waits for outcomes, and hands the outcomes back."""

    def __init__(self, trials: TrialsApart, cores: int) -> None:
        super().__init__()
        self._trials = trials
        self._cores = cores
        self.reasons: dict[str, str] = {}

    def suggest(self, trial_id: str) -> Any:
        """The config of the next trial."""
        if self._trials.done:
            return Searcher.FINISHED
        group = self._trials.suggest(trial_id)
        return None if group is None else {GROUP: group, CORES: self._cores}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Hands over the outcome of the trial's next spec."""
        self._trials.report(trial_id, result[OUTCOME])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Where the trial's process died before its end, gives back what it did not train."""
        self._trials.ended(trial_id, self.reasons.get(trial_id, DIED))

    def save(self, checkpoint_path: str) -> None:
        """Keeps nothing: a run is taken up again from its own records."""

    def restore(self, checkpoint_path: str) -> None:
        """Has nothing to restore."""


class KeepWarm(FIFOScheduler):
    """Runs trials in order, and ends none before another can take over its process or the plan is done.

    Left to itself, Tune ends all but one of the processes that no trial waits for, which is most of them at the end
    of every batch of a plan.
    """

    def __init__(self, trials: TrialsApart, searcher: PlanSearcher) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._trials = trials
        self._searcher = searcher
        self._idle: list[Trial] = []
        self._served: set[str] = set()

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Leaves a trial that has trained its last spec as it is, with its process."""
        if not result[LAST]:
            return str(TrialScheduler.CONTINUE)
        self._idle.append(trial)
        return str(TrialScheduler.NOOP)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Finds out why a trial's process died, before the searcher is told that it did."""
        self._searcher.reasons[trial.trial_id] = _reason(trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """The first trial that waits. Ends one that holds an idle process for it to take over."""
        chosen: Trial | None = super().choose_trial_to_run(tune_controller)
        # One at a time, as Tune keeps one process more than it has trials scheduled to take them over.
        for trial in tune_controller.get_trials() if self._idle else ():
            if trial.status == Trial.PENDING and trial.trial_id not in self._served:
                self._served.add(trial.trial_id)
                tune_controller.stop_trial(self._idle.pop(0))
                break
        while self._trials.done and self._idle:
            tune_controller.stop_trial(self._idle.pop())
        return chosen


def _reason(trial: Trial) -> str:
    with suppress(OSError, TypeError):
        error = creation_error(Path(trial.error_file).read_text(encoding="utf-8"))
        if error is not None:
            return f"its process could not start: {error}"
    return DIED
