"""The state of a plan that is being run: which groups to train next, and the outcomes so far."""

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Generic, Self, TypeAlias, TypeVar

from scaling_search.errors import in_one_line
from scaling_search.plain import MALFORMED
from scaling_search.runners.progress import Watcher
from scaling_search.search.plan import Plan, T
from scaling_search.trial import Outcome, Spec, outcome_from_dict

D = TypeVar("D")

Group: TypeAlias = tuple[Spec, ...]
"""Specs that one compiled program trains: they differ in their seeds alone, or in their learning rates too."""
Train: TypeAlias = Callable[[Sequence[Spec], D], Iterator[Outcome]]
"""Trains a group on data and yields the outcome of each of its specs in order, as `training.fit.train_group` does."""
Records: TypeAlias = Mapping[str, dict[str, Any]]
OnOutcome: TypeAlias = Callable[[Spec, Outcome], None]


def outcomes_of(train: Train[D], group: Group, data: D) -> Generator[Outcome, None, None]:
    """One outcome for each spec of a group, in order, whatever `train` raises: its spec has crashed then.

    The specs after it are trained by another call, so that no seed depends on what befell the one before.
    """
    left = group
    while left:
        try:
            for _, outcome in zip(left, train(left, data), strict=False):
                yield outcome
                left = left[1:]
            if left:
                raise RuntimeError("training ended without an outcome")
        except Exception as error:
            yield Outcome("crashed", reason=in_one_line(error))
            left = left[1:]


class Agenda(Generic[T]):
    """The state of a plan: which groups to train next, and the outcomes so far.

    A runner asks for groups until there are none and reports the outcome of every spec. Use it as a context manager:
    the plan is asked for its first batch on entry and closed on exit.
    """

    result: T
    """What the plan returned, once `done`."""

    def __init__(
        self, plan: Plan[T], *, finished: Records, on_outcome: OnOutcome, watchers: Sequence[Watcher] = ()
    ) -> None:
        self.done = False
        self._plan = plan
        self._finished = finished
        self._on_outcome = on_outcome
        self._watchers = watchers
        self._outcomes: dict[str, Outcome] = {}
        self._batch: dict[str, Spec] = {}
        self._left: dict[str, Spec] = {}
        self._fresh: list[Spec] = []
        self._groups: deque[Group] = deque()
        self._losses: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._advance()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._plan.close()

    @property
    def left(self) -> list[Spec]:
        """What the plan has asked for and has no outcome of."""
        return [*self._left.values()]

    def started(self, slots: int) -> None:
        """Tells the watchers that training begins, `slots` groups at a time."""
        for watcher in self._watchers:
            watcher.started(slots)

    def next_group(self, slots: int = 1, *, rates_together: bool = False) -> Group | None:
        """The next group to train, or None if more must be reported first or the plan is `done`.

        The most expensive come first, so that no long training is left for the end. `slots` groups run at a time; a
        group may have several learning rates where `rates_together`.
        """
        if self._fresh:
            self._groups.extend(in_groups(self._fresh, slots, rates_together=rates_together))
            self._fresh = []
        return self._groups.popleft() if self._groups else None

    def following(self, slots: int = 1) -> Spec | None:
        """The first of what whoever was given the last group will probably be given next, if that is known.

        The others of `slots` that run began before, and are given theirs before.
        """
        return self._groups[slots - 1][0] if len(self._groups) >= slots else None

    def report(self, spec: Spec, outcome: Outcome) -> None:
        """Takes the outcome of a spec from `next_group`. The last one of a batch moves the plan on."""
        if outcome.status != "missing":
            self._on_outcome(spec, outcome)
        self._outcomes[spec.key] = outcome
        for watcher in self._watchers:
            watcher.finished(spec, outcome)
        self._left.pop(spec.key, None)
        if not self._left:
            self._advance(self._outcomes_of_batch())

    def report_lost(self, group: Group, reason: str, *, tries: int = 2) -> None:
        """Takes back specs whose process died. Each is tried again, alone, and has crashed after `tries`."""
        for spec in group:
            self._losses[spec.key] += 1
            if self._losses[spec.key] >= tries:
                self.report(spec, Outcome("crashed", reason=reason))
            else:
                self._groups.append((spec,))

    def _advance(self, outcomes: dict[str, Outcome] | None = None) -> None:
        """Sends the plan its outcomes until it asks for specs that are not all finished, or returns."""
        while True:
            try:
                specs = next(self._plan) if outcomes is None else self._plan.send(outcomes)
            except StopIteration as stop:
                self.result = stop.value
                self.done = True
                return
            self._batch = {}
            for spec in specs:
                self._batch.setdefault(spec.key, spec)
            self._recall()
            self._left = {key: spec for key, spec in self._batch.items() if key not in self._outcomes}
            self._fresh = [*self._left.values()]
            known = {key: self._outcomes[key] for key in self._batch if key in self._outcomes}
            for watcher in self._watchers:
                watcher.planned(tuple(self._batch.values()), known)
            if self._fresh:
                return
            outcomes = self._outcomes_of_batch()

    def _recall(self) -> None:
        for key in self._batch.keys() & self._finished.keys() - self._outcomes.keys():
            # A record of another shape, from a later version for example, is ignored.
            with suppress(*MALFORMED):
                self._outcomes[key] = outcome_from_dict(self._finished[key]["outcome"])

    def _outcomes_of_batch(self) -> dict[str, Outcome]:
        return {key: self._outcomes[key] for key in self._batch}


def in_groups(specs: Iterable[Spec], slots: int, *, rates_together: bool = False) -> list[Group]:
    """Specs as groups, the most expensive to train first.

    If there are fewer groups than slots, groups are split: the second compilation runs on a core that would be idle.
    """
    by_network: dict[str, Group] = {}
    for spec in specs:
        shared = replace(spec, seed=0)
        if rates_together:
            shared = replace(shared, recipe=replace(spec.recipe, learning_rate=1.0))
        by_network[shared.key] = (*by_network.get(shared.key, ()), spec)
    groups = list(by_network.values())
    while len(groups) < slots and any(len(group) > 1 for group in groups):
        costly = max((group for group in groups if len(group) > 1), key=_training_cost)
        middle = (len(costly) + 1) // 2
        where = groups.index(costly)
        groups[where : where + 1] = [costly[:middle], costly[middle:]]
    return sorted(groups, key=_training_cost, reverse=True)


def _training_cost(group: Group) -> int:
    return sum(spec.network.multiply_adds * spec.recipe.epochs for spec in group)
