"""Which networks to train next, and how sure it is that the most accurate is nearly the best: ranking and selection.

Branke, Chick and Schmidt (2007), "Selecting a Selection Procedure", compare such procedures. Here, as in their OCBA,
each training goes where it tells most; how sure the answer is allows for having looked after every round.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

LEAST_VARIANCE = 1e-12
"""Networks whose seeds all end alike may still differ by the last digits of an accuracy."""
DOUBTFUL = 0.01
"""What is less probable is in no doubt."""
MOST_TRAININGS = 10_000
"""Beyond this many further trainings nobody asks how many it takes."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known about networks, each array (networks,)."""

    means: Floats
    """Accuracy over each network's seeds, 0..1."""
    variances: Floats
    """Of one training of each, as `deviations` estimates it."""
    dfs: Floats
    """Degrees of freedom of `variances`."""
    seeds: Ints
    """How many trainings of each there are."""
    first: int
    """How many there were of each before any was preferred."""

    @property
    def best(self) -> int:
        """The most accurate."""
        return int(self.means.argmax())

    @property
    def tells(self) -> bool:
        """Whether it says how much trainings scatter."""
        return bool(np.isfinite(self.variances).all())


def risks(evidence: Evidence, of: int, within: float) -> Floats:
    """For each network, a bound on the probability that it is truly better than network `of` by more than `within`.

    Accuracies are compared by Welch's t. A difference that is looked at over and over passes any threshold more often
    than one looked at once: to the tail of the normal distribution at z comes phi(z) (z - 1/z) log(T) / 2, where the
    last look knows T times as much as the first (Siegmund, 1985, Sequential Analysis, chapter 4).

    Args:
        evidence: about all networks.
        of: index of the network that is picked.
        within: accuracy, 0..1, that may be lost.

    Returns:
        (networks,), 0 for the network itself.

    """
    from scipy import special

    first = np.maximum(evidence.variances, LEAST_VARIANCE) / evidence.first
    margins = evidence.means[of] - evidence.means + within
    errors = _errors(evidence)
    z = _normal(margins, errors[of], errors, evidence.dfs[of], evidence.dfs)
    grown = np.maximum((first[of] + first) / (errors[of] + errors), 1.0)
    steep = np.maximum(z, 1.0)
    again = np.exp(-(steep**2) / 2) / np.sqrt(2 * np.pi) * (steep - 1 / steep) * np.log(grown) / 2
    found = np.minimum(special.ndtr(-z) + again, 1.0)
    found[of] = 0.0
    return np.asarray(found)


def certainty(evidence: Evidence, of: int, within: float) -> float:
    """How sure it is that no network is truly better than network `of` by more than `within`: at least, by Bonferroni.

    0 where nothing is known of how trainings scatter.
    """
    if not evidence.tells:
        return 0.0
    return max(0.0, 1.0 - float(risks(evidence, of, within).sum()))


def next_trainings(evidence: Evidence, within: float, size: int, open_: Bools) -> Ints:
    """How many of the next `size` trainings each network gets, (networks,), of those that are `open_`.

    One after another goes where it takes most from the sum of the probabilities that another network is better than the
    most accurate by more than `within`, were the means to stay: to the most accurate itself, or to a rival.
    """
    seeds = evidence.seeds.copy()
    if not (open_.any() and evidence.tells):
        return np.zeros_like(seeds)
    best = evidence.best
    margins = evidence.means[best] - evidence.means + within
    variances = np.maximum(evidence.variances, LEAST_VARIANCE)
    df = evidence.dfs

    def doubts(of_best: float, of_rivals: Floats) -> Floats:
        found = _tail(margins, of_best, of_rivals, df[best], df)
        found[best] = 0.0
        return found

    for _ in range(size):
        errors, sooner = variances / seeds, variances / (seeds + 1)
        now = doubts(errors[best], errors)
        gains = now - doubts(errors[best], sooner)
        gains[best] = (now - doubts(sooner[best], errors)).sum()
        seeds[np.where(open_, gains, -np.inf).argmax()] += 1
    return np.asarray(seeds - evidence.seeds)


def worthwhile(evidence: Evidence, within: float, wanted: float, open_: Bools) -> bool:
    """Whether to go on: the most accurate may become `wanted` sure, or a network that may be better is `open`."""
    if not (evidence.tells and open_.any()):
        return False
    doubtful = risks(evidence, evidence.best, within) >= DOUBTFUL
    return bool((doubtful & open_).any()) or reachable(evidence, within, wanted, open_)


def reachable(evidence: Evidence, within: float, wanted: float, open_: Bools) -> bool:
    """Whether endless trainings of the networks that are `open_` would make the most accurate `wanted` sure."""
    endless = replace(evidence, seeds=np.where(open_, 10**9, evidence.seeds))
    return certainty(endless, evidence.best, within) >= wanted


def trainings_to_go(evidence: Evidence, within: float, wanted: float, open_: Bools) -> int | None:
    """About how many more trainings it takes until the most accurate network is `wanted` sure, were the means to stay.

    None where no number is enough: networks that get no more trainings (not `open_`) stay in doubt, or nothing is known
    of how trainings scatter.
    """
    if not reachable(evidence, within, wanted, open_):
        return None
    more = 0
    while certainty(evidence, evidence.best, within) < wanted:
        size = max(1, more // 10)
        evidence = replace(evidence, seeds=evidence.seeds + next_trainings(evidence, within, size, open_))
        more += size
        if more > MOST_TRAININGS:
            return None
    return more


def _errors(evidence: Evidence) -> Floats:
    """Variances of the means."""
    return np.asarray(np.maximum(evidence.variances, LEAST_VARIANCE) / evidence.seeds)


def _tail(margins: Floats, one: float, others: Floats, df: float, dfs: Floats) -> Floats:
    """Upper tail of Welch's t for differences of `margins` between one mean and others, of such squared errors."""
    from scipy import special

    joint = one + others
    welch = joint**2 / (one**2 / df + others**2 / dfs)
    return np.asarray(special.stdtr(welch, -margins / np.sqrt(joint)))


def _normal(margins: Floats, one: float, others: Floats, df: float, dfs: Floats) -> Floats:
    """As many standard deviations of a normal distribution as have the same tail."""
    from scipy import special

    return np.asarray(-special.ndtri(np.maximum(_tail(margins, one, others, df, dfs), 1e-300)))
