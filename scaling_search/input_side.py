"""Which input sides a network takes, and what is left of them in its last feature map.

Strides and windows without padding shrink an image. If it is too small, feature maps have no pixels, and their mean is
NaN. If it just fits, a single pixel is left, at which batch norm and depth are of little use.
"""

from collections.abc import Callable
from typing import Any

from scaling_search.errors import UserError
from scaling_search.family import Family, PlannedFamily
from scaling_search.rule import Scale
from scaling_search.traced import InputSizeError, all_equations, forward

LARGEST = 1024
"""The largest side that is tried in search of one that a network takes."""


class InputTooSmallError(InputSizeError):
    """An image too small for a network; the message names its smallest side."""

    def __init__(self, name: str, resolution: int, smallest: int):
        super().__init__(
            f"an input of {resolution} x {resolution} pixels is too small for {name}: its feature maps would be empty",
            f"its smallest input side is {smallest}",
            f"try {smallest} or more",
        )
        self.smallest = smallest


def evaluation(network: Any, resolution: int) -> Any:
    """The traced program of a network in evaluation on one image.

    Raises InputSizeError where it does not take the image or a feature map has no pixels left.
    """
    program = forward(network, resolution, training=False)
    refuse_empty_maps(program, resolution)
    return program


def checked_evaluation(network: Any, resolution: int) -> Any:
    """As `evaluation`, but where the image is too small the error names the smallest side."""
    try:
        return evaluation(network, resolution)
    except InputSizeError as refused:
        name = type(network).__name__
        raise explained(refused, name, resolution, lambda side: network_takes(network, side)) from refused


def refuse_empty_maps(program: Any, resolution: int) -> None:
    """Raises InputSizeError where a traced program has a feature map without pixels."""
    if any(_is_empty_map(one.aval) for equation in all_equations(program) for one in equation.outvars):
        raise empty_maps(resolution)


def refuse_small_input(network: Any, program: Any, resolution: int) -> None:
    """Raises InputTooSmallError where a network's traced program has a feature map without pixels."""
    try:
        refuse_empty_maps(program, resolution)
    except InputSizeError as refused:
        name = type(network).__name__
        raise explained(refused, name, resolution, lambda side: network_takes(network, side)) from None


def empty_maps(resolution: int) -> InputSizeError:
    """What is wrong with an input that leaves no pixels."""
    return InputSizeError(f"an input of {resolution} x {resolution} pixels is too small: feature maps would be empty")


def _is_empty_map(value: Any) -> bool:
    # The last dimension is channels, of which a part may well have none.
    shape = getattr(value, "shape", ())
    return len(shape) >= 3 and 0 in shape[:-1]


def smallest_side(family: Family, scale: Scale, num_classes: int) -> int | None:
    """The smallest input side in pixels that `family` takes at `scale`; None where that is none up to 1024.

    What takes a side takes every larger one.
    """
    return _smallest(taker(family, scale, num_classes))


def taker(family: Family, scale: Scale, num_classes: int) -> Callable[[int], bool]:
    """Whether `family` at `scale` has pixels in every feature map, by the input side."""
    if isinstance(family, PlannedFamily):
        plan = family.plan(scale, num_classes)
        return lambda side: plan.last_map_side(side) > 0
    from scaling_search.networks.initialise import abstract_network

    network = abstract_network(family, scale, num_classes)
    return lambda side: network_takes(network, side)


def last_map_side(family: Family, scale: Scale, num_classes: int, resolution: int) -> int:
    """Side in pixels of the last feature map of `family` at an input of `resolution` pixels a side.

    It is what the plan says, or the network's `features`; of a network without these, the last map that its evaluation
    makes something flat of. Raises UserError as `scaling_search.cost.cost` does, and where there is no such map.
    """
    if isinstance(family, PlannedFamily):
        return family.plan(scale, num_classes).last_map_side(resolution)
    from scaling_search.networks.initialise import abstract_network

    network = abstract_network(family, scale, num_classes)
    try:
        program = evaluation(network, resolution)
        if callable(getattr(network, "features", None)):
            shapes = [one.shape for one in forward(network, resolution, training=False, method="features").out_avals]
        else:
            shapes = [shape for equation in all_equations(program) if (shape := _flattened(equation))]
    except InputSizeError as refused:
        raise explained(refused, family.name, resolution, lambda side: network_takes(network, side)) from refused
    if not shapes or len(shapes[-1]) != 4:
        raise UserError(f"{family.name} has no last feature map", "a map is (N, H, W, C)")
    return min(shapes[-1][1:3])


def _flattened(equation: Any) -> tuple[int, ...] | None:
    """The shape of a map (N, H, W, C) of which an equation makes arrays with fewer dimensions."""
    maps = [one.aval.shape for one in equation.invars if len(getattr(one.aval, "shape", ())) == 4]
    flat = all(len(getattr(one.aval, "shape", ())) < 4 for one in equation.outvars)
    return maps[0] if maps and flat else None


def total_stride(family: Family, scale: Scale, num_classes: int) -> int:
    """Pixels of the input for a pixel of the last feature map, a side, far from the edges."""
    small, large = (last_map_side(family, scale, num_classes, side) for side in (LARGEST // 2, LARGEST))
    return LARGEST // 2 // max(1, large - small)


def network_takes(network: Any, resolution: int) -> bool:
    """Whether a network has pixels in every feature map at this input side."""
    try:
        evaluation(network, resolution)
    except InputSizeError:
        return False
    return True


def explained(refused: InputSizeError, name: str, resolution: int, takes: Callable[[int], bool]) -> InputSizeError:
    """Why an input side is refused: too small, where `takes` holds for a larger one, or else as it was said."""
    smallest = _smallest(takes, resolution)
    return refused if smallest is None else InputTooSmallError(name, resolution, smallest)


def _smallest(takes: Callable[[int], bool], refused: int = 0) -> int | None:
    """The smallest side above `refused` that is taken."""
    low, high = refused, max(1, 2 * refused)
    while not takes(high):
        low, high = high, 2 * high
        if high > LARGEST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if takes(middle) else (middle, high)
    return high
