"""Figures that a paper can print: frames in, a matplotlib Figure out. `render` makes a PNG, SVG or PDF file of one."""

from scaling_search.analysis.figures.class_activation import class_activation_figure
from scaling_search.analysis.figures.confusion import confusion_matrix
from scaling_search.analysis.figures.epochs import epochs_triangle
from scaling_search.analysis.figures.error_distributions import error_distributions
from scaling_search.analysis.figures.files import render
from scaling_search.analysis.figures.frontier import accuracy_against_multiply_adds
from scaling_search.analysis.figures.grid import step1_grid
from scaling_search.analysis.figures.learning_curves import learning_curves
from scaling_search.analysis.figures.model_size import accuracy_against_size
from scaling_search.analysis.figures.of_run import OF_RUNS, figure_of
from scaling_search.analysis.figures.scaling import compound_scaling, single_dimension_scaling, width_scaling
from scaling_search.analysis.figures.search_progress import search_progress
from scaling_search.analysis.figures.triangle import shares_triangle

__all__ = [
    "OF_RUNS",
    "accuracy_against_multiply_adds",
    "accuracy_against_size",
    "class_activation_figure",
    "compound_scaling",
    "confusion_matrix",
    "epochs_triangle",
    "error_distributions",
    "figure_of",
    "learning_curves",
    "render",
    "search_progress",
    "shares_triangle",
    "single_dimension_scaling",
    "step1_grid",
    "width_scaling",
]
