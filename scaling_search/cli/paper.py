"""`table 2`: the paper's table beside what the same networks cost as built."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from scaling_search.rule import Scale

if TYPE_CHECKING:
    from scaling_search.family import Family


def print_table2(format: str) -> None:
    """Prints Table 2 as published beside the same networks as built."""
    from rich.console import Console
    from rich.progress import track

    from scaling_search.analysis.reference.paper import BUILT, table2_beside
    from scaling_search.analysis.text.paper import table2_text
    from scaling_search.analysis.text.tables import render
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
