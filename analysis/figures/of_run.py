"""The figures of a run, by name."""

from typing import TYPE_CHECKING

from scaling_search.analysis.figures.epochs import epochs_triangle
from scaling_search.analysis.figures.error_distributions import error_distributions
from scaling_search.analysis.figures.frontier import accuracy_against_multiply_adds
from scaling_search.analysis.figures.grid import step1_grid
from scaling_search.analysis.figures.learning_curves import learning_curves
from scaling_search.analysis.figures.scaling import compound_scaling, single_dimension_scaling, width_scaling
from scaling_search.analysis.figures.triangle import shares_triangle
from scaling_search.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scaling_search.analysis.findings.facts import Facts

OF_RUNS = ("frontier", "grid", "triangle", "epochs", "curves", "edf", "3", "4", "8")
"""Names of the figures: accuracy against multiply-adds, STEP 1's grid, the triangle of shares, that
of several numbers of epochs, learning curves, the distribution of error, and the paper's Figures 3, 4 and 8."""


def figure_of(findings: "Facts", name: str = "frontier") -> "Figure":
    """The figure `name`, one of OF_RUNS.

    Raises:
        UserError: the name is unknown, or the run does not have what the figure shows.

    """
    run = findings.run
    if name == "frontier":
        return accuracy_against_multiply_adds(findings)
    if name == "grid":
        if findings.judgement is None:
            raise UserError(f"{run.path} has no winner of STEP 1", hint=" ".join(findings.missing))
        return step1_grid(findings.judgement)
    if name == "triangle":
        return shares_triangle(findings)
    if name == "epochs":
        return epochs_triangle(findings)
    if name == "curves":
        return learning_curves(run.curves, run.trials)
    if name == "edf":
        networks = run.trials.iloc[:0] if findings.frontier is None else findings.frontier
        return error_distributions({run.path.name: networks})
    by_number = {"3": single_dimension_scaling, "4": width_scaling, "8": compound_scaling}
    if name not in by_number:
        raise UserError(f"figure {name!r} given", f"it must be one of {', '.join(OF_RUNS)}")
    return by_number[name](run.trials)
