"""`check`: reads everything that a run has written again, and trains some of it again."""

import sys
from dataclasses import dataclass, field
from typing import Annotated

import tyro

from scaling_search.cli.command import Command, Folder
from scaling_search.config import Workers
from scaling_search.errors import printable


@dataclass(frozen=True)
class Check(Command):
    """Reads everything that a run has written again and says what is wrong; with --repeat, trains some of it again.

    Ends with status 1 if anything is wrong. Example: scaling-search check runs/digits --repeat 3
    """

    run: Folder
    """Folder of the run."""
    repeat: int = 0
    """How many trainings to repeat and compare with their records, to the bit."""
    workers: Annotated[Workers, tyro.conf.arg(name="")] = field(default_factory=Workers)
    """Where they are repeated."""

    def execute(self) -> None:
        """Prints what was checked, and what is wrong."""
        from scaling_search.experiments.check import check

        checked = check(self.run, repeat=self.repeat, workers=self.workers)
        print("\n".join(checked.lines))
        for problem in checked.problems:
            print(f"wrong: {printable(problem)}", file=sys.stderr)
        if checked.problems:
            sys.exit(1)
