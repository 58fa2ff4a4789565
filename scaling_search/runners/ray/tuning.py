"""A plan as Ray Tune sees it: a searcher that suggests its groups, and a scheduler that keeps their processes warm."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from scaling_search.errors import UserError
from scaling_search.runners.agenda import Group
from scaling_search.runners.ray.hosts import HostLostError
from scaling_search.runners.ray.private import creation_error, has_process, node_died
from scaling_search.runners.ray.worker import ACCELERATED, CORES, FOLLOWING, GROUP, LAST, OUTCOME
from scaling_search.trial import Outcome, Spec

DIED = "its process died twice: it crashed or was killed, out of memory for example"
NODE_DIED = "its machine left the cluster again and again"
_HOST_LOST = f"{HostLostError.__module__}.{HostLostError.__qualname__}: "
_REFUSAL = f"{UserError.__module__}.{UserError.__qualname__}: "


class TrialsApart(Protocol):
    """`trials.Trials`, which are in another process."""

    @property
    def done(self) -> bool:
        """Whether the plan has ended."""

    @property
    def most(self) -> int | None:
        """How many may run at a time where memory was short; None where it was not."""

    def suggest(self, trial_id: str) -> Group | None:
        """What a new trial is to train, or None while there is nothing."""

    def following(self) -> Spec | None:
        """What the trial that was given the last group will probably train after it."""

    def report(self, trial_id: str, outcome: Outcome) -> None:
        """Hands over the outcome of the trial's next spec."""

    def ended(self, trial_id: str, reason: str) -> None:
        """Gives back what a trial has not trained."""

    def node_died(self, trial_id: str, reason: str) -> None:
        """Gives back what a trial has not trained, as its machine has gone."""


class PlanSearcher(Searcher):
    """Suggests the groups of a plan, none while it waits for outcomes, and hands the outcomes back."""

    refusal: str | None = None
    """Why a machine would not train, one that joined the cluster late: no more is suggested then."""

    def __init__(self, trials: TrialsApart, demand: Mapping[str, float], *, looks_ahead: bool = False) -> None:
        """Where a process `looks_ahead`, and has more cores than one and no accelerator, it is told what follows."""
        super().__init__()
        self._trials = trials
        self._looks_ahead = looks_ahead and demand["CPU"] > 1 and demand["GPU"] == demand["TPU"] == 0
        self._setting = {CORES: int(demand["CPU"]), ACCELERATED: demand["GPU"] > 0 or demand["TPU"] > 0}
        self._deaths: dict[str, str] = {}
        self._trained: set[str] = set()

    @property
    def done(self) -> bool:
        """Whether there will be no more trials."""
        return self._trials.done or self.refusal is not None

    @property
    def most(self) -> int | None:
        """How many may run at a time where memory was short; None where it was not."""
        return self._trials.most

    def suggest(self, trial_id: str) -> Any:
        """The config of the next trial."""
        if self.done:
            return Searcher.FINISHED
        group = self._trials.suggest(trial_id)
        if group is None:
            return None
        ahead = {FOLLOWING: self._trials.following()} if self._looks_ahead else {}
        return {GROUP: group, **ahead, **self._setting}

    def died(self, trial_id: str, text: str) -> None:
        """Takes what Ray says of the death of a trial's process, before the trial is complete."""
        self._deaths[trial_id] = text
        error = creation_error(text) or ""
        if error.startswith(_REFUSAL):
            self.refusal = error.removeprefix(_REFUSAL)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Hands over the outcome of the trial's next spec."""
        self._trials.report(trial_id, result[OUTCOME])
        if result[LAST]:
            self._trained.add(trial_id)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Where the trial's process died before its end, gives back what it did not train."""
        text = self._deaths.pop(trial_id, "")
        if trial_id in self._trained:
            self._trained.remove(trial_id)
            return
        if node_died(text):
            self._trials.node_died(trial_id, NODE_DIED)
            return
        start = creation_error(text)
        if _HOST_LOST in text:
            reason = text.rpartition(_HOST_LOST)[2].splitlines()[0]
        else:
            reason = DIED if start is None else f"its process could not start: {start}"
        self._trials.ended(trial_id, reason)

    def save(self, checkpoint_path: str) -> None:
        """Keeps nothing: a run is taken up again from its own records."""

    def restore(self, checkpoint_path: str) -> None:
        """Has nothing to restore."""


class KeepWarm(FIFOScheduler):
    """Runs trials in order, and ends none before another can take over its process or the plan is done.

    Left to itself, Tune ends all but one of the processes that no trial waits for, which is most of them at the end
    of every batch of a plan.
    """

    def __init__(self, searcher: PlanSearcher) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._searcher = searcher
        self._idle: list[Trial] = []
        self._live: list[Trial] = []

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Remembers the trial until it ends: Tune would go through all there ever were, over and over."""
        self._live.append(trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Leaves a trial that has trained its last spec as it is, with its process."""
        if not result[LAST]:
            return str(TrialScheduler.CONTINUE)
        self._idle.append(trial)
        return str(TrialScheduler.NOOP)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Finds out why a trial's process died, before the searcher is told that it did."""
        with suppress(OSError, TypeError):
            self._searcher.died(trial.trial_id, Path(trial.error_file).read_text(encoding="utf-8"))

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """The first trial that waits for a process. Ends one that holds an idle process, for it to take over."""
        self._live = [trial for trial in self._live if not trial.is_finished()]
        # Not those that have taken over a process, and wait for it to be ready.
        waiting = [trial for trial in self._live if trial.status == Trial.PENDING and not has_process(trial)]
        # One at a time, as Tune keeps one process more than it has trials scheduled to take them over. Whichever trial
        # Tune gives it to, another is ended for as long as any waits: it may have nowhere else to run.
        if waiting and self._idle:
            tune_controller.stop_trial(self._idle.pop(0))
        while self._idle and (self._searcher.done or self._too_many()):
            tune_controller.stop_trial(self._idle.pop())
        return waiting[0] if waiting else None

    def _too_many(self) -> bool:
        """Whether memory was short, and more processes are there than may run at a time since."""
        most = self._searcher.most
        return most is not None and sum(trial.status == Trial.RUNNING for trial in self._live) > most


class Forget(Callback):
    """Drops what Tune would keep of each trial: in memory, and to be written when the plan is done."""

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """The outcome has been handed over."""
        del result[OUTCOME]

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Its specs are trained, or were given back."""
        trial.config, trial.evaluated_params = {}, {}
