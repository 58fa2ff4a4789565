"""Latencies of a run's networks: measured on this machine once, while nothing trains, and kept by the run."""

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

from scaling_search.config import to_dict
from scaling_search.search.plan import Plan
from scaling_search.store import RunDirectory

if TYPE_CHECKING:
    from scaling_search.search.nas.latency import Latency, Stopwatch
    from scaling_search.trial import Network

T = TypeVar("T")

STEADY = 0.1
"""Spread, as a share of the median, from which a time is measured again: other work only makes it longer."""
TRIES = 3

DOCUMENT = "latencies"
"""By the fingerprints of networks."""


class KeptLatencies:
    """Milliseconds that networks take for an image, which the run keeps: measured again, they would be others."""

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._stopwatch: Stopwatch | None = None

    def __call__(self, networks: "Sequence[Network]") -> list[float]:
        """Of each, measured if it is not known. Raises UserError where that fails."""
        known: dict[str, Any] = self._directory.document(DOCUMENT) or {}
        for network in networks:
            if network.fingerprint not in known:
                known[network.fingerprint] = to_dict(self._measured(network))
                self._directory.write_document(DOCUMENT, known)
        return [known[network.fingerprint]["median"] for network in networks]

    def _measured(self, network: "Network") -> "Latency":
        from scaling_search.search.nas.latency import Stopwatch

        if self._stopwatch is None:
            self._stopwatch = Stopwatch()
        found = []
        for _ in range(TRIES):
            found += self._stopwatch([network])
            if found[-1].spread <= STEADY * found[-1].median:
                break
        return min(found, key=lambda one: one.median)

    def close(self) -> None:
        """Ends the process that measures."""
        if self._stopwatch is not None:
            self._stopwatch.close()


def at_rest(plan: Plan[T], latencies: KeptLatencies) -> Plan[T]:
    """The plan, with the process that measures ended before any of it is trained."""
    outcomes = None
    with closing(plan), closing(latencies):
        while True:
            try:
                specs = next(plan) if outcomes is None else plan.send(outcomes)
            except StopIteration as end:
                result: T = end.value
                return result
            latencies.close()
            outcomes = yield specs
