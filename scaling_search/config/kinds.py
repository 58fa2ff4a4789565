"""The four kinds of run: STEP 1 and STEP 2, a sweep, a training, and a search for a baseline."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

from scaling_search.config.experiment import PROBE_SEEDS, Experiment, Kept, Kind, Trained
from scaling_search.errors import UserError
from scaling_search.recipe import SHORT
from scaling_search.rule import CompoundRule, Grid
from scaling_search.units import Amount, parse_bytes, parse_count

Metric = Literal["flops", "params", "memory", "latency"]
Match = Literal["cost", "paper"]
MatchBy = Literal["flops", "params", "activations", "latency"]
Rates = Literal["fixed", "probe"]
StrategyName = Literal["random", "evolution", "policy", "tpe", "nsga2"]


def _check_amounts(config: object, **parsers: Callable[[Amount], float]) -> None:
    """Raises UserError where an amount cannot be read, before anything is started."""
    for name, parse in parsers.items():
        value = getattr(config, name)
        if value is not None:
            parse(value)


@dataclass(frozen=True)
class RunConfig(Experiment):
    """The whole method: STEP 1 at `phi`, then STEP 2 for B0..B7."""

    kind: ClassVar[Kind] = "method"
    least_seeds: ClassVar[int] = 2

    phi: float = 1.0
    """Compound coefficient at which STEP 1 compares the rules of the grid."""
    family: str = "efficientnet_small"
    """Network family to scale: a registered name, or an import path such as my_package.nets:MyFamily."""
    family_options: tuple[str, ...] = ()
    """Fields of the family to set, as NAME=VALUE."""
    grid: Grid = field(default_factory=Grid)
    """The grid of STEP 1."""
    match: Match = "cost"
    """How a rule becomes a network: depth and resolution rounded and the width solved for 2^phi times the baseline's
    cost, or every dimension rounded as in the paper."""
    match_by: MatchBy = "flops"
    """The cost that is matched: multiply-adds, parameters, activations, or the latency of one image, measured here."""
    rivals: bool = True
    """STEP 1 also trains, at the same cost, each dimension alone, equal shares, the paper's rule and dWr."""
    rates: Rates = "fixed"
    """Learning rates: the recipe's for every network, or by size, from a probe of the smallest, the middle and the
    largest network at half, once and twice the recipe's."""
    shorter: tuple[int, ...] = ()
    """Fewer epochs than the recipe's for which STEP 1 is done as well, from --seeds seeds each, to see whether the best
    shares move with training. --recipe.epochs 4 8 16 says both: 16, and these."""
    certainty: float | None = None
    """Train STEP 1 in rounds: from --seeds seeds each, then more for the networks that may be the best, until it is so
    sure, such as 0.9, that the most accurate network is truly within --within points of the best. How sure that is of
    the network that stands for the region, which STEP 2 scales, is said beside it."""
    within: float = 0.5
    """Points of top-1 accuracy that the best of STEP 1 may be missed by, with --certainty."""
    max_trainings: int | None = None
    """With --certainty: trainings of STEP 1 after which it ends, sure or not; by default 10 times those of the first
    round. A larger number continues the same run."""
    steps: tuple[int, ...] = (1, 2)
    """Which steps to run."""
    coefficients: tuple[float, float, float] | None = None
    """Alpha, beta and gamma for STEP 2, instead of those of STEP 1's winner."""
    max_flops: Amount | None = None
    """Equation 2: limit on the multiply-adds of STEP 1's networks, such as 2M."""
    max_memory: Amount | None = None
    """Equation 2: limit on the memory of STEP 1's training steps, such as 8GiB."""
    training_budget: Amount = 6.1e10
    """Multiply-adds (3 x network x images x epochs) that STEP 2 may spend on training a network once, such as 40G;
    larger networks are extrapolated, and marked as such."""

    _changes_no_number: ClassVar[tuple[str, ...]] = (
        *Experiment._changes_no_number,
        # Each changes numbers of one step alone, see `manifest.check_same`.
        *("steps", "coefficients", "rivals", "shorter"),
        # More rounds continue the same run.
        *("certainty", "within", "max_trainings"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.phi > 0:
            raise UserError(f"phi {self.phi!r} given", "STEP 1 needs a phi above 0", "try --phi 1")
        if not self.steps or not set(self.steps) <= {1, 2}:
            raise UserError(f"steps {self.steps} given", "they are 1, 2 or both")
        if self.coefficients is not None:
            CompoundRule(*self.coefficients)
        epochs = self.recipe.epochs
        if not all(0 < fewer < epochs for fewer in self.shorter) or len({*self.shorter}) < len(self.shorter):
            raise UserError(
                f"shorter {', '.join(map(str, self.shorter))} given",
                f"these are different numbers of epochs below the {epochs} of the recipe",
                f"try --recipe.epochs {max(epochs // 4, 1)} {max(epochs // 2, 2)} {max(epochs, 4)}",
            )
        if self.certainty is not None and not 0.5 < self.certainty < 1:
            raise UserError(
                f"certainty {self.certainty:g} given", "it must lie between 0.5 and 1", "try --certainty 0.9"
            )
        if not self.within > 0:
            raise UserError(f"within {self.within:g} given", "it must be above 0 points", "try --within 0.5")
        if self.max_trainings is not None and self.certainty is None:
            raise UserError(
                "--max-trainings given without --certainty",
                "without it every network is trained from --seeds seeds",
                "try --certainty 0.9",
            )
        _check_amounts(self, max_flops=parse_count, max_memory=parse_bytes, training_budget=parse_count)

    @property
    def probe_seeds(self) -> tuple[int, ...]:
        """The seeds of the probe of learning rates: what chooses a rate does not judge a network."""
        return tuple(seed + PROBE_SEEDS for seed in self.all_seeds) if self.rates == "probe" else ()

    @property
    def rule(self) -> CompoundRule | None:
        """The coefficients given for STEP 2, if any."""
        return None if self.coefficients is None else CompoundRule(*self.coefficients)


QUICK = RunConfig(
    name="quick",
    grid=Grid(divisions=2),
    seeds=2,
    recipe=dataclasses.replace(SHORT, epochs=4),
    training_budget=1.5e10,
)
"""The same method, small enough for CI and for trying things out (`--quick`)."""


@dataclass(frozen=True)
class SweepConfig(Experiment):
    """One dimension scaled at a time, all together, or a list of networks, as in Tables 3 and 7 of the paper."""

    kind: ClassVar[Kind] = "sweep"

    data: str = ""
    """Images to train on, such as digits or folder:DIR. Without images, the command prints costs and trains nothing."""
    family: str = "efficientnet"
    """Network family: a registered name, or an import path such as my_package.nets:MyFamily."""
    family_options: tuple[str, ...] = ()
    """Fields of the family to set, as NAME=VALUE, such as resolution=64."""
    dims: tuple[str, ...] = ("d", "w", "r")
    """Dimensions to scale on their own: d, w, r."""
    depths: tuple[float, ...] = (4.0,)
    """Factors for depth alone; the paper's by default."""
    widths: tuple[float, ...] = (2.0,)
    """Factors for width alone; the paper's by default."""
    resolutions: tuple[float, ...] = (2.0,)
    """Factors for resolution alone; the paper's by default."""
    compound: bool = False
    """Also scale all three together."""
    compound_scale: tuple[float, float, float] = (1.4, 1.2, 1.3)
    """Depth, width and resolution of the compound row; by default the paper's for MobileNetV1 and EfficientNet-B0."""
    scales: tuple[str, ...] = ()
    """Further networks, each as DEPTH,WIDTH,RESOLUTION, such as 2,1,1.3."""

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = [dim for dim in self.dims if dim not in ("d", "w", "r")]
        if unknown:
            raise UserError(f"dimension {unknown[0]!r} given", "dimensions are d, w and r", "try --dims d w r")
        if not self.dims and not self.compound and not self.scales:
            raise UserError(
                "nothing to scale given", "give --dims, --compound or --scales", "try --dims d w r --compound"
            )


@dataclass(frozen=True)
class TrainConfig(Experiment):
    """One network, trained from random weights or from given ones."""

    kind: ClassVar[Kind] = "train"

    seeds: int = 1
    """Number of trainings, each from its own seed. With several, the mean gets a confidence interval."""
    keep: Kept = "all"
    """Whose weights to keep in RUNS/NAME/weights: nobody's, the best seed's by validation accuracy, or every seed's."""
    family: str = "efficientnet"
    """Network family: a registered name, or an import path such as my_package.nets:MyFamily."""
    family_options: tuple[str, ...] = ()
    """Fields of the family to set, as NAME=VALUE, such as resolution=64."""
    depth: float = 1.0
    """Depth multiplier."""
    width: float = 1.0
    """Width multiplier."""
    resolution: float = 1.0
    """Resolution multiplier."""
    init: str | None = None
    """Weights to start from, a .safetensors or .npz file. The head is always new."""
    trained: Trained = "all"
    """With --init: train the whole network, or only its head."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.init is None and self.trained == "head":
            raise UserError(
                "--trained head given without --init",
                "the head alone can only be trained on given weights",
                "try --init FILE",
            )


@dataclass(frozen=True)
class NasConfig(Experiment):
    """A search for a baseline architecture by the reward ACC * [COST / T]^w of section 4 of the paper."""

    kind: ClassVar[Kind] = "nas"
    # The first seed selects finalists, the others judge them.
    least_seeds: ClassVar[int] = 2

    strategy: StrategyName = "evolution"
    """What proposes architectures; tpe and nsga2 are Optuna's (pip install 'scaling-search[nas]')."""
    metric: Metric = "flops"
    """The cost in the reward: multiply-adds, parameters, bytes of a training step, or the latency of one image here."""
    target_flops: Amount | None = None
    """T of the reward if the metric is flops, such as 400M. By default the cost of the architecture with the middle
    choice of every decision; T does not affect the ranking."""
    target_params: Amount | None = None
    """T if the metric is params, such as 4M."""
    target_memory: Amount | None = None
    """T if the metric is memory, such as 64MiB."""
    target_latency: float | None = None
    """T if the metric is latency, in milliseconds."""
    weight: float = -0.07
    """w of the reward."""
    max_flops: Amount | None = None
    """Limit on multiply-adds, such as 2M; larger architectures are rejected before training."""
    max_params: Amount | None = None
    """Limit on parameters."""
    max_memory: Amount | None = None
    """Limit on the memory of a training step, such as 8GiB."""
    trials: int = 48
    """Number of distinct networks to train."""
    batch: int = 8
    """Architectures proposed at a time. Results depend on it, but not on the number of workers."""
    halving: int | None = None
    """Successive halving: train each batch for a few epochs, the best 1 in N for N times as many, and so on up to all
    epochs."""
    finalists: int = 3
    """How many of the best by the first seed are then trained from all others, which alone judge them. The one with
    the best mean is the result."""
    space: str = "mnasnet_tiny"
    """Space to search: mnasnet, mnasnet_tiny, or an import path such as my_package.spaces:MySpace."""
    family_options: tuple[str, ...] = ()
    """Fields of the space's family to set, as NAME=VALUE."""

    # More trials and finalists continue the same search.
    _changes_no_number: ClassVar[tuple[str, ...]] = (*Experiment._changes_no_number, "trials", "finalists")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("trials", "batch", "finalists"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} {getattr(self, name)} given", "it must be at least 1", f"try --{name} 8")
        if self.halving is not None and self.halving < 2:
            raise UserError(f"halving {self.halving} given", "it must be at least 2", "try --halving 3")
        for metric in get_args(Metric):
            if metric != self.metric and getattr(self, f"target_{metric}") is not None:
                raise UserError(
                    f"target_{metric} given, but the metric is {self.metric}",
                    "the reward only has a target for its own metric",
                    f"try --metric {metric}, or --max-{metric} to reject what costs more",
                )
        _check_amounts(self, target_flops=parse_count, target_params=parse_count, target_memory=parse_bytes)
        _check_amounts(self, max_flops=parse_count, max_params=parse_count, max_memory=parse_bytes)
        if self.target_latency is not None and not self.target_latency > 0:
            raise UserError(f"target_latency {self.target_latency!r} given", "it must be above 0")

    @property
    def run_name(self) -> str:
        """The run's name; by default nas- followed by the name of its images."""
        return self.name or f"nas-{super().run_name}"


CONFIGS: dict[Kind, type[Experiment]] = {
    config.kind: config for config in (RunConfig, SweepConfig, TrainConfig, NasConfig)
}
