"""`table`: the tables of a run, the published models, or the paper's Table 2."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from scaling_search.cli.command import Command, Format
from scaling_search.errors import UserError
from scaling_search.rule import Scale

if TYPE_CHECKING:
    from scaling_search.family import Family


@dataclass(frozen=True)
class Table(Command):
    """Prints the tables of a run so far, the published models beside equation 3, or the paper's Table 2.

    Example: scaling-search table runs/digits, or scaling-search table published, or scaling-search table 2
    """

    what: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Folder of a run, the word published, or 2 for the paper's Table 2 beside the networks as built here."""
    format: Format = "table"
    """How the table is printed."""

    def execute(self) -> None:
        """Prints the tables."""
        if self.what == "2":
            _print_table2(self.format)
        elif self.what == "published":
            from scaling_search.analysis import published_table
            from scaling_search.analysis.text.tables import render

            print(render(published_table(), self.format))
        else:
            _print_tables_of(self.what, self.format)


def _print_tables_of(run: str, format: str) -> None:
    from scaling_search.analysis.frames import load_run
    from scaling_search.analysis.of_run import findings_of
    from scaling_search.cli.tables import print_findings
    from scaling_search.experiments.outputs import tables_of
    from scaling_search.store import open_run

    findings = findings_of(load_run(open_run(run).path))
    if not tables_of(findings):
        raise UserError(f"{run} has no tables yet", " ".join(findings.missing), f"try scaling-search resume {run}")
    print_findings(findings, format)


def _print_table2(format: str) -> None:
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
