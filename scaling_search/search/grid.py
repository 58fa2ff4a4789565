"""STEP 1: fix phi, try every rule of the grid, train each network that they round to (section 3.3 of the paper)."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from scaling_search.config import RunConfig, to_dict
from scaling_search.errors import UserError
from scaling_search.family import Family
from scaling_search.input_side import last_map_side
from scaling_search.rule import CompoundRule, Scale
from scaling_search.search.candidates import network_at, refusal, specs_of, uncounted_network
from scaling_search.search.sides import small_map
from scaling_search.traced import InputSizeError
from scaling_search.trial import Network, Spec


@dataclass(frozen=True)
class Point:
    """A rule of the grid and the network that it rounds to."""

    rule: CompoundRule
    network: Network
    rejected: str | None
    """Why it is not trained: equation 2 rejects it, or its input is too small for the network."""


@dataclass(frozen=True)
class Step1:
    """The grid before training: the baseline, and every point with its network. Costs are known, accuracies not."""

    phi: float
    baseline: Network
    points: tuple[Point, ...]
    notes: tuple[str, ...] = ()
    """What to know before training: input sides whose last feature map has a single pixel."""

    @property
    def networks(self) -> tuple[Network, ...]:
        """The baseline and each different network that equation 2 allows, in the order of the grid."""
        allowed = {point.network.fingerprint: point.network for point in self.points if point.rejected is None}
        return (self.baseline, *(n for key, n in allowed.items() if key != self.baseline.fingerprint))

    def document(self) -> dict[str, Any]:
        """As the store keeps it."""
        every = (*(point.network for point in self.points), self.baseline)
        return {
            "phi": self.phi,
            "baseline": self.baseline.fingerprint,
            "networks": {network.fingerprint: to_dict(network) for network in every},
            "points": [
                {
                    **asdict(point.rule),
                    "cost_factor": point.rule.cost_factor,
                    "network": point.network.fingerprint,
                    "rejected": point.rejected,
                }
                for point in self.points
            ],
        }


def lay_out(family: Family, config: RunConfig, num_classes: int) -> Step1:
    """The grid of STEP 1 with the network and the cost of every point; nothing is trained yet.

    Points that round to the same network get one Network. Raises UserError if no point meets the constraint or
    equation 2 rejects all.
    """
    named: Any = {"name": config.family, "options": config.family_options}
    baseline = network_at(family, Scale(), num_classes, **named)
    known = {baseline.fingerprint: baseline}
    points = []
    for rule in config.grid.rules():
        scale = rule.at(config.phi)
        try:
            network = network_at(family, scale, num_classes, **named)
        except InputSizeError as refused:
            points.append(Point(rule, uncounted_network(family, scale, num_classes, **named), str(refused)))
            continue
        network = known.setdefault(network.fingerprint, network)
        points.append(Point(rule, network, refusal(network, config)))
    if all(point.rejected for point in points):
        cheapest = min(points, key=lambda point: point.network.multiply_adds)
        raise UserError(
            f"equation 2 rejects all {len(points)} points of the grid, and even the cheapest: {cheapest.rejected}",
            hint="raise --max-flops or --max-memory, or use a smaller baseline",
        )
    sides = {baseline.input_resolution, *(point.network.input_resolution for point in points if not point.rejected)}
    return Step1(config.phi, baseline, tuple(points), tuple(_small_maps(family, num_classes, sides)))


def _small_maps(family: Family, num_classes: int, sides: Iterable[int]) -> Iterator[str]:
    """A note for each side whose last map is too small."""
    for side in sorted(sides):
        note = small_map(side, last_map_side(family, Scale(), num_classes, side))
        if note is None:  # Larger sides have larger maps.
            return
        yield note


def step1_specs(layout: Step1, config: RunConfig, data: str) -> list[Spec]:
    """The trainings of STEP 1: every network from every seed, judged on the validation split."""
    return [spec for network in layout.networks for spec in specs_of(network, config, data)]
