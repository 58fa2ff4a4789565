"""From a rule to its network, rounded as in the paper or matched in cost, and what the network realises of the rule."""

import dataclasses
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import count
from math import log2
from typing import Any, TypeAlias

from scaling_search.config import MatchBy, RunConfig
from scaling_search.cost import cost_of_scale
from scaling_search.errors import UserError
from scaling_search.family import Family, PlannedFamily, fields_of, with_options
from scaling_search.input_side import last_map_side
from scaling_search.rule import CompoundRule, Scale, dropout_at
from scaling_search.search.candidates import network_at
from scaling_search.search.matching import Matched, Measure, match_cost, match_measured
from scaling_search.search.sides import SMALLEST_MAP, follows, side_for
from scaling_search.traced import InputSizeError
from scaling_search.trial import Network

MEASURES: dict[MatchBy, Measure] = {"flops": "multiply_adds", "params": "parameters", "activations": "activations"}
"""What `--match-by` names and is counted, as the costs of a network are called."""
Latencies: TypeAlias = Callable[[Sequence[Network]], list[float]]
"""Milliseconds that networks take for an image."""
SPREAD = 0.02
"""Standard deviation of log2 of the cost up to which networks cost the same."""


@dataclass(frozen=True)
class Growth:
    """What a network has relative to the baseline."""

    layers: float | None
    """Blocks; None where the family has no plan."""
    channels: float | None
    """Channels of all stages; None where the family has no plan."""
    pixels: float
    """Input side."""
    realised_cost: float
    """Cost, by the run's measure."""
    depth_share: float | None
    """Of the growth in cost on a logarithmic scale, what the network's layers alone make of it. The shares add up to 1;
    they are None where the network costs what the baseline does."""
    width_share: float | None
    """What is left for the channels."""
    resolution_share: float | None
    """What the network's input side alone makes of it."""


@dataclass(frozen=True)
class Grown:
    """A network and what it realises of the rule or scale that it was made from."""

    network: Network
    growth: Growth | None
    """None where the network does not exist: its input is too small, or no width gives it its cost."""
    target_cost: float | None = None
    """What `realised_cost` was solved to be; None where all dimensions are rounded."""

    def document(self) -> dict[str, Any]:
        """As step files keep it."""
        growth = dict.fromkeys(Growth.__dataclass_fields__) if self.growth is None else asdict(self.growth)
        return {**growth, "target_cost": self.target_cost}


class Grower:
    """Makes the networks of a run. `latencies` measures them, where the config matches these."""

    def __init__(self, family: Family, config: RunConfig, num_classes: int, latencies: Latencies | None = None) -> None:
        if config.match_by == "latency" and latencies is None:
            raise UserError("--match-by latency given", "it takes measurements, which only a run makes and keeps")
        self._family, self._num_classes = family, num_classes
        self._name, self._options = config.family, config.family_options
        self._by_size = config.recipe.dropout_by_size and "dropout" in fields_of(family)
        self._match, self._by = config.match, MEASURES.get(config.match_by)
        self._latencies = latencies
        self.measured = self._by is None
        self._solved: dict[tuple[float, float, float], Grown] = {}
        self._last_map = cache(self._last_map_side)
        self._cost = cache(self._at)
        self.baseline = self._network(Scale(), dropout_at(0))
        if self._match == "cost":
            self._refuse_small_map()

    def _refuse_small_map(self) -> None:
        """Raises UserError where the baseline's last map leaves the rules nothing to compare."""
        side = self.baseline.input_resolution
        last_map = self._last_map(side)
        if last_map < SMALLEST_MAP:
            enough = next(larger for larger in count(side) if self._last_map(larger) >= SMALLEST_MAP)
            raise UserError(
                f"at an input of {side} x {side} pixels the last feature map of {self._family.name} has {last_map} x "
                f"{last_map}",
                f"rules of equal cost are compared from {SMALLEST_MAP} x {SMALLEST_MAP} on",
                f"try --family-options resolution={enough}, a family with fewer strides, or --match paper",
            )

    def at(self, rule: CompoundRule, phi: float) -> Grown:
        """The network of a rule, as the run's `match` says; raises UserError as `rounded` and `matched` do."""
        return self.rounded(rule.at(phi), dropout_at(phi)) if self._match == "paper" else self.matched(rule, phi)

    def rounded(self, scale: Scale, dropout: float) -> Grown:
        """The network at `scale`, rounded as in the paper, which the recipe may give this dropout.

        Raises InputSizeError where its input is too small.
        """
        network = self._network(scale, dropout)
        return Grown(network, self._growth(network, scale))

    def matched(self, rule: CompoundRule, phi: float) -> Grown:
        """The network of a rule with its width solved for 2 ** phi times the baseline's cost.

        Raises UnmatchedError where no width does, and InputSizeError where its input is too small.
        """
        if phi == 0:
            return Grown(self.baseline, self._growth(self.baseline, Scale()), 1.0)
        # Rules that differ in width alone are one network: its width follows from the other two.
        solved = (rule.alpha, rule.gamma, phi)
        if solved not in self._solved:
            scale = self._matched_scale(rule, phi)
            network = self._network(scale, dropout_at(phi))
            self._solved[solved] = Grown(network, self._growth(network, scale), 2.0**phi)
        return self._solved[solved]

    def _matched_scale(self, rule: CompoundRule, phi: float) -> Scale:
        def matched(target: float) -> Matched:
            by = self._by or "multiply_adds"
            return match_cost(self._family, rule, phi, self._num_classes, by=by, side=self._side, target=target)

        def measured(found: Matched) -> float:
            return self._relative(self._network(found.scale, dropout_at(phi)))

        return (matched(2.0**phi) if self._by is not None else match_measured(matched, measured, phi)).scale

    def _cost_of(self, network: Network) -> float:
        """By the run's measure."""
        if self._by is not None:
            return float(getattr(network, self._by))
        assert self._latencies is not None
        return self._latencies([network])[0]

    def _relative(self, network: Network) -> float:
        """To the baseline's cost."""
        return self._cost_of(network) / self._cost_of(self.baseline)

    def _network(self, scale: Scale, dropout: float) -> Network:
        """The network at `scale`; with the dropout given where the recipe has it by size."""
        own = (f"dropout={dropout:g}",) if self._by_size else ()
        family, options = with_options(self._family, own), (*self._options, *own)
        return network_at(family, scale, self._num_classes, name=self._name, options=options)

    def _growth(self, network: Network, scale: Scale) -> Growth:
        layers, channels = self._size(scale)
        base_layers, base_channels = self._size(Scale())
        depth, resolution = self._shares(network)
        return Growth(
            layers=None if layers is None or base_layers is None else layers / base_layers,
            channels=None if channels is None or base_channels is None else channels / base_channels,
            pixels=network.input_resolution / self.baseline.input_resolution,
            realised_cost=self._relative(network),
            depth_share=depth,
            width_share=None if depth is None or resolution is None else 1 - depth - resolution,
            resolution_share=resolution,
        )

    def _shares(self, network: Network) -> tuple[float, float] | tuple[None, None]:
        """Of the growth in log cost, what the layers and what the input side make of it, each on the baseline alone.

        None where there is no such growth, or the baseline does not take its layers or its side without the rest.
        """
        side, growth = self.baseline.input_resolution, log2(self._relative(network))
        if growth == 0:
            return None, None
        try:
            deeper = self._cost(Scale(depth=network.scale.depth), side)
            larger = self._cost(Scale(), network.input_resolution)
        except InputSizeError:
            return None, None
        return log2(deeper) / growth, log2(larger) / growth

    def _at(self, scale: Scale, side: int) -> float:
        """The cost, relative to the baseline's, of a scale on images of another side."""
        if self._by is not None:
            counted, _ = cost_of_scale(self._family, scale, self._num_classes, side)
            return float(getattr(counted, self._by) / getattr(self.baseline, self._by))
        at_side = dataclasses.replace(scale, resolution=side / self._family.resolution)
        return self._relative(self._network(at_side, dropout_at(0)))

    def _size(self, scale: Scale) -> tuple[int, int] | tuple[None, None]:
        """Layers and channels."""
        if not isinstance(self._family, PlannedFamily):
            return None, None
        plan = self._family.plan(scale, self._num_classes)
        return plan.layers, plan.channels

    def _side(self, ratio: float) -> int:
        return side_for(self._last_map, self._family.resolution, ratio)

    def _last_map_side(self, side: int) -> int:
        try:
            return last_map_side(self._family, Scale(), self._num_classes, side)
        except InputSizeError:
            return 0

    def maps_note(self, ratios: Mapping[int, float]) -> str | None:
        """At which input sides the last map does not grow as the side should, by the sides; None where it does at all.

        `ratios` are what each side should be of the baseline's.
        """
        base = self._last_map(self.baseline.input_resolution)
        maps = {side: self._last_map(side) for side in sorted(ratios)}
        off = [
            f"{side} x {side} (a map of {last} x {last}, {last / base:.2f} times the baseline's for {ratios[side]:.2f})"
            for side, last in maps.items()
            if not follows(last / base, ratios[side])
        ]
        if not off:
            return None
        return f"the last feature map can't follow inputs of {', '.join(off)}: use a larger input or fewer strides"


def spread_note(family: Family, grown: Iterable[Grown], *, measured: bool) -> str | None:
    """How far the costs of matched networks lie apart, and what to try where that is far; None where there are none.

    `measured` says whether these are latencies.
    """
    off = [
        log2(one.growth.realised_cost / one.target_cost) for one in grown if one.growth is not None and one.target_cost
    ]
    if not off:
        return None
    spread = statistics.pstdev(off)
    note = f"costs are matched with a standard deviation of {spread:.3f} in log2"
    if spread <= SPREAD:
        return note
    if measured:
        return f"{note}: latencies scatter, the less so the less else this machine does meanwhile"
    finer = "--family-options divisor=1 or " if getattr(family, "divisor", 1) > 1 else ""
    return f"{note}: channels come in steps too coarse for less; try {finer}--family efficientnet_small"
