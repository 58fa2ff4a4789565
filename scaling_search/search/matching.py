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

from scaling_search.cost import cost_of_scale, count
from scaling_search.errors import UserError
from scaling_search.family import Family
from scaling_search.rule import CompoundRule, Scale, round_resolution

Measure = Literal["multiply_adds", "activations", "parameters"]
STEPS = 10_000
"""Widths are tried in steps of 1 / STEPS, far finer than a channel of any network here."""
WIDEST = 64.0
"""Widths are tried up to this."""


TRIES = 5
"""Networks that are measured for a rule."""
NEAR = 0.01
"""log2 of a measured cost over its target that is near enough."""
FARTHEST = 1.0
"""Most by which the logarithm of multiply-adds changes from one network measured to the next."""
STEEPNESS = 0.25, 2.0
"""How fast the logarithm of a measured cost may rise with that of multiply-adds, steps being taken by it."""


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
    target: float | None = None,
) -> Matched:
    """The network of `family` for `rule` at `phi` whose cost is as near as can be to 2 ** phi times the baseline's.

    Another `target` relative to the baseline's cost may be given. `side` gives the input side for a resolution factor,
    by default to the nearest pixel. A family with a plan is solved
    in milliseconds, another is traced some twenty times. Raises UnmatchedError where depth and pixels alone cost more.
    """
    nominal = rule.at(phi)
    pixels = side(nominal.resolution) if side else round_resolution(family.resolution, nominal.resolution)
    resolution = pixels / family.resolution

    def scaled(step: int) -> Scale:
        return Scale(nominal.depth, step / STEPS, resolution)

    def checked_cost_of(scale: Scale, side: int) -> int:
        return int(getattr(cost_of_scale(family, scale, num_classes, side)[0], by))

    base = checked_cost_of(Scale(), family.resolution)
    times = 2.0**phi if target is None else target
    wanted = times * base

    @cache
    def cost(step: int) -> int:
        return int(getattr(count(family, scaled(step), num_classes, pixels), by))

    low, high = 1, 2 * max(1, round(STEPS * nominal.width))
    if checked_cost_of(scaled(low), pixels) > wanted:
        raise UnmatchedError(
            f"alpha {rule.alpha:g} and gamma {rule.gamma:g} at phi {phi:g} cost more than {times:g} times the "
            f"baseline at any width",
            "depth and resolution alone must cost less",
            "try smaller coefficients, or a larger baseline",
        )
    while cost(high) <= wanted:
        low, high = high, 2 * high
        if high > WIDEST * STEPS:
            raise UnmatchedError(
                f"no width up to {WIDEST:g} costs {times:g} times the baseline", "cost must grow with the width"
            )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle) <= wanted else (low, middle)
    best = min((low, high), key=lambda step: abs(math.log(cost(step) / wanted)))
    return Matched(
        rule=rule,
        phi=phi,
        scale=scaled(best),
        input_resolution=pixels,
        cost=cost(best) / base,
        target=times,
    )


def match_measured(matched: Callable[[float], Matched], measured: Callable[[Matched], float], phi: float) -> Matched:
    """The network whose measured cost is as near as TRIES of them come to 2 ** phi times the baseline's.

    What is measured, such as a latency, takes seconds and has noise, so it is looked for along the multiply-adds, by
    secants on logarithmic scales. The same measurements lead to the same network.

    Args:
        matched: the rule's network with so many times the baseline's multiply-adds. That it raises UnmatchedError
            matters for the first only.
        measured: what it costs relative to the baseline.
        phi: of the rule.

    """
    tried: list[tuple[float, float, Matched]] = []
    at = phi
    for _ in range(TRIES):
        try:
            found = matched(2.0**at)
        except UnmatchedError:
            if not tried:
                raise
            break
        off = math.log2(measured(found)) - phi
        tried.append((at, off, found))
        if abs(off) <= NEAR or any(found.scale == other.scale for *_, other in tried[:-1]):
            break
        slope = 1.0
        if len(tried) > 1:
            (one, low, _), (other, high, _) = tried[-2:]
            slope = min(max((high - low) / (other - one), STEEPNESS[0]), STEEPNESS[1])
        # One measurement that is far off must not lead far away.
        at -= min(max(off / slope, -FARTHEST), FARTHEST)
    return min(tried, key=lambda one: abs(one[1]))[2]
