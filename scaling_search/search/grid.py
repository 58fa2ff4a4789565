"""STEP 1: fix phi, try every rule of the grid, train each network that they round to (section 3.3 of the paper)."""

from dataclasses import asdict, dataclass
from typing import Any

from scaling_search.config import RunConfig, to_dict
from scaling_search.errors import UserError
from scaling_search.family import Family
from scaling_search.rule import CompoundRule, Scale
from scaling_search.search.candidates import network_at, refusal, specs_of
from scaling_search.trial import Network, Spec


@dataclass(frozen=True)
class Point:
    """A rule of the grid and the network that it rounds to."""

    rule: CompoundRule
    network: Network
    rejected: str | None
    """Why equation 2 refused it."""


@dataclass(frozen=True)
class Step1:
    """The grid before training: the baseline, and every point with its network. Costs are known, accuracies not."""

    phi: float
    baseline: Network
    points: tuple[Point, ...]

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

    Points that round to the same network get one Network. Raises UserError where no point meets the constraint, or
    equation 2 refuses all.
    """
    named: Any = {"name": config.family, "options": config.family_options}
    baseline = network_at(family, Scale(), num_classes, **named)
    known = {baseline.fingerprint: baseline}
    points = []
    for rule in config.grid.rules():
        network = network_at(family, rule.at(config.phi), num_classes, **named)
        network = known.setdefault(network.fingerprint, network)
        points.append(Point(rule, network, refusal(network, config)))
    if all(point.rejected for point in points):
        cheapest = min(points, key=lambda point: point.network.multiply_adds)
        raise UserError(
            f"equation 2 refuses all {len(points)} points of the grid; of the cheapest, {cheapest.rejected}",
            hint="raise --max-flops or --max-memory, or take a smaller baseline",
        )
    return Step1(config.phi, baseline, tuple(points))


def step1_specs(layout: Step1, config: RunConfig, data: str) -> list[Spec]:
    """The trainings of STEP 1: every network from every seed, judged on the validation split."""
    return [spec for network in layout.networks for spec in specs_of(network, config, data)]
