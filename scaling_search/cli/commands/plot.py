"""`plot`: a figure of a run, of several runs, or of the paper's own tables."""

from dataclasses import dataclass
from glob import has_magic
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from scaling_search.cli.command import Command, Folder
from scaling_search.errors import UserError
from scaling_search.places import Place, place_of
from scaling_search.store import output_file, write_output

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FigureName = Literal["frontier", "1", "3", "4", "5", "8", "curves", "grid", "triangle", "epochs", "edf"]

PAPER = "paper"
"""In place of a run: the paper's own tables."""

FORMATS = ("png", "svg", "pdf")
_FILES = {
    "frontier": "accuracy_against_multiply_adds",
    "curves": "learning_curves",
    "grid": "step1_grid",
    "triangle": "shares_triangle",
    "epochs": "shares_by_epochs",
    "edf": "error_distributions",
}


@dataclass(frozen=True)
class Plot(Command):
    """Draws a figure of a run, of several runs, or of the paper's own tables.

    Example: scaling-search plot runs/digits, or scaling-search plot paper --figure 5 -o figure_5.pdf
    """

    run: Folder
    """Folder of a run, a pattern of several in quotes such as "runs/*", or the word paper."""
    figure: FigureName = "frontier"
    """frontier: accuracy against multiply-adds. By the paper's numbers: 1 and 5, Table 2 by parameters and by
    multiply-adds; 3, one dimension scaled alone; 4, width at several depths and resolutions; 8, one dimension beside
    all three. curves: learning curves. grid: STEP 1. triangle: its region of best shares. epochs: that for several
    numbers of epochs. edf: distributions of error."""
    output: Annotated[str | None, tyro.conf.arg(aliases=["-o"])] = None
    """File to write: .png, .svg or .pdf. By default PNG and SVG beside the run's tables."""

    def execute(self) -> None:
        """Writes the figure and prints its path."""
        from scaling_search.analysis.figures import render

        files = _files(self.run, self.figure) if self.output is None else [picture_file(self.output)]
        drawn = _figure(self.run, self.figure)
        for file in files:
            print(write_output(file, render(drawn, file.suffix.removeprefix(".").lower())))


def _files(what: str, figure: FigureName) -> list[Place]:
    """Where a figure goes by default: beside the tables of its run."""
    if what == PAPER or has_magic(what):
        raise UserError(f"no file given for a figure of {what}", hint=f"add --output figure_{figure}.pdf")
    stem = _FILES.get(figure, f"figure_{figure}")
    return [place_of(what) / f"{stem}.{format}" for format in ("png", "svg")]


def picture_file(output: str) -> Place:
    """The file that a picture goes to. Raises UserError where its name ends otherwise, or its folder is not there."""
    return output_file(output, "picture", FORMATS)


def _figure(what: str, figure: FigureName) -> "Figure":
    from scaling_search.analysis import figures, findings_of, load_run, load_runs
    from scaling_search.analysis.statistics.means import run_means

    if what == PAPER:
        return _figure_of_paper(figure)
    if figure in ("1", "5"):
        raise UserError(
            f"figure {figure} of {what!r} asked for",
            "figures 1 and 5 show the paper's Table 2",
            f"try scaling-search plot paper --figure {figure} -o figure_{figure}.pdf",
        )
    if not has_magic(what):
        return findings_of(load_run(what)).figure(figure)
    runs = load_runs(what)
    if figure == "curves":
        return figures.learning_curves(runs.curves, runs.trials)
    if figure == "edf":
        return figures.error_distributions(
            {str(name): run_means(trials) for name, trials in runs.trials.groupby("run")}
        )
    by_name = {"3": figures.single_dimension_scaling, "4": figures.width_scaling, "8": figures.compound_scaling}
    if figure not in by_name:
        raise UserError(f"figure {figure} of several runs asked for", "it shows one run", "name one run folder")
    return by_name[figure](runs.trials)


def _figure_of_paper(figure: FigureName) -> "Figure":
    from scaling_search.analysis import figures
    from scaling_search.analysis.reference.paper import scaling_results, table2

    if figure in ("1", "5"):
        return figures.accuracy_against_size(table2(), "parameters" if figure == "1" else "multiply_adds")
    if figure not in ("3", "8"):
        raise UserError(
            f"figure {figure} of the paper asked for",
            "the paper's tables only give figures 1, 3, 5 and 8; the others show a run",
            f"try scaling-search plot runs/digits --figure {figure}",
        )
    draw = figures.single_dimension_scaling if figure == "3" else figures.compound_scaling
    table = scaling_results()
    return draw(table[table["source"] == "Table 7"], "ImageNet top-1 accuracy, %")
