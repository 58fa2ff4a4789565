"""What a run does, as one tree of frozen dataclasses: the Python API, the command line and the manifest at once."""

import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from scaling_search.errors import UserError
from scaling_search.rule import Grid

C = TypeVar("C")
Augmentation = Literal["none", "shift", "shift_flip"]
Precision = Literal["float32", "bfloat16"]
Metric = Literal["flops", "params", "memory", "latency"]
StrategyName = Literal["random", "evolution", "policy", "tpe", "nsga2"]


@dataclass(frozen=True)
class Split:
    """How images are divided. The grid is judged on the validation part; the test part is touched once."""

    validation: float = 0.55
    """Share of the images that validates."""
    test: float = 0.2
    """Share of the images kept for one look at the winner. Data with a test split of its own keeps that instead."""
    seed: int = 0
    """Seed of the stratified split."""
    train: float | None = None
    """Share of the images that trains, the rest being left out; by default all that validation and test leave."""

    def __post_init__(self) -> None:
        if not (0 < self.validation < 1 and 0 < self.test < 1 and self.validation + self.test < 1):
            raise UserError(
                f"split of {self.validation:g} validation and {self.test:g} test given",
                "both lie between 0 and 1 and leave something to train on",
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


@dataclass(frozen=True)
class RunConfig:
    """The whole method: STEP 1 at `phi`, then STEP 2 for B0..B7."""

    phi: float = 1.0
    """Compound coefficient at which STEP 1 compares the rules of the grid."""
    name: str | None = None
    """Name of the run, whose records lie in RUNS/NAME; by default it is named after its images."""
    family: str = "efficientnet_tiny"
    """Network family to scale: a registered name, or an import path such as my_package.nets:MyFamily."""
    family_options: tuple[str, ...] = ()
    """Fields of the family to set, as NAME=VALUE."""
    data: str = "digits"
    """Images: digits, idx:DIR (IDX files as Fashion-MNIST's) or folder:DIR (one folder of images a class)."""
    split: Split = field(default_factory=Split)
    """How the images are divided."""
    grid: Grid = field(default_factory=Grid)
    """The grid of STEP 1."""
    seeds: int = 3
    """Trainings of each network, each from its own seed."""
    seed: int = 0
    """The first seed."""
    recipe: Recipe = SHORT_RECIPE
    """How a network is trained."""
    target_flops: float | None = None
    """Equation 2: multiply-adds that no network of STEP 1 may exceed."""
    target_memory: str | None = None
    """Equation 2: bytes that no training step of STEP 1 may exceed, such as 8GiB."""
    training_budget: float = 4e10
    """Multiply-adds (3 x network x images x epochs) that STEP 2 may spend on training a network once; what would
    take more is extrapolated, and marked so."""
    runs: str = "runs"
    """Folder that holds the runs."""
    reuse: tuple[str, ...] = ()
    """Other runs, or recorded tables, whose finished trials count as done here."""
    replay: str | None = None
    """A recorded table to take every training from, its config too where none is given here; nothing is trained."""

    def __post_init__(self) -> None:
        if self.name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise UserError(
                f"run name {self.name!r} given", "a name is letters, digits, '.', '_' and '-', as it becomes a folder"
            )
        if self.seeds < 2:
            raise UserError(
                f"seeds {self.seeds} given", "at least 2 are needed to say how sure a mean is", "try --seeds 3"
            )
        if self.seed < 0:
            raise UserError(f"seed {self.seed} given", "a seed is 0 or more", "try --seed 0")
        if not self.phi > 0:
            raise UserError(f"phi {self.phi!r} given", "STEP 1 needs a phi above 0", "try --phi 1")
        for name in ("target_flops", "training_budget"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UserError(f"{name} {value!r} given", "it must be above 0")

    @property
    def run_name(self) -> str:
        """The run's name, or one made of what its images are called."""
        replayed = f"{Path(self.replay).stem}-replayed" if self.replay else ""
        source = replayed or self.data.partition(":")[2] or self.data
        return self.name or re.sub(r"[^A-Za-z0-9._-]+", "-", Path(source).expanduser().name).strip("-._") or "run"

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds each network is trained from."""
        return tuple(range(self.seed, self.seed + self.seeds))

    def what_it_computes(self) -> dict[str, Any]:
        """The config as plain data, less what cannot change a number: where its records lie."""
        tree = to_dict(self)
        for key in ("runs", "reuse", "name"):
            tree.pop(key)
        return tree


QUICK = RunConfig(
    name="quick",
    grid=Grid(step=0.2),
    seeds=2,
    recipe=Recipe(epochs=4, learning_rate=1.0),
    training_budget=8e9,
)
"""The same method, small enough for CI and for trying things out (`--quick`)."""


@dataclass(frozen=True)
class NasConfig:
    """A search for a baseline: the reward ACC * [COST / T]^w of section 4 of the paper, in a space of architectures."""

    strategy: StrategyName = "evolution"
    """What proposes architectures; tpe and nsga2 are Optuna's (pip install 'scaling-search[nas]')."""
    metric: Metric = "flops"
    """The cost in the reward: multiply-adds, parameters, bytes of a training step, or the latency of one image here."""
    target_flops: str | None = None
    """T of the reward where the metric is flops, such as 400M. A target for the metric that is not given is the cost of
    the architecture of all middle choices: no order of rewards depends on it."""
    target_params: str | None = None
    """T where the metric is params, such as 4M."""
    target_memory: str | None = None
    """T where the metric is memory, such as 64MiB."""
    target_latency: float | None = None
    """T where the metric is latency, in milliseconds."""
    weight: float = -0.07
    """w of the reward."""
    max_flops: str | None = None
    """Multiply-adds beyond which an architecture is rejected before training."""
    max_params: str | None = None
    """Parameters beyond which one is rejected."""
    max_memory: str | None = None
    """Bytes of a training step beyond which one is rejected."""
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
    name: str | None = None
    """Name of the run, whose records lie in RUNS/NAME; by default nas- and what its images are called."""
    data: str = "digits"
    """Images: digits, idx:DIR (IDX files as Fashion-MNIST's) or folder:DIR (one folder of images a class)."""
    split: Split = field(default_factory=Split)
    """How the images are divided."""
    seeds: int = 3
    """Trainings of each finalist, each from its own seed."""
    seed: int = 0
    """The first seed of training, from which every architecture is tried, and the strategy's."""
    recipe: Recipe = SHORT_RECIPE
    """How a network is trained."""
    runs: str = "runs"
    """Folder that holds the runs."""
    reuse: tuple[str, ...] = ()
    """Other runs, or recorded tables, whose finished trials count as done here."""
    replay: str | None = None
    """A recorded table to take every training from, its config too where none is given here; nothing is trained."""

    def __post_init__(self) -> None:
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
        if self.target_latency is not None and not self.target_latency > 0:
            raise UserError(f"target_latency {self.target_latency!r} given", "it must be above 0")

    def run_config(self, family: str) -> RunConfig:
        """What the run's manifest holds of it; `family` is the space's."""
        options = {
            name: getattr(self, name)
            for name in ("split", "seeds", "seed", "recipe", "runs", "reuse", "replay", "data")
        }
        named = RunConfig(family=family, family_options=self.family_options, **options)
        return dataclasses.replace(named, name=self.name or f"nas-{named.run_name}")

    def what_it_computes(self) -> dict[str, Any]:
        """The config as plain data, less what cannot change a number, and how long to go on."""
        tree = to_dict(self)
        for key in ("runs", "reuse", "name", "trials", "finalists"):
            tree.pop(key)
        return tree


def to_dict(config: Any) -> dict[str, Any]:
    """A dataclass tree as plain data that JSON can hold: tuples become lists."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value

    plain_tree: dict[str, Any] = plain(dataclasses.asdict(config))
    return plain_tree


def run_config_from_dict(tree: dict[str, Any]) -> RunConfig:
    """The inverse of `to_dict`, for a manifest read back. Raises UserError where a field is not known."""
    return _from_dict(RunConfig, tree)


def nas_config_from_dict(tree: dict[str, Any]) -> NasConfig:
    """The inverse of `to_dict`, for a search read back. Raises UserError where a field is not known."""
    return _from_dict(NasConfig, tree)


def _from_dict(kind: type[C], tree: dict[str, Any]) -> C:
    parts = {"split": Split, "grid": Grid, "recipe": Recipe}
    try:
        built = {key: parts[key](**value) if key in parts else value for key, value in tree.items()}
        built = {key: tuple(value) if isinstance(value, list) else value for key, value in built.items()}
        return kind(**built)
    except TypeError as error:
        raise UserError(
            f"the run's manifest does not fit this version: {error}", hint="start a new run with --name"
        ) from None


def _flag(name: str) -> str:
    return name.replace("_", "-")
