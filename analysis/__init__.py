"""What the records of a run mean: frames, the frontier, comparisons, the law of scaling, tables and figures.

Reads what the engine wrote and never imports JAX or Ray, so that a notebook opens at once. Names load when used.
"""

from importlib import import_module
from typing import Any

_ROOMS = {
    "Judgement": "comparison",
    "judge": "comparison",
    "AgainstSingle": "dimensions",
    "compound_against_single": "dimensions",
    "accuracy_against_multiply_adds": "figures",
    "accuracy_against_size": "figures",
    "compound_scaling": "figures",
    "error_distributions": "figures",
    "learning_curves": "figures",
    "search_progress": "figures",
    "single_dimension_scaling": "figures",
    "step1_grid": "figures",
    "width_scaling": "figures",
    "Run": "frames",
    "Runs": "frames",
    "load_run": "frames",
    "load_runs": "frames",
    "compare_forms": "hold_outs",
    "Law": "law",
    "fit_law": "law",
    "coverage": "pareto",
    "dominance": "pareto",
    "error_distribution": "pareto",
    "frontier": "pareto",
    "hypervolume": "pareto",
    "nondominated": "pareto",
    "frontier_frame": "run_outputs",
    "step2_table": "scale_up",
    "published_table": "tables",
}

__all__ = list(_ROOMS)


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
