"""A probe of learning rates before STEP 1: the smallest, the middle and the largest network at several rates each.

The rates that follow from it are those of every network of the run. The probe's seeds are its own: what chose a rate
does not judge a network.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from scaling_search.config import RunConfig, to_dict
from scaling_search.search.plan import Plan, T
from scaling_search.trial import Network, Outcome, Spec

OCTAVES = (-1, 0, 1)
"""log2 of the rates that are tried, over the recipe's. Where the best of a network is the first or the last, it gets
one more beyond it."""

RateOf: TypeAlias = Callable[[Network], float]
"""The learning rate of a network."""
Tried: TypeAlias = tuple[Network, float, float | None]
"""A training of the probe: network, rate and accuracy (0..1), None where it failed."""


@dataclass(frozen=True)
class Probe:
    """The networks of a probe, and how far it has come."""

    base: float
    """The recipe's rate."""
    networks: tuple[Network, ...]
    """From the smallest to the largest."""
    octaves: tuple[tuple[int, ...], ...]
    """log2 of the rates each is trained at, over `base`."""

    def document(self, fit: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """As the store keeps it; `fit` is what follows from it, once it has ended."""
        return {
            "base": self.base,
            "networks": {network.fingerprint: to_dict(network) for network in self.networks},
            "probed": [
                {"network": network.fingerprint, "rates": [self.base * 2.0**octave for octave in octaves]}
                for network, octaves in zip(self.networks, self.octaves, strict=True)
            ],
            "fit": fit,
        }


def probed_networks(networks: Sequence[Network]) -> tuple[Network, ...]:
    """Of the networks of a run, the smallest, the largest and between them the one nearest to their geometric mean.

    Fewer where a run has fewer; of equals, the first.
    """
    distinct = sorted({one.fingerprint: one for one in networks}.values(), key=lambda one: one.multiply_adds)
    if len(distinct) < 3:
        return tuple(distinct)
    smallest, *between, largest = distinct
    middle = math.log(smallest.multiply_adds * largest.multiply_adds) / 2
    return smallest, min(between, key=lambda one: abs(math.log(one.multiply_adds) - middle)), largest


def probe(
    networks: Sequence[Network], config: RunConfig, data: str, *, on_news: Callable[[Probe], None]
) -> Plan[tuple[Tried, ...]]:
    """Trains each of the networks at three rates, and at a fourth where its best is at the edge of these.

    `on_news` is called before each of the two batches.
    """
    asked = Probe(config.recipe.learning_rate, tuple(networks), (OCTAVES,) * len(networks))
    on_news(asked)
    first = _specs(asked, config, data)
    outcomes = yield first
    tried = _tried(first, outcomes)
    wider = replace(asked, octaves=tuple(_widened(network, asked.base, tried) for network in networks))
    if wider == asked:
        return tried
    on_news(wider)
    second = [spec for spec in _specs(wider, config, data) if spec.key not in outcomes]
    return tried + _tried(second, (yield second))


def at_rate(spec: Spec, rate_of: RateOf) -> Spec:
    """The training at its network's rate."""
    return replace(spec, recipe=replace(spec.recipe, learning_rate=rate_of(spec.network)))


def at_rates(plan: Plan[T], rate_of: RateOf) -> Plan[T]:
    """The plan with every training at its network's rate. It gets outcomes by the keys that it knows."""
    try:
        asked = next(plan)
        while True:
            keys = {spec.key: at_rate(spec, rate_of) for spec in asked}
            outcomes = yield list(keys.values())
            asked = plan.send({key: outcomes[spec.key] for key, spec in keys.items()})
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        plan.close()


def _specs(probe: Probe, config: RunConfig, data: str) -> list[Spec]:
    return [
        Spec(network, replace(config.recipe, learning_rate=probe.base * 2.0**octave), data, config.split, seed)
        for network, octaves in zip(probe.networks, probe.octaves, strict=True)
        for octave in octaves
        for seed in config.probe_seeds
    ]


def _tried(specs: Sequence[Spec], outcomes: Mapping[str, Outcome]) -> tuple[Tried, ...]:
    return tuple((spec.network, spec.recipe.learning_rate, outcomes[spec.key].accuracy) for spec in specs)


def _widened(network: Network, base: float, tried: Sequence[Tried]) -> tuple[int, ...]:
    """What to train the network at: one rate more beyond the best where that is at an edge."""
    means = []
    for octave in OCTAVES:
        mine = [accuracy or 0.0 for one, rate, accuracy in tried if one == network and rate == base * 2.0**octave]
        means.append(sum(mine) / len(mine))
    best = OCTAVES[means.index(max(means))]
    below = (OCTAVES[0] - 1,) if best == OCTAVES[0] else ()
    above = (OCTAVES[-1] + 1,) if best == OCTAVES[-1] else ()
    return (*below, *OCTAVES, *above)
