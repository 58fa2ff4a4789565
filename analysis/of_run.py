"""Everything that a run found, with its figures and its report: what the Python API returns."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scaling_search.analysis.figures import figure_of
from scaling_search.analysis.findings.facts import Facts, facts_of
from scaling_search.analysis.report.html import report_page
from scaling_search.places import Place
from scaling_search.store import open_run, output_file, write_output

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scaling_search.analysis.frames import Run


@dataclass(frozen=True, eq=False)
class Findings(Facts):
    """What a run found, as far as its records go: tables as frames, figures that a notebook shows, a report.

    Example:
        >>> findings = findings_of(load_run("runs/digits"))  # doctest: +SKIP
        >>> findings.winner.alpha, findings.step1, findings.frontier  # doctest: +SKIP
        >>> findings.figure("grid")  # doctest: +SKIP

    """

    def figure(self, name: str = "frontier") -> "Figure":
        """A figure of the run, which a notebook shows as the value of a cell.

        Args:
            name: "frontier" (accuracy against multiply-adds), "grid" (STEP 1), "triangle" (its
                region of best shares), "epochs" (that for several numbers of epochs), "curves" (learning curves),
                "edf" (the distribution of error), or "3", "4", "8" as in the paper.

        Raises:
            UserError: The name is unknown, or the run does not have what the figure shows.

        """
        return figure_of(self, name)

    def report(self, output: str | Place | None = None) -> Place:
        """Writes the run as one HTML page that needs nothing else, and returns its path.

        Args:
            output: The .html file to write; by default report.html in the folder of the run.

        Raises:
            UserError: The file cannot be written.

        """
        directory = open_run(self.run.path)
        file = output_file(directory.path / "report.html" if output is None else output, "report", ("html", "htm"))
        return write_output(file, report_page(self, directory.command()))


def findings_of(run: "Run") -> Findings:
    """What a run has found: finished, interrupted, going on, or nothing but a manifest.

    Args:
        run: As `load_run` reads it.

    Returns:
        Its tables as frames, with figures and a report.

    Raises:
        UserError: The manifest does not say what the run is about.

    """
    return Findings(**vars(facts_of(run)))
