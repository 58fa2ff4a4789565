"""Successive halving: train many for a few epochs, the best of them for more, and so on (Jamieson and Talwalkar, 2016).

Its rungs are trained one after the other, each from the start: a shorter training has the whole schedule of its recipe,
not the beginning of a longer one. ASHA (Li et al., 2020) promotes without waiting for a rung to end, so that what it
promotes depends on which worker was first; here the same seed gives the same numbers on any number of workers.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rung:
    """One step of the ladder."""

    epochs: int
    count: int
    """How many networks are trained on it."""


def rungs(epochs: int, count: int, halving: int | None) -> tuple[Rung, ...]:
    """The ladder of `count` networks up to `epochs`: 1 in `halving` goes on, for `halving` times as many epochs.

    As many rungs as the numbers of networks and epochs allow; a single one without `halving`.
    """
    levels = 1
    while halving is not None and halving**levels <= min(count, epochs):
        levels += 1
    keep = halving or 1
    return tuple(
        Rung(max(1, round(epochs / keep ** (levels - 1 - level))), -(-count // keep**level)) for level in range(levels)
    )
