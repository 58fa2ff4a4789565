"""Input sides at which the last feature map grows as the input does.

Strides round: four of 2 take 16 pixels to a map of 1x1 and 17 to 2x2. A grid that crosses such a step compares maps,
not rules; so sides are chosen by both, and a baseline's last map should have some pixels to begin with.
"""

import math
from collections.abc import Callable

SMALLEST_MAP = 2
"""Pixels per side below which batch norm and depth have almost nothing to work on."""
REACH = 0.15
"""How far a side may lie from what the rule asks for, as a share of it."""


def side_for(last_map: Callable[[int], int], baseline: int, ratio: float) -> int:
    """The input side for `ratio` times that of a baseline of side `baseline`, in pixels.

    Of the sides within 15 % of `baseline * ratio`, it is the one at which the side of the input and that of the last
    map, `last_map(side)`, are both as near as can be to `ratio` times the baseline's: the larger of the two deviations
    of their logarithms is smallest.
    """
    exact = baseline * ratio
    nearest = max(1, math.floor(exact + 0.5))
    low = min(nearest, math.ceil(exact * (1 - REACH)))
    high = max(nearest, math.floor(exact * (1 + REACH)))
    maps, wanted = _maps(last_map, low, high), last_map(baseline) * ratio

    def deviation(side: int) -> tuple[float, float, bool]:
        input_off, map_off = abs(math.log(side / exact)), abs(math.log(max(maps[side], 0.5) / wanted))
        return max(input_off, map_off), input_off, side != nearest

    return min(maps, key=deviation)


def _maps(last_map: Callable[[int], int], low: int, high: int) -> dict[int, int]:
    """`last_map` of every side from `low` to `high`. It never falls, so that it need be asked for few of them."""
    ends = {low: last_map(low), high: last_map(high)}
    if ends[low] == ends[high]:
        return dict.fromkeys(range(low, high + 1), ends[low])
    if high - low == 1:
        return ends
    middle = (low + high) // 2
    return _maps(last_map, low, middle) | _maps(last_map, middle, high)


def follows(map_ratio: float, wanted: float) -> bool:
    """Whether a last map has grown by `wanted`, as nearly as an input side may."""
    return abs(math.log(map_ratio / wanted)) <= -math.log(1 - REACH)


def small_map(resolution: int, last_map: int) -> str | None:
    """What is wrong with a last map of `last_map` pixels a side; None where it has enough."""
    if last_map >= SMALLEST_MAP:
        return None
    return (
        f"at an input of {resolution} x {resolution} pixels the last feature map has {last_map} x {last_map}: "
        "deeper and wider networks gain little there; use a larger input or fewer strides"
    )
