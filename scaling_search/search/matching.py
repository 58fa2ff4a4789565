"""Networks of equal cost: layers and pixels as a rule rounds them, and the width solved for.

Rules that should cost the same no longer do after rounding: among the default grid's points on a small baseline, the
most expensive costs twice the cheapest. Here depth and input side follow equation 3, and the width is the one whose
network comes nearest to 2 ** phi times the baseline's cost.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from scaling_search.cost import cost_of_scale
from scaling_search.errors import UserError
from scaling_search.family import Family
from scaling_search.rule import CompoundRule, Scale, round_resolution

Measure = Literal["multiply_adds", "activations", "parameters"]
STEPS = 10_000
"""Widths are tried in steps of 1 / STEPS, far finer than a channel of any network here."""
WIDEST = 64.0
"""Widths are tried up to this."""


class UnmatchedError(UserError):
    """No width gives a rule's network the cost that it should have."""


@dataclass(frozen=True)
class Matched:
    """A network of given cost for a rule: what the rule asks for beside what was built."""

    rule: CompoundRule
    phi: float
    scale: Scale
    """What makes the network: the rule's depth, the width that was solved for, and the input side as a factor."""
    input_resolution: int
    cost: float
    """Cost relative to the baseline's."""
    target: float
    """What `cost` should be."""

    @property
    def deviation(self) -> float:
        """log2 of the realised cost over the target."""
        return math.log2(self.cost / self.target)


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
    in milliseconds, another is traced some twenty times. Raises UnmatchedError where depth and pixels alone cost more.
    """
    nominal = rule.at(phi)
    pixels = side(nominal.resolution) if side else round_resolution(family.resolution, nominal.resolution)
    resolution = pixels / family.resolution

    def scaled(step: int) -> Scale:
        return Scale(nominal.depth, step / STEPS, resolution)

    def cost_of(scale: Scale, side: int) -> int:
        return int(getattr(cost_of_scale(family, scale, num_classes, side)[0], by))

    base = cost_of(Scale(), family.resolution)
    target = 2.0**phi * base

    @cache
    def cost(step: int) -> int:
        return cost_of(scaled(step), pixels)

    low, high = 1, 2 * max(1, round(STEPS * nominal.width))
    if cost(low) > target:
        raise UnmatchedError(
            f"alpha {rule.alpha:g} and gamma {rule.gamma:g} at phi {phi:g} cost more than {2**phi:g} times the "
            f"baseline at any width",
            "depth and resolution alone must cost less",
            "try smaller coefficients, or a larger baseline",
        )
    while cost(high) <= target:
        low, high = high, 2 * high
        if high > WIDEST * STEPS:
            raise UnmatchedError(
                f"no width up to {WIDEST:g} costs {2**phi:g} times the baseline", "cost must grow with the width"
            )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle) <= target else (low, middle)
    best = min((low, high), key=lambda step: abs(math.log(cost(step) / target)))
    return Matched(
        rule=rule,
        phi=phi,
        scale=scaled(best),
        input_resolution=pixels,
        cost=cost(best) / base,
        target=2.0**phi,
    )
