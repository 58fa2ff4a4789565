"""STEP 1 in rounds: every network from a few seeds, then more seeds for the networks between which the answer lies.

Everything follows from the config and the outcomes, whatever the number of workers: an interrupted search resumes by
starting over, and what the store has is not trained again.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from scaling_search.config import FRESH_SEEDS, RunConfig
from scaling_search.errors import UserError
from scaling_search.search.candidates import specs_of
from scaling_search.search.plan import Plan
from scaling_search.trial import Network, Outcome, Spec

ROUND = 8
"""Trainings of a round after the first. Results depend on it, but not on the number of workers."""

MOST_SEEDS = FRESH_SEEDS - ROUND
"""Seeds after which a network gets no more: those that confirm a winner must not be among them."""

Accuracies: TypeAlias = Mapping[str, Mapping[int, float]]
"""Of each network, by fingerprint, those of its seeds."""


@dataclass(frozen=True)
class Round:
    """Further trainings of networks."""

    trainings: Mapping[str, int]
    """How many, by fingerprint."""
    sure: float | None = None
    """How sure the answer is after them; None until they have ended."""


@dataclass(frozen=True)
class Rounds:
    """How far STEP 1 has come."""

    rounds: tuple[Round, ...]
    """The last one may be going on."""
    spent: int = 0
    """Trainings so far."""
    exhausted: frozenset[str] = frozenset()
    """Networks that get no more: none of the last trainings they were given could be had, or they have MOST_SEEDS."""

    @property
    def seeds(self) -> Counter[str]:
        """How many trainings of each network are done or going on."""
        return sum((Counter(dict(one.trainings)) for one in self.rounds), Counter())

    @property
    def sure(self) -> float:
        """How sure the answer is so far."""
        return next((one.sure for one in reversed(self.rounds) if one.sure is not None), 0.0)

    def document(self) -> dict[str, Any]:
        """As the store keeps it, beside the grid."""
        rounds = [{"trainings": dict(one.trainings), "sure": one.sure} for one in self.rounds]
        return {"rounds": rounds, "exhausted": sorted(self.exhausted)}


@dataclass(frozen=True)
class Decision:
    """What follows from the trainings so far."""

    sure: float
    """How sure the answer is."""
    trainings: Mapping[str, int] = field(default_factory=dict)
    """The next round, by fingerprint; empty where none can make it surer."""


Decide: TypeAlias = Callable[[Accuracies, frozenset[str], int], Decision]
"""(accuracies, networks that get no more trainings, size of the next round) -> what follows."""


def in_rounds(
    networks: Sequence[Network],
    config: RunConfig,
    data: str,
    *,
    decide: Decide,
    on_news: Callable[[Rounds], None],
    also: Sequence[Spec] = (),
) -> Plan[Rounds]:
    """Trains `networks` in rounds until `decide` is as sure as the config asks, or its trainings are spent.

    `on_news` is called before every round and at the end. `also` is trained with the first round.
    """
    by_name = {network.fingerprint: network for network in networks}
    accuracies: dict[str, dict[int, float]] = {name: {} for name in by_name}
    most = most_trainings(config, len(networks))
    rounds = Rounds((Round(dict.fromkeys(by_name, config.seeds)),))
    while True:
        on_news(rounds)
        specs = _specs(by_name, rounds, config, data)
        outcomes = yield [*specs, *(also if len(rounds.rounds) == 1 else ())]
        rounds = _told(rounds, specs, outcomes, accuracies)
        decision = decide(accuracies, rounds.exhausted, min(ROUND, most - rounds.spent))
        rounds = replace(rounds, rounds=(*rounds.rounds[:-1], replace(rounds.rounds[-1], sure=decision.sure)))
        if decision.sure >= (config.certainty or 0.0) or not decision.trainings:
            on_news(rounds)
            return rounds
        rounds = replace(rounds, rounds=(*rounds.rounds, Round(decision.trainings)))


def most_trainings(config: RunConfig, networks: int) -> int:
    """How many trainings STEP 1 may take: by default ten times the first round's."""
    return 10 * networks * config.seeds if config.max_trainings is None else config.max_trainings


def check_trainings(config: RunConfig, networks: int) -> None:
    """Raises UserError where `max_trainings` is not enough for the first round."""
    first = networks * config.seeds
    if config.max_trainings is not None and config.max_trainings < first:
        raise UserError(
            f"--max-trainings {config.max_trainings} given",
            f"the first round alone takes {first}: {networks} networks from {config.seeds} seeds each",
            f"try --max-trainings {3 * first}",
        )


def _specs(by_name: Mapping[str, Network], rounds: Rounds, config: RunConfig, data: str) -> list[Spec]:
    """The trainings of the last round: the seeds of a network follow each other."""
    planned = rounds.seeds
    return [
        spec
        for name, count in rounds.rounds[-1].trainings.items()
        for end in [config.seed + planned[name]]
        for spec in specs_of(by_name[name], config, data, seeds=range(end - count, end))
    ]


def _told(
    rounds: Rounds, specs: Sequence[Spec], outcomes: Mapping[str, Outcome], accuracies: dict[str, dict[int, float]]
) -> Rounds:
    """The rounds after these outcomes of the last one, which are added to `accuracies`.

    What the table that is replayed does not have was never trained, and a round of nothing else none.
    """
    *before, last = rounds.rounds
    trained: Counter[str] = Counter()
    came: Counter[str] = Counter()
    for spec in specs:
        name, outcome = spec.network.fingerprint, outcomes[spec.key]
        trained[name] += outcome.status != "missing"
        if outcome.accuracy is not None:
            accuracies[name][spec.seed] = outcome.accuracy
            came[name] += 1
    done = [Round({name: count for name, count in trained.items() if count})] if trained.total() or not before else []
    return Rounds(
        (*before, *done),
        rounds.spent + trained.total(),
        rounds.exhausted | {name for name in last.trainings if not came[name] or rounds.seeds[name] >= MOST_SEEDS},
    )
