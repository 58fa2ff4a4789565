"""What the records of a run mean: frames, the frontier, comparisons, the law of scaling, tables and figures.

Reads what the engine wrote and never imports JAX or Ray, so that a notebook opens at once. Names load when used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scaling_search.analysis.figures import accuracy_against_multiply_adds as accuracy_against_multiply_adds
    from scaling_search.analysis.figures import accuracy_against_size as accuracy_against_size
    from scaling_search.analysis.figures import compound_scaling as compound_scaling
    from scaling_search.analysis.figures import error_distributions as error_distributions
    from scaling_search.analysis.figures import learning_curves as learning_curves
    from scaling_search.analysis.figures import search_progress as search_progress
    from scaling_search.analysis.figures import shares_triangle as shares_triangle
    from scaling_search.analysis.figures import single_dimension_scaling as single_dimension_scaling
    from scaling_search.analysis.figures import step1_grid as step1_grid
    from scaling_search.analysis.figures import width_scaling as width_scaling
    from scaling_search.analysis.findings.dimensions import AgainstSingle as AgainstSingle
    from scaling_search.analysis.findings.dimensions import compound_against_single as compound_against_single
    from scaling_search.analysis.findings.frontier import frontier_frame as frontier_frame
    from scaling_search.analysis.findings.step1 import Judgement as Judgement
    from scaling_search.analysis.findings.step1 import judge as judge
    from scaling_search.analysis.findings.step2 import step2_table as step2_table
    from scaling_search.analysis.frames import Run as Run
    from scaling_search.analysis.frames import Runs as Runs
    from scaling_search.analysis.frames import load_run as load_run
    from scaling_search.analysis.frames import load_runs as load_runs
    from scaling_search.analysis.of_run import Findings as Findings
    from scaling_search.analysis.of_run import findings_of as findings_of
    from scaling_search.analysis.reference.published import published_table as published_table
    from scaling_search.analysis.statistics.hold_outs import compare_forms as compare_forms
    from scaling_search.analysis.statistics.law import Law as Law
    from scaling_search.analysis.statistics.law import fit_law as fit_law
    from scaling_search.analysis.statistics.pareto import error_distribution as error_distribution
    from scaling_search.analysis.statistics.pareto import frontier as frontier
    from scaling_search.analysis.statistics.pareto import nondominated as nondominated
else:
    from importlib import import_module

    _ROOMS = {
        "accuracy_against_multiply_adds": "figures",
        "accuracy_against_size": "figures",
        "compound_scaling": "figures",
        "error_distributions": "figures",
        "learning_curves": "figures",
        "search_progress": "figures",
        "shares_triangle": "figures",
        "single_dimension_scaling": "figures",
        "step1_grid": "figures",
        "width_scaling": "figures",
        "AgainstSingle": "findings.dimensions",
        "compound_against_single": "findings.dimensions",
        "frontier_frame": "findings.frontier",
        "Findings": "of_run",
        "findings_of": "of_run",
        "Judgement": "findings.step1",
        "judge": "findings.step1",
        "step2_table": "findings.step2",
        "Run": "frames",
        "Runs": "frames",
        "load_run": "frames",
        "load_runs": "frames",
        "published_table": "reference.published",
        "compare_forms": "statistics.hold_outs",
        "Law": "statistics.law",
        "fit_law": "statistics.law",
        "error_distribution": "statistics.pareto",
        "frontier": "statistics.pareto",
        "nondominated": "statistics.pareto",
    }

    def __getattr__(name):
        if name not in _ROOMS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)

    def __dir__():
        return sorted(__all__)


__all__ = [
    "AgainstSingle",
    "Findings",
    "Judgement",
    "Law",
    "Run",
    "Runs",
    "accuracy_against_multiply_adds",
    "accuracy_against_size",
    "compare_forms",
    "compound_against_single",
    "compound_scaling",
    "error_distribution",
    "error_distributions",
    "findings_of",
    "fit_law",
    "frontier",
    "frontier_frame",
    "judge",
    "learning_curves",
    "load_run",
    "load_runs",
    "nondominated",
    "published_table",
    "search_progress",
    "shares_triangle",
    "single_dimension_scaling",
    "step1_grid",
    "step2_table",
    "width_scaling",
]
