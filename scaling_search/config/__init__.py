"""What a run does, as one tree of frozen dataclasses that the Python API, command line and manifest share.

`Experiment` holds what every kind of run shares. Its four kinds are `RunConfig` (STEP 1 and STEP 2), `SweepConfig`,
`TrainConfig` and `NasConfig`.
"""

from scaling_search.config.experiment import (
    FRESH_SEEDS,
    PROBE_SEEDS,
    Experiment,
    Kept,
    Kind,
    OnBadData,
    Split,
    Tracker,
    Trained,
    Workers,
    to_dict,
)
from scaling_search.config.kinds import (
    CONFIGS,
    QUICK,
    Match,
    MatchBy,
    Metric,
    NasConfig,
    Rates,
    RunConfig,
    StrategyName,
    SweepConfig,
    TrainConfig,
)

__all__ = [
    "CONFIGS",
    "FRESH_SEEDS",
    "PROBE_SEEDS",
    "QUICK",
    "Experiment",
    "Kept",
    "Kind",
    "Match",
    "MatchBy",
    "Metric",
    "NasConfig",
    "OnBadData",
    "Rates",
    "RunConfig",
    "Split",
    "StrategyName",
    "SweepConfig",
    "Tracker",
    "TrainConfig",
    "Trained",
    "Workers",
    "to_dict",
]
