"""`runs`: the runs of a folder in one table."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from scaling_search.cli.command import Command, Format


@dataclass(frozen=True)
class Runs(Command):
    """Lists the runs of a folder: kind, state, progress, what they found, size and age.

    Example: scaling-search runs
    """

    folder: Annotated[str, tyro.conf.Positional] = "runs"
    """Folder that holds the runs."""
    format: Format = "table"
    """How the table is printed."""

    def execute(self) -> None:
        """Prints the table."""
        from scaling_search.analysis.findings.overview import overview
        from scaling_search.analysis.text.runs import overview_text
        from scaling_search.analysis.text.tables import render

        table = overview(self.folder)
        print(overview_text(table) if self.format == "table" else render(table, self.format))
