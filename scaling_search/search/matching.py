"""Networks of equal cost: layers and pixels as a rule rounds them, and the width solved for.

Rules that should cost the same no longer do after rounding: among the default grid's points on a small baseline, the
most expensive costs twice the cheapest. Here depth and input side follow equation 3, and the width is the one whose
network comes nearest to 2 ** phi times the baseline's cost.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

from scaling_search.cost import cost_of_scale
from scaling_search.errors import UserError
from scaling_search.family import Cost, Family, PlannedFamily
from scaling_search.rule import CompoundRule, Scale, round_resolution

Measure = Literal["multiply_adds", "activations", "parameters"]
STEPS = 10_000
"""Widths are tried in steps of 1 / STEPS, far finer than a channel of any network here."""
WIDEST = 64.0
"""Widths are tried up to this."""


@dataclass(frozen=True)
class Matched:
    """A network of given cost for a rule: what the rule asks for beside what was built."""

    rule: CompoundRule
    phi: float
    scale: Scale
    """What makes the network: the rule's depth, the width that was solved for, and the input side as a factor."""
    input_resolution: int
    layers: float | None
    """Blocks relative to the baseline's; None where the family has no plan."""
    channels: float | None
    """Channels of all stages relative to the baseline's; None where the family has no plan."""
    pixels: float
    """Input side relative to the baseline's."""
    cost: float
    """Cost relative to the baseline's."""
    target: float
    """What `cost` should be."""

    @property
    def deviation(self) -> float:
        """log2 of the realised cost over the target."""
        return math.log2(self.cost / self.target)


class _Built(NamedTuple):
    cost: Cost
    layers: int | None
    channels: int | None


def match_cost(
    family: Family,
    rule: CompoundRule,
    phi: float,
    num_classes: int,
    *,
    by: Measure = "multiply_adds",
    side: Callable[[float], int] | None = None,
) -> Matched:
    """The network of `family` for `rule` at `phi` whose cost is as near as can be to 2 ** phi times the baseline's.

    `side` gives the input side for a resolution factor, by default to the nearest pixel. A family with a plan is solved
    in milliseconds, another is traced some twenty times. Raises UserError where depth and pixels alone cost more.
    """
    nominal = rule.at(phi)
    pixels = side(nominal.resolution) if side else round_resolution(family.resolution, nominal.resolution)
    resolution = pixels / family.resolution

    def scaled(step: int) -> Scale:
        return Scale(nominal.depth, step / STEPS, resolution)

    def cost(built: _Built) -> int:
        return int(getattr(built.cost, by))

    base = _build(family, Scale(), num_classes, family.resolution)
    target = 2.0**phi * cost(base)

    @cache
    def at(step: int) -> _Built:
        return _build(family, scaled(step), num_classes, pixels)

    low, high = 1, 2 * max(1, round(STEPS * nominal.width))
    if cost(at(low)) > target:
        raise UserError(
            f"alpha {rule.alpha:g} and gamma {rule.gamma:g} at phi {phi:g} cost more than {2**phi:g} times the "
            f"baseline at any width",
            "depth and resolution alone must cost less",
            "try smaller coefficients, or a larger baseline",
        )
    while cost(at(high)) <= target:
        low, high = high, 2 * high
        if high > WIDEST * STEPS:
            raise UserError(
                f"no width up to {WIDEST:g} costs {2**phi:g} times the baseline", "cost must grow with the width"
            )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(at(middle)) <= target else (low, middle)
    best = min((low, high), key=lambda step: abs(math.log(cost(at(step)) / target)))
    built = at(best)
    return Matched(
        rule=rule,
        phi=phi,
        scale=scaled(best),
        input_resolution=pixels,
        layers=_ratio(built.layers, base.layers),
        channels=_ratio(built.channels, base.channels),
        pixels=resolution,
        cost=cost(built) / cost(base),
        target=2.0**phi,
    )


def _build(family: Family, scale: Scale, num_classes: int, side: int) -> _Built:
    cost, _ = cost_of_scale(family, scale, num_classes, side)
    if not isinstance(family, PlannedFamily):
        return _Built(cost, None, None)
    plan = family.plan(scale, num_classes)
    return _Built(cost, plan.layers, plan.channels)


def _ratio(one: int | None, other: int | None) -> float | None:
    return None if one is None or other is None else one / other
