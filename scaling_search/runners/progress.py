"""What is told about a run while it goes on: the protocols of those who watch."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from scaling_search.trial import Outcome, Spec


class Watcher(Protocol):
    """Is told which trials a plan asks for and what becomes of them."""

    def started(self, slots: int) -> None:
        """Training begins, `slots` groups at a time."""

    def planned(self, specs: Sequence[Spec], known: Mapping[str, Outcome]) -> None:
        """The plan asks for a batch of distinct specs. `known` has, by key, the outcomes that need no training.

        Those come from earlier batches of the plan or from the store.
        """

    def finished(self, spec: Spec, outcome: Outcome) -> None:
        """A training has ended."""


class Progress(Watcher, Protocol):
    """A watcher with something to show a person, which the search itself can speak through too."""

    def note(self, line: str) -> None:
        """Shows a line that stays."""

    def phase(self, name: str) -> None:
        """Names what the next trials are for."""

    def checkpoints(self, size: Callable[[], int]) -> None:
        """Shows how many bytes checkpoints take, which `size` counts."""
