"""`plot`: a figure of a run, of several runs, or of the paper's own tables."""

from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING

from scaling_search.cli.show import PICTURE
from scaling_search.errors import UserError
from scaling_search.store import RunDirectory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scaling_search.cli.commands import FigureName

PAPER = "paper"
"""In place of a run: the paper's own tables."""

FORMATS = ("png", "svg", "pdf")
_FILES = {"frontier": PICTURE, "curves": "learning_curves", "grid": "step1_grid", "edf": "error_distributions"}


def write_plot(what: str, figure: "FigureName", output: str | None) -> None:
    """Draws `figure` of `what` and prints where it lies: in `output`, or as PNG and SVG in the folder of the run."""
    from scaling_search.analysis.figures import render

    if output is None:
        if what == PAPER or has_magic(what):
            raise UserError(f"no file given for a figure of {what}", hint=f"add --output figure_{figure}.pdf")
        stem = _FILES.get(figure, f"figure_{figure}")
        files = [Path(what, f"{stem}.{format}") for format in ("png", "svg")]
    else:
        files = [picture_file(output)]
    drawn = _figure(what, figure)
    for file in files:
        print(RunDirectory(file.parent).write_file(file.name, render(drawn, file.suffix.removeprefix(".").lower())))


def picture_file(output: str) -> Path:
    """The file that a picture goes to. Raises UserError where its name ends otherwise, or its folder is not there."""
    file = Path(output).expanduser()
    if file.suffix.lower().removeprefix(".") not in FORMATS:
        raise UserError(f"picture {output!r} given", f"its name ends in .{', .'.join(FORMATS)}")
    if not file.parent.is_dir():
        raise UserError(f"{file.parent} is no folder", hint="make it, or write elsewhere")
    return file


def _figure(what: str, figure: "FigureName") -> "Figure":
    from scaling_search.analysis import figures, findings_of, load_run, load_runs
    from scaling_search.analysis.statistics.means import run_means

    if what == PAPER:
        return _figure_of_paper(figure)
    if figure in ("1", "5"):
        raise UserError(
            f"figure {figure} of {what!r} asked for",
            "figures 1 and 5 are of the paper's Table 2",
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
        raise UserError(f"figure {figure} of several runs asked for", "it is of one run", "name one run folder")
    return by_name[figure](runs.trials)


def _figure_of_paper(figure: "FigureName") -> "Figure":
    from scaling_search.analysis import figures
    from scaling_search.analysis.reference.paper import scaling_results, table2

    if figure in ("1", "5"):
        return figures.accuracy_against_size(table2(), "parameters" if figure == "1" else "multiply_adds")
    if figure not in ("3", "8"):
        raise UserError(
            f"figure {figure} of the paper asked for",
            "its tables hold what figures 1, 3, 5 and 8 need; others are of a run",
            f"try scaling-search plot runs/digits --figure {figure}",
        )
    draw = figures.single_dimension_scaling if figure == "3" else figures.compound_scaling
    table = scaling_results()
    return draw(table[table["source"] == "Table 7"], "ImageNet top-1 accuracy, %")
