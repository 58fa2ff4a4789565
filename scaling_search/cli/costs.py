"""`cost` and `fit`: what networks cost, and the largest network that a budget allows. Nothing is trained."""

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from scaling_search.cli.show import print_rows
from scaling_search.errors import UserError
from scaling_search.rule import CompoundRule, Scale, round_resolution

if TYPE_CHECKING:
    from scaling_search.cli.commands import Cost, Fit
    from scaling_search.family import Family

PHI_PRECISION = 1e-4
PHI_LIMIT = 64.0


def print_costs(options: "Cost") -> None:
    """Prints a row for each network."""
    from scaling_search.family import load_family, registered_families

    if not options.networks:
        raise UserError(
            "no network given",
            f"known are {', '.join(sorted(registered_families()))}, or an import path such as my_package.nets:MyFamily",
            "try scaling-search cost efficientnet_b0",
        )
    for name in ("num_classes", "batch_size", "resolution"):
        _check_positive(name, getattr(options, name))
    scale = Scale(options.depth, options.width)
    rows = [
        cost_row(load_family(name), scale, options.num_classes, options.batch_size, resolution=options.resolution)
        for name in options.networks
    ]
    print_rows(rows, options.format)


def print_fit(options: "Fit") -> None:
    """Prints the largest network of the family that fits the budget."""
    from scaling_search.family import load_family
    from scaling_search.units import parse_bytes, parse_count

    for name in ("num_classes", "batch_size"):
        _check_positive(name, getattr(options, name))
    limits = {
        "multiply_adds": options.flops and parse_count(options.flops),
        "memory": options.memory and parse_bytes(options.memory),
        "parameters": options.params and parse_count(options.params),
    }
    budget = {name: float(limit) for name, limit in limits.items() if limit}
    if not budget:
        raise UserError("no budget given", "at least one of --flops, --memory and --params", "try --flops 1e9")
    family = load_family(options.family)
    rule = CompoundRule(*options.coefficients)

    def row(phi: float) -> dict[str, Any]:
        return {"phi": phi} | cost_row(family, rule.at(phi), options.num_classes, options.batch_size)

    def fits(phi: float) -> bool:
        costs = row(phi)
        return all(costs[name] <= limit for name, limit in budget.items())

    print_rows([row(largest_phi(fits, family.name))], options.format)


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
    family: "Family", scale: Scale, num_classes: int, batch_size: int, *, resolution: int | None = None
) -> dict[str, Any]:
    """A network's scale and cost under the names that the frames use."""
    from scaling_search.cost import cost_of_scale, memory

    side = resolution or round_resolution(family.resolution, scale.resolution)
    cost, _ = cost_of_scale(family, scale, num_classes, side)
    return {
        "network": family.name,
        "depth": scale.depth,
        "width": scale.width,
        "resolution": side / family.resolution,
        "input_resolution": side,
        **asdict(cost),
        "memory": memory(cost, side, batch_size),
    }


def _check_positive(name: str, value: int | None) -> None:
    if value is not None and value < 1:
        raise UserError(f"{name} {value} given", "it must be at least 1", f"try --{name.replace('_', '-')} 32")
