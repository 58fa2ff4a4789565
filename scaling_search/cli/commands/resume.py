"""`resume`: any run, continued."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from scaling_search.cli.command import Folder, Running

if TYPE_CHECKING:
    from scaling_search.analysis.of_run import Findings


@dataclass(frozen=True, kw_only=True)
class Resume(Running):
    """Continues a run where it stopped, with the config it was started with.

    Example: scaling-search resume runs/digits
    """

    run: Folder
    """Folder of the run."""
    data: str | None = None
    """Where its images are now, such as folder:DIR, if they have moved."""

    def execute(self) -> None:
        """Runs what is missing."""
        from scaling_search.cli.commands.nas import print_next
        from scaling_search.experiments.resume import resume

        findings: Findings = self.carry_out(partial(resume, self.run, data=self.data))
        if findings.run.kind == "nas":
            print_next(findings.run.path)
