"""The search as a plan: a strategy proposes, what is allowed is trained, the strategy is told, the best are checked.

Everything follows from the config and the outcomes, so an interrupted search resumes by starting over: what the store
has is not trained again, and the strategy returns to the state it was in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from scaling_search.config import NasConfig, to_dict
from scaling_search.errors import UserError
from scaling_search.family import load_family
from scaling_search.rule import Scale
from scaling_search.search.candidates import network_at, specs_of
from scaling_search.search.nas.halving import rungs
from scaling_search.search.nas.limits import Limits, Measure, costs_by, limits_of, target_of
from scaling_search.search.nas.result import Objective, Result
from scaling_search.search.nas.space import Counter, Genotype, Space, counter_of, sizes
from scaling_search.search.nas.strategy import Strategy, make_strategy
from scaling_search.search.plan import Plan
from scaling_search.trial import Network, Spec

MOST_REJECTED = 10_000
"""Consecutive proposals beyond the limits after which a search gives up."""
PATIENCE = 20
"""Consecutive batches without a new network after which a search ends early."""


@dataclass(frozen=True)
class Laboratory:
    """What a search works with, checked before anything is trained."""

    space: Space
    config: NasConfig
    num_classes: int
    data: str
    """Names the images."""
    limits: Limits
    counter: Counter = field(compare=False)

    def network(self, genotype: Genotype) -> Network:
        """The network of a genotype, with its cost."""
        options = (*self.space.options(genotype), *self.config.family_options)
        family = load_family(self.space.family, options)
        return network_at(family, Scale(), self.num_classes, name=self.space.family, options=options)

    def middle(self) -> Network:
        """The network with the middle choice of every decision."""
        return self.network(tuple(size // 2 for size in sizes(self.space)))


def set_up(space: Space, nas: NasConfig, num_classes: int, data: str) -> Laboratory:
    """Sets up a search by its config. Raises UserError if the config cannot be used."""
    target_of(nas)
    return Laboratory(
        space=space,
        config=nas,
        num_classes=num_classes,
        data=data,
        limits=limits_of(nas),
        counter=counter_of(space, nas.family_options, num_classes),
    )


@dataclass(frozen=True)
class Tried:
    """A proposal that was allowed, and what came of it."""

    batch: int
    genotype: Genotype
    network: Network
    cost: float
    """By the metric."""
    epochs: int
    """Of its longest training: less than the recipe's where successive halving left it behind."""
    accuracy: float | None
    reward: float | None
    """None where training failed."""


@dataclass(frozen=True)
class Finalist:
    """One of the best, judged by seeds that did not select it."""

    tried: Tried
    accuracies: tuple[float, ...]
    """Of the seeds but the first that came to an end."""
    accuracy: float
    """Their mean."""
    reward: float


@dataclass(frozen=True)
class Search:
    """The state of a search."""

    laboratory: Laboratory
    objective: Objective
    tried: tuple[Tried, ...] = ()
    """In the order of proposing. An architecture that was proposed twice is here twice."""
    rejected: int = 0
    """Proposals beyond the limits."""
    finalists: tuple[Finalist, ...] = ()
    """The best first; empty until the end."""

    @property
    def networks(self) -> int:
        """Different networks tried."""
        return len({one.network.fingerprint for one in self.tried})

    @property
    def ranking(self) -> tuple[Tried, ...]:
        """What was trained for all epochs, each network once, by falling reward, the first proposed first."""
        epochs = self.laboratory.config.recipe.epochs
        whole = [one for one in self.tried if one.reward is not None and one.epochs == epochs]
        ranked = sorted(whole, key=lambda one: -(one.reward or 0))
        first: dict[str, Tried] = {}
        for one in ranked:
            first.setdefault(one.network.fingerprint, one)
        return tuple(first.values())

    def document(self) -> dict[str, Any]:
        """As the store keeps it."""
        lab = self.laboratory
        tree = {
            "target": self.objective.target,
            "decisions": {name: list(map(str, choices)) for name, choices in lab.space.decisions.items()},
            "rejected": self.rejected,
            "networks": {one.network.fingerprint: to_dict(one.network) for one in self.tried},
            "tried": [_row(one) for one in self.tried],
            "finalists": [
                {**_row(one.tried), "accuracies": list(one.accuracies), "accuracy": one.accuracy, "reward": one.reward}
                for one in self.finalists
            ],
        }
        if self.finalists:
            best = self.finalists[0]
            tree["best"] = {"family": best.tried.network.family, "options": list(best.tried.network.options)}
        return tree


def _row(one: Tried) -> dict[str, Any]:
    return {
        "batch": one.batch,
        "genotype": list(one.genotype),
        "network": one.network.fingerprint,
        "cost": one.cost,
        "epochs": one.epochs,
        "accuracy": one.accuracy,
        "reward": one.reward,
    }


def search_plan(lab: Laboratory, measure: Measure, on_news: Callable[[Search], None]) -> Plan[Search]:
    """Searches; `on_news` is called with what is known at the start, after every batch and at the end.

    Raises UserError where no architecture is within the limits, or none can be trained.
    """
    nas = lab.config
    strategy = make_strategy(nas.strategy, sizes(lab.space), nas.seed)
    target = target_of(nas) or costs_by(nas.metric, [lab.middle()], nas.recipe.batch_size, measure)[0]
    search = Search(lab, Objective(target, nas.weight))
    on_news(search)
    batch = idle = 0
    while search.networks < nas.trials and idle < PATIENCE:
        batch += 1
        before = search.networks
        genotypes, rejected = _proposals(lab, strategy, min(nas.batch, nas.trials - before))
        tried = yield from _tried(lab, search.objective, genotypes, batch, measure)
        strategy.tell([Result(one.genotype, one.reward, one.accuracy, one.cost) for one in tried])
        search = replace(search, tried=(*search.tried, *tried), rejected=search.rejected + rejected)
        idle = 0 if search.networks > before else idle + 1
        on_news(search)
    finalists = yield from _finalists(lab, search)
    search = replace(search, finalists=finalists)
    on_news(search)
    return search


def _proposals(lab: Laboratory, strategy: Strategy, count: int) -> tuple[list[Genotype], int]:
    """So many proposals within the limits, and how many were beyond them, of which the strategy is told."""
    allowed: list[Genotype] = []
    rejected = in_a_row = 0
    while len(allowed) < count:
        asked = strategy.ask(count - len(allowed))
        fits = lab.limits.allow(lab.counter(np.array(asked, np.int64).reshape(len(asked), -1)))
        good = [genotype for genotype, fit in zip(asked, fits, strict=True) if fit]
        bad = [genotype for genotype, fit in zip(asked, fits, strict=True) if not fit]
        strategy.tell([Result(genotype, None) for genotype in bad])
        allowed += good
        rejected += len(bad)
        in_a_row = 0 if good else in_a_row + len(bad)
        if in_a_row >= MOST_REJECTED:
            raise UserError(
                f"{in_a_row:,} architectures in a row exceed --max-flops, --max-params or --max-memory",
                hint="raise the limit, or shrink the family with --family-options width=0.5",
            )
    return allowed, rejected


def _tried(
    lab: Laboratory, objective: Objective, genotypes: Sequence[Genotype], batch: int, measure: Measure
) -> Plan[list[Tried]]:
    """Trains the networks of a batch, by successive halving where the config says so."""
    nas, recipe = lab.config, lab.config.recipe
    networks = [lab.network(genotype) for genotype in genotypes]
    distinct = {network.fingerprint: network for network in networks}
    costs = dict(zip(distinct, costs_by(nas.metric, list(distinct.values()), recipe.batch_size, measure), strict=True))
    epochs: dict[str, int] = {}
    accuracies: dict[str, float | None] = {}
    rewards: dict[str, float | None] = {}
    going_on = list(distinct)
    for rung in rungs(recipe.epochs, len(distinct), nas.halving):
        specs = {name: _spec(lab, distinct[name], rung.epochs) for name in going_on[: rung.count]}
        outcomes = yield list(specs.values())
        for name, spec in specs.items():
            accuracy = outcomes[spec.key].accuracy
            epochs[name], accuracies[name] = rung.epochs, accuracy
            rewards[name] = None if accuracy is None else objective.reward(accuracy, costs[name])
        going_on = sorted((name for name in specs if rewards[name] is not None), key=lambda name: -(rewards[name] or 0))
    return [
        Tried(batch, genotype, network, costs[name], epochs[name], accuracies[name], rewards[name])
        for genotype, network in zip(genotypes, networks, strict=True)
        for name in [network.fingerprint]
    ]


def _spec(lab: Laboratory, network: Network, epochs: int) -> Spec:
    """The training that an architecture is tried by: from the first seed, judged on the validation split."""
    recipe = replace(lab.config.recipe, epochs=epochs)
    return Spec(network, recipe, lab.data, lab.config.split, lab.config.seed)


def _finalists(lab: Laboratory, search: Search) -> Plan[tuple[Finalist, ...]]:
    """The best by the first seed, trained from all others, by falling mean reward over these: the first flatters."""
    chosen = search.ranking[: lab.config.finalists]
    if not chosen:
        raise UserError("no architecture finished training", "the records in trials/ say why", "try another --recipe")
    specs = {one.network.fingerprint: specs_of(one.network, lab.config, lab.data)[1:] for one in chosen}
    outcomes = yield [spec for group in specs.values() for spec in group]
    finalists = []
    for one in chosen:
        found = (outcomes[spec.key].accuracy for spec in specs[one.network.fingerprint])
        accuracies = tuple(accuracy for accuracy in found if accuracy is not None)
        if not accuracies:
            continue
        mean = float(np.mean(accuracies))
        finalists.append(Finalist(one, accuracies, mean, search.objective.reward(mean, one.cost)))
    if not finalists:
        raise UserError("no finalist could be trained from another seed", hint="the records in trials/ say why")
    return tuple(sorted(finalists, key=lambda one: -one.reward))
