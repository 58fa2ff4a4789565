"""STEP 1: fix phi, try every rule of the grid, train each network that they round to (section 3.3 of the paper)."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from scaling_search.config import RunConfig, to_dict
from scaling_search.errors import UserError
from scaling_search.family import Family
from scaling_search.input_side import last_map_side
from scaling_search.rule import CompoundRule, Scale
from scaling_search.search.candidates import refusal, specs_of, uncounted_network
from scaling_search.search.growing import Grower, Grown, Latencies, spread_note
from scaling_search.search.matching import UnmatchedError
from scaling_search.search.rivals import RIVALS
from scaling_search.search.sides import small_map
from scaling_search.traced import InputSizeError
from scaling_search.trial import Network, Spec


@dataclass(frozen=True)
class Point:
    """A rule and its network."""

    rule: CompoundRule
    grown: Grown
    rejected: str | None
    """Why it is not trained: equation 2 rejects it, its input is too small, or no width gives it its cost."""

    @property
    def network(self) -> Network:
        """What would be trained."""
        return self.grown.network

    def document(self) -> dict[str, Any]:
        """As the store keeps it."""
        return {
            **asdict(self.rule),
            "cost_factor": self.rule.cost_factor,
            **self.grown.document(),
            "network": self.network.fingerprint,
            "rejected": self.rejected,
        }


@dataclass(frozen=True)
class Step1:
    """The grid before training: the baseline, and every point with its network. Costs are known, accuracies not."""

    phi: float
    baseline: Network
    points: tuple[Point, ...]
    notes: tuple[str, ...] = ()
    """What to know before training: input sides whose last map has a single pixel or does not grow as they do, how
    well costs are matched."""
    rivals: dict[str, Point] = field(default_factory=dict)
    """Rules that are trained at the same cost to compare the grid's best with, by name."""

    @property
    def networks(self) -> tuple[Network, ...]:
        """The baseline and each different network that equation 2 allows, in the order of the grid, then rivals."""
        points = (*self.points, *self.rivals.values())
        allowed = {point.network.fingerprint: point.network for point in points if point.rejected is None}
        return (self.baseline, *(n for key, n in allowed.items() if key != self.baseline.fingerprint))

    def document(self) -> dict[str, Any]:
        """As the store keeps it."""
        every = (*(point.network for point in (*self.points, *self.rivals.values())), self.baseline)
        return {
            "phi": self.phi,
            "baseline": self.baseline.fingerprint,
            "networks": {network.fingerprint: to_dict(network) for network in every},
            "points": [point.document() for point in self.points],
            "rivals": [{"rival": name, **point.document()} for name, point in self.rivals.items()],
            "notes": list(self.notes),
        }


def lay_out(family: Family, config: RunConfig, num_classes: int, latencies: Latencies | None = None) -> Step1:
    """The grid of STEP 1 with the network and the cost of every point; nothing is trained yet.

    Points of the same network get one Network. `latencies` measures networks, where the config matches these. Raises
    UserError if no point meets the constraint or equation 2 rejects all.
    """
    grower = Grower(family, config, num_classes, latencies)
    known = {grower.baseline.fingerprint: grower.baseline}

    def point(rule: CompoundRule, grow: Callable[[CompoundRule, float], Grown]) -> Point:
        try:
            grown = grow(rule, config.phi)
        except (InputSizeError, UnmatchedError) as refused:
            named: Any = {"name": config.family, "options": config.family_options}
            return Point(
                rule, Grown(uncounted_network(family, rule.at(config.phi), num_classes, **named), None), str(refused)
            )
        network = known.setdefault(grown.network.fingerprint, grown.network)
        return Point(rule, replace(grown, network=network), refusal(network, config))

    points = tuple(point(rule, grower.at) for rule in config.grid.rules())
    if all(point.rejected for point in points):
        cheapest = min(points, key=lambda point: point.network.multiply_adds)
        raise UserError(
            f"equation 2 rejects all {len(points)} points of the grid, and even the cheapest: {cheapest.rejected}",
            hint="raise --max-flops or --max-memory, or use a smaller baseline",
        )
    rivals = {name: point(rule, grower.matched) for name, rule in RIVALS.items()} if config.rivals else {}
    layout = Step1(config.phi, grower.baseline, points, rivals=rivals)
    return replace(layout, notes=tuple(_notes(family, layout, grower)))


def _notes(family: Family, layout: Step1, grower: Grower) -> Iterator[str]:
    for side in sorted({network.input_resolution for network in layout.networks}):
        note = small_map(side, last_map_side(family, Scale(), layout.baseline.num_classes, side))
        if note is None:  # Larger sides have larger maps.
            break
        yield note
    ratios = {
        point.network.input_resolution: point.rule.at(layout.phi).resolution
        for point in layout.points
        if point.grown.target_cost is not None
    }
    unable = grower.maps_note(ratios)
    if unable is not None:
        yield unable
    allowed = [point.grown for point in layout.points if not point.rejected]
    matched = spread_note(family, allowed, measured=grower.measured)
    if matched is not None:
        yield matched


def step1_specs(layout: Step1, config: RunConfig, data: str) -> list[Spec]:
    """The trainings of STEP 1: every network from every seed, judged on the validation split."""
    return [spec for network in layout.networks for spec in specs_of(network, config, data)]


def shorter_specs(layout: Step1, config: RunConfig, data: str) -> list[Spec]:
    """The same for each smaller number of epochs that the config asks for."""
    recipes = [replace(config.recipe, epochs=epochs) for epochs in config.shorter]
    # The check that `shorter` is below the recipe's own epochs is not for these.
    asked = [replace(config, recipe=recipe, shorter=()) for recipe in recipes]
    return [spec for one in asked for spec in step1_specs(layout, one, data)]
