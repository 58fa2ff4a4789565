"""Figures that a paper can print: frames in, a matplotlib Figure out. `render` makes a PNG, SVG or PDF file of one."""

from analysis.figures.class_activation import class_activation_figure
from analysis.figures.error_distributions import error_distributions
from analysis.figures.frontier import accuracy_against_multiply_adds
from analysis.figures.grid import step1_grid
from analysis.figures.learning_curves import learning_curves
from analysis.figures.model_size import accuracy_against_size
from analysis.figures.scaling import compound_scaling, single_dimension_scaling, width_scaling
from analysis.figures.search_progress import search_progress
from analysis.figures.style import render

__all__ = [
    "accuracy_against_multiply_adds",
    "accuracy_against_size",
    "class_activation_figure",
    "compound_scaling",
    "error_distributions",
    "learning_curves",
    "render",
    "search_progress",
    "single_dimension_scaling",
    "step1_grid",
    "width_scaling",
]
