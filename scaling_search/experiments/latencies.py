"""Latencies of a run's networks: measured on this machine once, and kept by the run."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from scaling_search.config import to_dict
from scaling_search.store import RunDirectory

if TYPE_CHECKING:
    from scaling_search.trial import Network

DOCUMENT = "latencies"
"""By the fingerprints of networks."""


def kept_latencies(directory: RunDirectory) -> "Callable[[Sequence[Network]], list[float]]":
    """Milliseconds for an image, which the run keeps: measured again, they would be others."""

    def measure(networks: "Sequence[Network]") -> list[float]:
        from scaling_search.search.nas.latency import measure_apart

        known: dict[str, Any] = directory.document(DOCUMENT) or {}
        new = [network for network in networks if network.fingerprint not in known]
        if new:
            for network, latency in zip(new, measure_apart(new), strict=True):
                known[network.fingerprint] = to_dict(latency)
            directory.write_document(DOCUMENT, known)
        return [known[network.fingerprint]["median"] for network in networks]

    return measure
