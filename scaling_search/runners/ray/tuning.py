"""A plan as Ray Tune sees it: a searcher that suggests its groups, and a scheduler that keeps their processes warm."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from scaling_search.runners.agenda import Agenda, Group
from scaling_search.runners.ray.worker import CORES, GROUP, LAST, OUTCOME

DIED = "its process died twice: killed, for want of memory say, or crashed"


class Interrupted(BaseException):
    """Carries what the plan or the recording raised, its cause, out of Tune, which keeps every Exception to itself."""


@contextmanager
def _let_out() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise Interrupted from error


class PlanSearcher(Searcher):
    """Suggests the groups of a plan, none while it waits for outcomes, and takes the outcomes back."""

    def __init__(self, agenda: Agenda[Any], slots: int, cores: int) -> None:
        super().__init__()
        self._agenda = agenda
        self._slots = slots
        self._cores = cores
        self._untrained: dict[str, Group] = {}
        self.reasons: dict[str, str] = {}

    def suggest(self, trial_id: str) -> Any:
        """The config of the next trial."""
        if self._agenda.done:
            return Searcher.FINISHED
        group = self._agenda.next_group(self._slots)
        if group is None:
            return None
        self._untrained[trial_id] = group
        return {GROUP: group, CORES: self._cores}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Takes the outcome of the trial's next spec."""
        spec, *left = self._untrained[trial_id]
        self._untrained[trial_id] = tuple(left)
        with _let_out():
            self._agenda.report(spec, result[OUTCOME])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Where the trial's process died before its end, gives back what it did not train."""
        with _let_out():
            self._agenda.report_lost(self._untrained.pop(trial_id), self.reasons.get(trial_id, DIED))

    def give_all_back(self, reason: str) -> bool:
        """Gives back all that is being trained, as Tune itself has failed. Says whether there was anything."""
        trials = [trial_id for trial_id, group in self._untrained.items() if group]
        self.reasons.update(dict.fromkeys(trials, reason))
        for trial_id in trials:
            self.on_trial_complete(trial_id)
        return bool(trials)

    def save(self, checkpoint_path: str) -> None:
        """Keeps nothing: a run is taken up again from its own records."""

    def restore(self, checkpoint_path: str) -> None:
        """Has nothing to restore."""


class KeepWarm(FIFOScheduler):
    """Runs trials in order, and ends none before another can take over its process or the plan is done.

    Left to itself, Tune ends all but one of the processes that no trial waits for, which is most of them at the end
    of every batch of a plan.
    """

    def __init__(self, agenda: Agenda[Any], searcher: PlanSearcher) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._agenda = agenda
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
        while self._agenda.done and self._idle:
            tune_controller.stop_trial(self._idle.pop())
        return chosen


def _reason(trial: Trial) -> str:
    with suppress(OSError, TypeError):
        text = Path(trial.error_file).read_text(encoding="utf-8")
        if "creation task" in text:
            return f"its process could not start: {text.strip().splitlines()[-1]}"
    return DIED
