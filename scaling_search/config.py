"""What a run does, as one tree of frozen dataclasses: the Python API, the command line and the manifest at once.

`Experiment` holds what every kind of run shares. Its four kinds are `RunConfig` (STEP 1 and STEP 2), `SweepConfig`,
`TrainConfig` and `NasConfig`.
"""

import dataclasses
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from scaling_search.errors import UserError
from scaling_search.rule import CompoundRule, Grid
from scaling_search.units import Amount, parse_bytes, parse_count

Augmentation = Literal["none", "shift", "shift_flip"]
OnBadData = Literal["refuse", "skip"]
Precision = Literal["float32", "bfloat16"]
Metric = Literal["flops", "params", "memory", "latency"]
StrategyName = Literal["random", "evolution", "policy", "tpe", "nsga2"]
Kind = Literal["method", "sweep", "train", "nas"]
Trained = Literal["all", "head"]
"""What training changes: all parameters, or the head alone on features that stay as they are."""


def _check_finite(config: Any) -> None:
    """Raises UserError where a number of a config is infinite or none."""
    for one in dataclasses.fields(config):
        value = getattr(config, one.name)
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{one.name} {value!r} given", "it must be a finite number")


@dataclass(frozen=True)
class Split:
    """How images are divided. The grid is judged on the validation part; the test part is touched once."""

    validation: float | None = None
    """Share of the images that validates. By default the validation part that the data comes with, or else 0.1 of
    them (digits: 0.55)."""
    test: float | None = None
    """Share of the images kept for one look at the winner; data with a test part of its own keeps that instead. By
    default 0.1 (digits: 0.2)."""
    seed: int = 0
    """Seed of the stratified split."""
    train: float | None = None
    """Share of the images that trains, the rest being left out; by default all that validation and test leave."""

    def __post_init__(self) -> None:
        shares = {part: share for part in ("validation", "test") if (share := getattr(self, part)) is not None}
        if not (all(0 < share < 1 for share in shares.values()) and sum(shares.values()) < 1):
            raise UserError(
                f"split of {' and '.join(f'{share:g} {part}' for part, share in shares.items())} given",
                "shares lie between 0 and 1 and leave something to train on",
                "try --split.validation 0.2 --split.test 0.2",
            )
        if self.train is not None and not 0 < self.train < 1:
            raise UserError(
                f"split of {self.train:g} training given", "it lies between 0 and 1", "try --split.train 0.1"
            )


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: the paper's recipe (section 5.2), and how it is fitted to short runs."""

    epochs: int = 10
    """Passes over the training images."""
    batch_size: int = 32
    """Images a step."""
    learning_rate: float = 0.256
    """Peak learning rate at 4096 images a step; it is in proportion to the batch."""
    decay_rate: float = 0.97
    """Factor by which the learning rate falls every `decay_epochs`."""
    decay_epochs: float = 2.4
    """Epochs between two falls of the learning rate, in a run of `paper_epochs`."""
    paper_epochs: float = 350.0
    """Length of the schedule that warm-up and decay are given for; they are stretched to `epochs`."""
    warmup_epochs: float = 5.0
    """Epochs of linear warm-up, in a run of `paper_epochs`."""
    rms_decay: float = 0.9
    """RMSProp's decay of squared gradients."""
    momentum: float = 0.9
    """RMSProp's momentum."""
    epsilon: float = 1e-3
    """RMSProp's epsilon, added to the mean square before the root."""
    weight_decay: float = 1e-5
    """L2 penalty on convolution and dense kernels."""
    batch_norm_momentum: float = 0.99
    """Momentum of batch norm's running averages; shortened in runs of few steps."""
    ema_decay: float = 0.9999
    """Decay of the averaged weights that are evaluated; warmed up as (1 + step) / (10 + step)."""
    label_smoothing: float = 0.1
    """Share of the target that is spread evenly over the classes."""
    evaluate_every: int = 5
    """Epochs between two looks at the validation split, for the learning curve; the last epoch is always judged."""
    augment: Augmentation = "shift"
    """What happens to training images: nothing, random shifts, or random shifts and mirror images."""
    precision: Precision | None = None
    """What networks compute in; parameters, statistics, optimiser and averages are float32 either way. By default
    float32 on a CPU and bfloat16 on a GPU or TPU."""

    def __post_init__(self) -> None:
        _check_finite(self)
        whole = {name: getattr(self, name) for name in ("epochs", "batch_size", "evaluate_every")}
        for name, value in whole.items():
            if value < 1:
                raise UserError(f"{name} {value} given", "it must be at least 1", f"try --recipe.{_flag(name)} 16")
        for name in ("learning_rate", "decay_epochs", "paper_epochs", "epsilon"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} {getattr(self, name)!r} given", "it must be above 0")
        for name in ("rms_decay", "momentum", "batch_norm_momentum", "ema_decay", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{name} {getattr(self, name)!r} given", "it must be at least 0 and below 1")
        for name in ("warmup_epochs", "weight_decay"):
            if not getattr(self, name) >= 0:
                raise UserError(f"{name} {getattr(self, name)!r} given", "it must be 0 or more")
        if not 0 < self.decay_rate <= 1:
            raise UserError(f"decay_rate {self.decay_rate!r} given", "it must be above 0 and at most 1")


SHORT_RECIPE = Recipe(learning_rate=1.0)
"""The paper's recipe for runs of some hundred steps, which hardly move at 0.256: four times the learning rate."""


@dataclass(frozen=True)
class Workers:
    """Where trials run. How many run at once changes how long a run takes, never its numbers."""

    address: str | None = None
    """Address of a running Ray cluster ("auto" or HOST:PORT). Without it Ray runs here, and ends with the command."""
    cpus_per_trial: int = 1
    """CPU cores a trial gets; its process is kept on them. XLA divides sums among cores: with another number of them,
    accuracies differ a little, as they do on another machine."""
    gpus_per_trial: float | None = None
    """GPUs a trial gets: one by default where there are any. A fraction shares one, and JAX's share of its memory."""
    tpus_per_trial: int | None = None
    """TPU chips a trial gets: one by default where there are any."""

    def __post_init__(self) -> None:
        if self.cpus_per_trial < 1:
            raise UserError(f"cpus_per_trial {self.cpus_per_trial} given", "it must be at least 1")
        gpus = self.gpus_per_trial or 0.0
        if gpus < 0 or (self.tpus_per_trial or 0) < 0:
            raise UserError("a negative number of GPUs or TPUs a trial given", "it must be 0 or more")
        if gpus > 1 and gpus != int(gpus):
            raise UserError(f"gpus_per_trial {gpus:g} given", "above 1 it must be a whole number")


def _check_amounts(config: object, **parsers: Callable[[Amount], float]) -> None:
    """Raises UserError where an amount cannot be read, before anything is started."""
    for name, parse in parsers.items():
        value = getattr(config, name)
        if value is not None:
            parse(value)


@dataclass(frozen=True)
class Experiment:
    """What every kind of run shares: images, how networks are trained and from how many seeds, where it is kept."""

    kind: ClassVar[Kind]
    """What the manifest calls such a run."""
    least_seeds: ClassVar[int] = 1

    name: str | None = None
    """Name of the run, whose records are kept in RUNS/NAME; named after its images by default."""
    data: str = "digits"
    """Images: digits, glyphs (made ones), idx:DIR (IDX files such as Fashion-MNIST's), folder:DIR (one folder of images
    per class), csv:FILE (path,label[,split]) or hf:PATH (saved by datasets, or Parquet files)."""
    on_bad_data: OnBadData = "refuse"
    """What becomes of data with files that cannot be read as images: refuse them all, or skip those files."""
    split: Split = field(default_factory=Split)
    """How the images are split."""
    seeds: int = 3
    """Trainings of each network, each from its own seed."""
    seed: int = 0
    """The first seed."""
    recipe: Recipe = SHORT_RECIPE
    """How a network is trained."""
    runs: str = "runs"
    """Folder that holds the runs."""
    reuse: tuple[str, ...] = ()
    """Other runs or recorded tables whose finished trials count as done here."""
    replay: str | None = None
    """A recorded table to take every training from, and its config where none is given here; nothing is trained."""

    def __post_init__(self) -> None:
        if self.name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise UserError(
                f"run name {self.name!r} given", "use letters, digits, '.', '_' and '-': the name becomes a folder"
            )
        if self.seeds < self.least_seeds:
            raise UserError(f"--seeds must be at least {self.least_seeds}", f"{self.seeds} given", "try --seeds 3")
        _check_finite(self)
        if self.seed < 0:
            raise UserError(f"seed {self.seed} given", "it must be 0 or more", "try --seed 0")

    @property
    def run_name(self) -> str:
        """The run's name, or one derived from the name of its images."""
        replayed = f"{Path(self.replay).stem}-replayed" if self.replay else ""
        kind, _, place = self.data.partition(":")
        source = replayed or (place if place and kind != "glyphs" else kind)
        return self.name or re.sub(r"[^A-Za-z0-9._-]+", "-", Path(source).expanduser().name).strip("-._") or "run"

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds each network is trained from."""
        return tuple(range(self.seed, self.seed + self.seeds))

    # Where records are kept changes no number, and images are known by their digest wherever they lie.
    _changes_no_number: ClassVar[tuple[str, ...]] = ("runs", "reuse", "name", "data", "on_bad_data", "replay")

    def what_it_computes(self) -> dict[str, Any]:
        """The config as plain data, without what cannot change a number."""
        return {key: value for key, value in to_dict(self).items() if key not in self._changes_no_number}


@dataclass(frozen=True)
class RunConfig(Experiment):
    """The whole method: STEP 1 at `phi`, then STEP 2 for B0..B7."""

    kind: ClassVar[Kind] = "method"
    least_seeds: ClassVar[int] = 2

    phi: float = 1.0
    """Compound coefficient at which STEP 1 compares the rules of the grid."""
    family: str = "efficientnet_tiny"
    """Network family to scale: a registered name, or an import path such as my_package.nets:MyFamily."""
    family_options: tuple[str, ...] = ()
    """Fields of the family to set, as NAME=VALUE."""
    grid: Grid = field(default_factory=Grid)
    """The grid of STEP 1."""
    steps: tuple[int, ...] = (1, 2)
    """Which steps to run."""
    coefficients: tuple[float, float, float] | None = None
    """Alpha, beta and gamma that STEP 2 grows the baseline by, instead of those of STEP 1's winner."""
    max_flops: Amount | None = None
    """Equation 2: multiply-adds that no network of STEP 1 may exceed, such as 2M."""
    max_memory: Amount | None = None
    """Equation 2: bytes that no training step of STEP 1 may exceed, such as 8GiB."""
    training_budget: Amount = 4e10
    """Multiply-adds (3 x network x images x epochs) that STEP 2 may spend on training a network once, such as 40G; what
    would take more is extrapolated, and marked so."""

    _changes_no_number: ClassVar[tuple[str, ...]] = (*Experiment._changes_no_number, "steps", "coefficients")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.phi > 0:
            raise UserError(f"phi {self.phi!r} given", "STEP 1 needs a phi above 0", "try --phi 1")
        if not self.steps or not set(self.steps) <= {1, 2}:
            raise UserError(f"steps {self.steps} given", "they are 1, 2 or both")
        if self.coefficients is not None:
            CompoundRule(*self.coefficients)
        _check_amounts(self, max_flops=parse_count, max_memory=parse_bytes, training_budget=parse_count)

    @property
    def rule(self) -> CompoundRule | None:
        """The coefficients given for STEP 2, if any."""
        return None if self.coefficients is None else CompoundRule(*self.coefficients)


QUICK = RunConfig(
    name="quick",
    grid=Grid(step=0.2),
    seeds=2,
    recipe=Recipe(epochs=4, learning_rate=1.0),
    training_budget=8e9,
)
"""The same method, small enough for CI and for trying things out (`--quick`)."""


@dataclass(frozen=True)
class SweepConfig(Experiment):
    """One dimension grown at a time, all together, or any networks: as in Tables 3 and 7 of the paper."""

    kind: ClassVar[Kind] = "sweep"

    data: str = ""
    """Images to train on: digits, idx:DIR or folder:DIR. Without images, networks are costed and nothing is trained."""
    family: str = "efficientnet"
    """Network family: a registered name, or an import path such as my_package.nets:MyFamily."""
    family_options: tuple[str, ...] = ()
    """Fields of the family to set, as NAME=VALUE, such as resolution=64."""
    dims: tuple[str, ...] = ("d", "w", "r")
    """Dimensions to scale alone: d, w, r."""
    depths: tuple[float, ...] = (4.0,)
    """Factors of depth alone, as in the paper."""
    widths: tuple[float, ...] = (2.0,)
    """Factors of width alone, as in the paper."""
    resolutions: tuple[float, ...] = (2.0,)
    """Factors of resolution alone, as in the paper."""
    compound: bool = False
    """All three together as well."""
    compound_scale: tuple[float, float, float] = (1.4, 1.2, 1.3)
    """Depth, width and resolution of the compound row; the paper's for MobileNetV1 and EfficientNet-B0."""
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
    """Trainings of the network, each from its own seed. Several say how sure the mean is."""
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
    """Weights to start from, a .safetensors or .npz file: all but the head, which is new."""
    trained: Trained = "all"
    """With --init: train the whole network, or its head alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.init is None and self.trained == "head":
            raise UserError(
                "--trained head given without --init", "a head alone is trained on given weights", "try --init FILE"
            )


@dataclass(frozen=True)
class NasConfig(Experiment):
    """A search for a baseline: the reward ACC * [COST / T]^w of section 4 of the paper, in a space of architectures."""

    kind: ClassVar[Kind] = "nas"

    strategy: StrategyName = "evolution"
    """What proposes architectures; tpe and nsga2 are Optuna's (pip install 'scaling-search[nas]')."""
    metric: Metric = "flops"
    """The cost in the reward: multiply-adds, parameters, bytes of a training step, or the latency of one image here."""
    target_flops: Amount | None = None
    """T of the reward where the metric is flops, such as 400M. By default T is the cost of the architecture of all
    middle choices: no order of rewards depends on it."""
    target_params: Amount | None = None
    """T where the metric is params, such as 4M."""
    target_memory: Amount | None = None
    """T where the metric is memory, such as 64MiB."""
    target_latency: float | None = None
    """T where the metric is latency, in milliseconds."""
    weight: float = -0.07
    """w of the reward."""
    max_flops: Amount | None = None
    """Multiply-adds beyond which an architecture is rejected before training, such as 2M."""
    max_params: Amount | None = None
    """Parameters beyond which one is rejected."""
    max_memory: Amount | None = None
    """Bytes of a training step beyond which one is rejected, such as 8GiB."""
    trials: int = 48
    """Different networks to train."""
    batch: int = 8
    """Architectures proposed, and told of, at a time. Numbers depend on it, but not on the number of workers."""
    halving: int | None = None
    """Successive halving: each batch is trained for few epochs, the best 1 in so many for as many times more, and so on
    up to all epochs."""
    finalists: int = 3
    """How many of the best by one seed are trained from all seeds. The best of these by its mean is the result."""
    space: str = "mnasnet_tiny"
    """What is searched: mnasnet, mnasnet_tiny, or an import path such as my_package.spaces:MySpace."""
    family_options: tuple[str, ...] = ()
    """Fields of the space's family to set, as NAME=VALUE."""

    # More trials and finalists only go on with a search.
    _changes_no_number: ClassVar[tuple[str, ...]] = (*Experiment._changes_no_number, "trials", "finalists")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("trials", "batch", "finalists"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} {getattr(self, name)} given", "it must be at least 1", f"try --{name} 8")
        if self.halving is not None and self.halving < 2:
            raise UserError(f"halving {self.halving} given", "it keeps one in 2 or more", "try --halving 3")
        for metric in get_args(Metric):
            if metric != self.metric and getattr(self, f"target_{metric}") is not None:
                raise UserError(
                    f"target_{metric} given where the metric is {self.metric}",
                    "the reward has a target for its metric alone",
                    f"try --metric {metric}, or --max-{metric} to reject what costs more",
                )
        _check_amounts(self, target_flops=parse_count, target_params=parse_count, target_memory=parse_bytes)
        _check_amounts(self, max_flops=parse_count, max_params=parse_count, max_memory=parse_bytes)
        if self.target_latency is not None and not self.target_latency > 0:
            raise UserError(f"target_latency {self.target_latency!r} given", "it must be above 0")

    @property
    def run_name(self) -> str:
        """The run's name; by default nas- and the name of its images."""
        return self.name or f"nas-{super().run_name}"


CONFIGS: dict[Kind, type[Experiment]] = {
    config.kind: config for config in (RunConfig, SweepConfig, TrainConfig, NasConfig)
}


def to_dict(config: Any) -> dict[str, Any]:
    """A dataclass tree as plain data that JSON can hold: tuples become lists."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value

    plain_tree: dict[str, Any] = plain(dataclasses.asdict(config))
    return plain_tree


def _flag(name: str) -> str:
    return name.replace("_", "-")
