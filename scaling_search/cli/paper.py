"""`table 2` and `sweep`: the paper's tables beside what the same networks cost as built. Nothing is trained."""

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from scaling_search.errors import UserError
from scaling_search.rule import Scale

if TYPE_CHECKING:
    from scaling_search.cli.commands import Sweep
    from scaling_search.family import Family


def print_table2(format: str) -> None:
    """Prints Table 2 as published beside the same networks as built."""
    from rich.console import Console
    from rich.progress import track

    from analysis.paper import BUILT, table2_beside, table2_text
    from analysis.tables import render
    from scaling_search.family import load_family, registered_families

    console = Console(stderr=True)
    registered = registered_families()
    names = track(
        [name for name in BUILT.values() if name in registered], "counting networks", console=console, transient=True
    )
    table = table2_beside({name: _counted(load_family(name)) for name in names})
    print(table2_text(table) if format == "table" else render(table, format))


def _counted(family: "Family") -> dict[str, Any]:
    from scaling_search.cost import cost_of_scale

    cost, _ = cost_of_scale(family, Scale(), 1000, family.resolution)
    published: Any = getattr(family, "published", None)
    own: dict[str, Any] = {}
    if published is not None:
        own = {
            "own_parameters": published.parameters,
            "own_multiply_adds": published.multiply_adds,
            "note": published.note,
        }
    return {**asdict(cost), "input_resolution": family.resolution, **own}


def print_sweep(options: "Sweep") -> None:
    """Prints a row for each network of the sweep, beside Tables 3 and 7 where they have it."""
    from analysis.paper import SCALED, scaling_beside
    from analysis.tables import render
    from scaling_search.cli.costs import cost_row
    from scaling_search.family import load_family
    from scaling_search.search.sweep import DIMENSIONS, scales

    unknown = [dim for dim in options.dims if dim not in DIMENSIONS]
    if unknown:
        raise UserError(f"dimension {unknown[0]!r} given", "dimensions are d, w and r", "try --dims d w r")
    if not options.dims and not options.compound:
        raise UserError("nothing to scale given", "--dims d w r, --compound or both", "try --dims d w r --compound")
    family = load_family(options.family, options.family_options)
    factors = {"d": options.depths, "w": options.widths, "r": options.resolutions}
    compound = Scale(*options.compound_scale) if options.compound else None
    rows = [
        {"scaling": name} | cost_row(family, scale, options.num_classes, options.batch_size)
        for name, scale in scales(options.dims, factors, compound)
    ]
    table = scaling_beside(family.name, rows)
    print(render(table.drop(columns="network"), options.format))
    if family.name in SCALED:
        notes = [EVERYWHERE, *NOTES.get(family.name, ())]
        print("\n".join(notes), file=sys.stderr)


EVERYWHERE = (
    "difference: built / paper - 1. The paper prints multiply-adds in two or three digits, and gives d, w and r of its "
    "compound rows for MobileNetV1 and EfficientNet-B0 alone; others are compared at --compound-scale."
)
NOTES: dict[str, tuple[str, ...]] = {}
"""Why a family's rows differ from the paper's, where that is known."""
