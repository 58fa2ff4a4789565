"""`compare`: two runs side by side."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from scaling_search.cli.command import Command, Format


@dataclass(frozen=True)
class Compare(Command):
    """Sets two runs side by side: what was asked differently, and the networks of both with their differences.

    Example: scaling-search compare runs/digits runs/digits-longer
    """

    first: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Folder of a run, or a recorded table."""
    second: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run to set beside it."""
    format: Format = "table"
    """How the networks are printed."""

    def execute(self) -> None:
        """Prints the comparison."""
        from scaling_search.analysis.findings.two_runs import compare_runs
        from scaling_search.analysis.text.runs import two_runs_text
        from scaling_search.analysis.text.tables import render

        two = compare_runs(self.first, self.second)
        print(two_runs_text(two) if self.format == "table" else render(two.networks, self.format))
