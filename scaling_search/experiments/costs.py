"""What networks cost, and the largest network that a budget allows. Nothing is trained."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from scaling_search.errors import UserError
from scaling_search.input_side import InputTooSmallError
from scaling_search.rule import PAPER_RULE, CompoundRule, Scale, round_resolution
from scaling_search.traced import InputSizeError
from scaling_search.units import Amount, parse_bytes, parse_count

if TYPE_CHECKING:
    from scaling_search.family import Cost, Family

    Count = Callable[[Family, Scale, int, int], tuple[Cost, str]]

PHI_PRECISION = 1e-4
PHI_LIMIT = 64.0


def costs(
    networks: "Sequence[str | Family]",
    scale: Scale = Scale(),  # noqa: B008 (it is frozen)
    *,
    resolution: int | None = None,
    num_classes: int = 1000,
    batch_size: int = 32,
) -> list[dict[str, Any]]:
    """What networks cost at a scale, as `scaling-search cost` prints it.

    Args:
        networks: Families, or their registered names or import paths.
        scale: Depth and width multipliers on each.
        resolution: Input side in pixels; each network's own by default.
        num_classes: Classes of the head.
        batch_size: Images per training step, for the memory it takes.

    Returns:
        A row for each network: `network`, `depth`, `width`, `resolution`, `input_resolution`, `parameters`,
        `multiply_adds` and `activations` for one image, `memory` of a training step in bytes.

    Raises:
        UserError: A network is not known, or does not take images of this size.

    Examples:
        >>> from scaling_search import costs
        >>> costs(["efficientnet_b0"])[0]["parameters"]
        5288548

    """
    from scaling_search.family import load_family, registered_families

    if not networks:
        raise UserError(
            "no network given",
            f"known families are {', '.join(sorted(registered_families()))}, "
            "or an import path such as my_package.nets:MyFamily",
            "try scaling-search cost efficientnet_b0",
        )
    _check_positive(num_classes=num_classes, batch_size=batch_size, resolution=resolution)
    families = [load_family(one) if isinstance(one, str) else one for one in networks]
    return [cost_row(family, scale, num_classes, batch_size, resolution=resolution) for family in families]


def fit(
    family: "str | Family" = "efficientnet",
    rule: CompoundRule = PAPER_RULE,
    *,
    flops: Amount | None = None,
    memory: Amount | None = None,
    params: Amount | None = None,
    num_classes: int = 1000,
    batch_size: int = 32,
) -> dict[str, Any]:
    """The largest network of a family that fits a budget (the inverse of equation 2), as `scaling-search fit` does.

    Args:
        family: The family to grow, or its name.
        rule: In which ratios it grows.
        flops: Most multiply-adds for one image, such as 1e9 or "400M".
        memory: Most bytes of a training step, such as "8GiB".
        params: Most parameters, such as "10M".
        num_classes: Classes of the head.
        batch_size: Images per training step, for the memory it takes.

    Returns:
        `phi`, and the columns of `costs` for the network at that phi.

    Raises:
        UserError: No budget is given, or no network of the family fits it.

    Examples:
        >>> from scaling_search import fit
        >>> fit(flops="1B")["multiply_adds"] <= 1e9
        True

    """
    from scaling_search.cost import measure
    from scaling_search.family import load_family

    _check_positive(num_classes=num_classes, batch_size=batch_size)
    limits = {
        "multiply_adds": None if flops is None else parse_count(flops),
        "memory": None if memory is None else float(parse_bytes(memory)),
        "parameters": None if params is None else parse_count(params),
    }
    budget = {name: limit for name, limit in limits.items() if limit is not None}
    if not budget:
        raise UserError("no budget given", "at least one of --flops, --memory and --params", "try --flops 1e9")
    grown = load_family(family) if isinstance(family, str) else family

    def row(phi: float) -> dict[str, Any]:
        return {"phi": phi} | cost_row(grown, rule.at(phi), num_classes, batch_size)

    def fits(phi: float) -> bool:
        try:
            costs = cost_row(grown, rule.at(phi), num_classes, batch_size, count=measure)
        except InputSizeError:
            # Too small an input; whether the largest phi that fits has one shows in its row.
            return True
        return all(costs[name] <= limit for name, limit in budget.items())

    phi = largest_phi(fits, grown.name)
    try:
        return row(phi)
    except InputTooSmallError as refused:
        raise UserError(
            f"no network of {grown.name} fits this budget",
            f"one at its smallest input side, {refused.smallest}, takes more",
            "raise the budget",
        ) from None


def largest_phi(fits: Callable[[float], bool], name: str = "the family") -> float:
    """The largest phi, to four digits and rounded down, for which `fits` holds; cost must not fall with phi.

    Raises UserError where no phi from -64 to 64 is the last that fits.
    """
    low, high = (0.0, 1.0) if fits(0.0) else (-1.0, 0.0)
    while fits(high):
        low, high = high, 2 * high
        if high > PHI_LIMIT:
            raise UserError(
                f"every phi up to {PHI_LIMIT:g} fits", hint="give a smaller budget, or coefficients above 1"
            )
    while not fits(low):
        low, high = 2 * low, low
        if low < -PHI_LIMIT:
            raise UserError(f"no network of {name} is small enough for this budget", hint="raise the budget")
    while high - low > PHI_PRECISION / 4:
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    rounded = math.floor(low / PHI_PRECISION) * PHI_PRECISION
    return round(rounded, 4)


def cost_row(
    family: "Family",
    scale: Scale,
    num_classes: int,
    batch_size: int,
    *,
    resolution: int | None = None,
    count: "Count | None" = None,
) -> dict[str, Any]:
    """A network's scale and cost, by `cost_of_scale` or by `count`, under the names that the frames use."""
    from scaling_search.cost import cost_of_scale, memory

    side = resolution or round_resolution(family.resolution, scale.resolution)
    cost, _ = (count or cost_of_scale)(family, scale, num_classes, side)
    return {
        "network": family.name,
        "depth": scale.depth,
        "width": scale.width,
        "resolution": side / family.resolution,
        "input_resolution": side,
        **asdict(cost),
        "memory": memory(cost, side, batch_size),
    }


def _check_positive(**given: int | None) -> None:
    for name, value in given.items():
        if value is not None and value < 1:
            raise UserError(f"{name} {value} given", "it must be at least 1", f"try --{name.replace('_', '-')} 32")
