"""scaling-search: compound scaling and neural architecture search with JAX and Flax.

Names load when they are first used, so that importing the package costs nothing and `scaling-search --help` is quick.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from scaling_search.analysis.frames import load_run as load_run
    from scaling_search.analysis.of_run import (
        Findings as Findings,
    )
    from scaling_search.analysis.of_run import (
        findings_of as findings_of,
    )
    from scaling_search.config import (
        QUICK as QUICK,
    )
    from scaling_search.config import (
        Experiment as Experiment,
    )
    from scaling_search.config import (
        NasConfig as NasConfig,
    )
    from scaling_search.config import (
        RunConfig as RunConfig,
    )
    from scaling_search.config import (
        Split as Split,
    )
    from scaling_search.config import (
        SweepConfig as SweepConfig,
    )
    from scaling_search.config import (
        TrainConfig as TrainConfig,
    )
    from scaling_search.config import (
        Workers as Workers,
    )
    from scaling_search.data import (
        ImageData as ImageData,
    )
    from scaling_search.data import (
        from_arrays as from_arrays,
    )
    from scaling_search.errors import UserError as UserError
    from scaling_search.experiments.baseline import nas as nas
    from scaling_search.experiments.check import check as check
    from scaling_search.experiments.costs import (
        costs as costs,
    )
    from scaling_search.experiments.costs import (
        fit as fit,
    )
    from scaling_search.experiments.given_networks import (
        sweep as sweep,
    )
    from scaling_search.experiments.given_networks import (
        train as train,
    )
    from scaling_search.experiments.method import run as run
    from scaling_search.experiments.recording import record as record
    from scaling_search.experiments.resume import resume as resume
    from scaling_search.family import (
        Family as Family,
    )
    from scaling_search.family import (
        load_family as load_family,
    )
    from scaling_search.networks.efficientnet import efficientnet as efficientnet
    from scaling_search.recipe import FINETUNE as FINETUNE
    from scaling_search.recipe import PAPER as PAPER
    from scaling_search.recipe import SHORT as SHORT
    from scaling_search.recipe import Recipe as Recipe
    from scaling_search.recorded import replay_config as replay_config
    from scaling_search.rule import (
        PAPER_RULE as PAPER_RULE,
    )
    from scaling_search.rule import (
        PUBLISHED as PUBLISHED,
    )
    from scaling_search.rule import (
        CompoundRule as CompoundRule,
    )
    from scaling_search.rule import (
        Grid as Grid,
    )
    from scaling_search.rule import (
        Scale as Scale,
    )
else:
    from importlib import import_module

    _ROOMS = {
        "Findings": "analysis.of_run",
        "findings_of": "analysis.of_run",
        "load_run": "analysis.frames",
        "Experiment": "config",
        "NasConfig": "config",
        "QUICK": "config",
        "RunConfig": "config",
        "Split": "config",
        "SweepConfig": "config",
        "TrainConfig": "config",
        "Workers": "config",
        "ImageData": "data",
        "from_arrays": "data",
        "UserError": "errors",
        "nas": "experiments.baseline",
        "check": "experiments.check",
        "costs": "experiments.costs",
        "fit": "experiments.costs",
        "sweep": "experiments.given_networks",
        "train": "experiments.given_networks",
        "run": "experiments.method",
        "record": "experiments.recording",
        "resume": "experiments.resume",
        "Family": "family",
        "load_family": "family",
        "efficientnet": "networks.efficientnet",
        "replay_config": "recorded",
        "FINETUNE": "recipe",
        "PAPER": "recipe",
        "Recipe": "recipe",
        "SHORT": "recipe",
        "CompoundRule": "rule",
        "Grid": "rule",
        "PAPER_RULE": "rule",
        "PUBLISHED": "rule",
        "Scale": "rule",
    }

    def __getattr__(name):
        if name not in _ROOMS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)

    def __dir__():
        return sorted(__all__)


__all__ = [
    "FINETUNE",
    "PAPER",
    "PAPER_RULE",
    "PUBLISHED",
    "QUICK",
    "SHORT",
    "CompoundRule",
    "Experiment",
    "Family",
    "Findings",
    "Grid",
    "ImageData",
    "NasConfig",
    "Recipe",
    "RunConfig",
    "Scale",
    "Split",
    "SweepConfig",
    "TrainConfig",
    "UserError",
    "Workers",
    "__version__",
    "check",
    "costs",
    "efficientnet",
    "findings_of",
    "fit",
    "from_arrays",
    "load_family",
    "load_run",
    "nas",
    "record",
    "replay_config",
    "resume",
    "run",
    "sweep",
    "train",
]
