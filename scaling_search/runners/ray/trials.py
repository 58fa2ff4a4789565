"""The trials of Ray Tune as an agenda sees them: which group of specs each is training."""

from collections.abc import Callable
from typing import Any

from scaling_search.runners.agenda import Agenda, Group
from scaling_search.runners.ray.memory import kills_for_memory
from scaling_search.trial import Outcome, Spec

NODE_TRIES = 5
"""How often a spec is trained whose machine goes: seldom its fault, as machines are taken back or fail. Nor is it where
memory was short while others were trained beside it."""
NO_MEMORY = "its process was killed, as the machine was out of memory"


class Trials:
    """Gives groups out to trials and takes their outcomes back. A trial's id is Tune's."""

    def __init__(
        self,
        agenda: Agenda[Any],
        note: Callable[[str], None] = lambda line: None,
        kills: Callable[[], int] = kills_for_memory,
    ) -> None:
        """`kills` counts the processes that were killed for want of memory."""
        self.reported = 0
        """How many outcomes came from trainings."""
        self.note = note
        """Tells a person something."""
        self._agenda = agenda
        self.slots = 1
        """How many run at a time to begin with: more where machines join, fewer where memory is short."""
        self.most: int | None = None
        """How many may run at a time where memory was short; None where it was not."""
        self._rates_together = False
        self._stopping = False
        self._kills, self._counted = kills, kills()
        self._untrained: dict[str, Group] = {}

    @property
    def done(self) -> bool:
        """Whether the plan has ended."""
        return self._agenda.done

    @property
    def busy(self) -> bool:
        """Whether any trial has something to train."""
        return bool(self._untrained)

    def stop(self) -> None:
        """Gives out no more."""
        self._stopping = True

    def left(self) -> list[Spec]:
        """What is planned so far and not trained."""
        return self._agenda.left

    def started(self, slots: int, rates_together: bool) -> None:
        """Trials run from now on, `slots` at a time; whether one may train at several learning rates."""
        self.slots = slots if self.most is None else min(slots, self.most)
        self._rates_together = rates_together
        self._agenda.started(self.slots)

    def suggest(self, trial_id: str) -> Group | None:
        """What a new trial is to train, or None while there is nothing."""
        # Unless memory was short, Tune asks for as many as there is room for, also on machines that join.
        full = self._stopping or (self.most is not None and len(self._untrained) >= self.most)
        group = None if full else self._agenda.next_group(self.slots, rates_together=self._rates_together)
        if group is not None:
            self._untrained[trial_id] = group
        return group

    def following(self) -> Spec | None:
        """What the trial that was given the last group will probably train after it."""
        return None if self._stopping else self._agenda.following(self.slots)

    def report(self, trial_id: str, outcome: Outcome) -> None:
        """Takes the outcome of the trial's next spec."""
        spec, *left = self._untrained.pop(trial_id)
        if left:
            self._untrained[trial_id] = tuple(left)
        if outcome.status == "stopped":
            return
        self.reported += 1
        self._agenda.report(spec, outcome)

    def ended(self, trial_id: str, reason: str) -> None:
        """Takes back what a trial has not trained: its process has died, for that reason."""
        group = self._untrained.pop(trial_id)
        alone = self.slots == 1
        if self._out_of_memory():
            self._agenda.report_lost(group, NO_MEMORY, tries=2 if alone else NODE_TRIES)
        else:
            self._agenda.report_lost(group, reason)

    def node_died(self, trial_id: str, reason: str) -> None:
        """Takes back what a trial has not trained: its machine has gone."""
        self._agenda.report_lost(self._untrained.pop(trial_id), reason, tries=NODE_TRIES)

    def all_ended(self, reason: str) -> bool:
        """Takes back what no trial has trained, as Tune has given up. Says whether there was anything."""
        return self._take_all_back(reason, tries=2)

    def ray_died(self, reason: str) -> None:
        """Takes back what no trial has trained, as Ray has died."""
        self._out_of_memory()
        # Its servers die in any order: a spec's process may have been lost before, to the same cause.
        self._take_all_back(reason, tries=3)

    def _out_of_memory(self) -> bool:
        """Whether processes were killed for want of memory since the last look; half as many run at a time then."""
        before, self._counted = self._counted, self._kills()
        if self._counted == before:
            return False
        if self.slots > 1:
            self.slots = self.most = self.slots // 2
            at_a_time = "one training" if self.slots == 1 else f"{self.slots} trainings"
            self.note(f"this machine was out of memory: from now on, {at_a_time} at a time")
        return True

    def _take_all_back(self, reason: str, tries: int) -> bool:
        lost = [*self._untrained.values()]
        self._untrained.clear()
        for group in lost:
            self._agenda.report_lost(group, reason, tries=tries)
        return bool(lost)
