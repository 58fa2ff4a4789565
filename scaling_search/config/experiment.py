"""What every kind of run shares: its images and their split, how networks are trained, where trials run."""

import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from scaling_search.errors import UserError, check_finite
from scaling_search.recipe import SHORT, Recipe

OnBadData = Literal["refuse", "skip"]
Kind = Literal["method", "sweep", "train", "nas"]
Kept = Literal["none", "best", "all"]
Tracker = Literal["tensorboard", "mlflow", "wandb"]
Trained = Literal["all", "head"]
"""What training changes: all parameters, or only the head, on frozen features."""


@dataclass(frozen=True)
class Split:
    """How images are split. The grid is evaluated on the validation part; the test part is used once."""

    validation: float | None = None
    """Share of the images used for validation. By default the data's own validation part, or else 0.1 (digits: 0.55,
    glyphs: 0.45)."""
    test: float | None = None
    """Share of the images held out to evaluate the winner once; not used where the data has a test part of its own. By
    default 0.1 (digits and glyphs: 0.2)."""
    seed: int = 0
    """Seed of the stratified split."""
    train: float | None = None
    """Share of the images used for training, the rest being left out. By default all that validation and test leave."""

    def __post_init__(self) -> None:
        shares = {part: share for part in ("validation", "test") if (share := getattr(self, part)) is not None}
        if not (all(0 < share < 1 for share in shares.values()) and sum(shares.values()) < 1):
            raise UserError(
                f"split of {' and '.join(f'{share:g} {part}' for part, share in shares.items())} given",
                "shares must lie between 0 and 1 and leave images to train on",
                "try --split.validation 0.2 --split.test 0.2",
            )
        if self.train is not None and not 0 < self.train < 1:
            raise UserError(
                f"split of {self.train:g} training given", "it must lie between 0 and 1", "try --split.train 0.1"
            )


@dataclass(frozen=True)
class Workers:
    """Where trials run, and how they are kept. None of it affects the results, but for the cores of a trial."""

    address: str | None = None
    """Address of a running Ray cluster ("auto" or HOST:PORT). By default Ray is started here for the run."""
    cpus_per_trial: int = 1
    """CPU cores per trial; its process is pinned to them. XLA splits sums over cores, so accuracies differ slightly
    with another number of cores, as they do on another machine."""
    gpus_per_trial: float | None = None
    """GPUs per trial; by default one, if there are any. Trials with a fraction share a GPU and its memory."""
    tpus_per_trial: int | None = None
    """TPU chips per trial; by default one, if there are any."""
    hosts_per_trial: int = 1
    """Machines of a cluster per trial, each with as many cores, GPUs or TPU chips as are given per trial; on TPUs all
    those of a slice. Batches are shared out among them."""
    checkpoint_every: float = 10.0
    """Minutes between checkpoints of a training, of which the last two are kept until it ends. Trainings of less than
    a minute write none."""
    max_hours: float | None = None
    """Hours after which the run ends in order: trainings write a checkpoint, from which the same command goes on."""

    def __post_init__(self) -> None:
        check_finite(self)
        if not self.checkpoint_every > 0:
            raise UserError(f"checkpoint_every {self.checkpoint_every:g} given", "it must be above 0 minutes")
        if self.max_hours is not None and not self.max_hours > 0:
            raise UserError(f"max_hours {self.max_hours:g} given", "it must be above 0", "try --max-hours 8")
        if self.cpus_per_trial < 1:
            raise UserError(f"cpus_per_trial {self.cpus_per_trial} given", "it must be at least 1")
        if self.hosts_per_trial < 1:
            raise UserError(f"hosts_per_trial {self.hosts_per_trial} given", "it must be at least 1")
        gpus = self.gpus_per_trial or 0.0
        if gpus < 0 or (self.tpus_per_trial or 0) < 0:
            raise UserError("a negative number of GPUs or TPUs per trial given", "it must be 0 or more")
        if gpus > 1 and gpus != int(gpus):
            raise UserError(f"gpus_per_trial {gpus:g} given", "above 1 it must be a whole number")


FRESH_SEEDS = 1000
"""How far seeds that confirm a winner are from those that select it."""

PROBE_SEEDS = 2000
"""How far seeds that choose learning rates are from those that select a winner."""


@dataclass(frozen=True)
class Experiment:
    """What every kind of run shares: images, how networks are trained and from how many seeds, where records go."""

    kind: ClassVar[Kind]
    """The kind of run, as named in its manifest."""
    least_seeds: ClassVar[int] = 1

    name: str | None = None
    """Name of the run, whose records go to RUNS/NAME; by default the name of its images."""
    data: str = "glyphs"
    """Images: glyphs and cluttered_glyphs (synthetic), digits, idx:DIR (IDX files such as Fashion-MNIST's), folder:DIR
    (one folder of images per class), csv:FILE (path,label[,split]), hf:PATH (saved by datasets, or Parquet files),
    tfds:NAME (prepared by TensorFlow Datasets) or records:PATH (TFRecord or ArrayRecord shards)."""
    on_bad_data: OnBadData = "refuse"
    """What to do if files cannot be read as images: refuse the data, or skip those files."""
    split: Split = field(default_factory=Split)
    """How the images are split."""
    seeds: int = 3
    """Number of trainings per network, each from its own seed."""
    seed: int = 0
    """The first seed."""
    recipe: Recipe = SHORT
    """How a network is trained."""
    runs: str = "runs"
    """Folder that holds the runs."""
    reuse: tuple[str, ...] = ()
    """Other runs or recorded tables whose finished trials count as done here."""
    replay: str | None = None
    """A recorded table to take every training from, so that nothing is trained. It also sets the defaults."""
    keep: Kept = "best"
    """Whose weights to keep in RUNS/NAME/weights: nobody's, each network's best seed by validation accuracy (of a run,
    the winner and the measured B0..B7; of a search, the finalists), or those of every training."""
    log: tuple[Tracker, ...] = ()
    """Trackers to write each training to, an epoch at a time, in RUNS/NAME: tensorboard, mlflow, wandb (Weights &
    Biases, offline)."""

    def __post_init__(self) -> None:
        if self.name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise UserError(
                f"run name {self.name!r} given", "use letters, digits, '.', '_' and '-': the name becomes a folder"
            )
        if self.seeds < self.least_seeds:
            raise UserError(f"--seeds must be at least {self.least_seeds}", f"{self.seeds} given", "try --seeds 3")
        check_finite(self)
        if self.seed < 0:
            raise UserError(f"seed {self.seed} given", "it must be 0 or more", "try --seed 0")

    @property
    def run_name(self) -> str:
        """The run's name, or one derived from the name of its images."""
        replayed = f"{Path(self.replay).stem}-replayed" if self.replay else ""
        kind, _, place = self.data.partition(":")
        source = replayed or (place if place and not kind.endswith("glyphs") else kind)
        return self.name or re.sub(r"[^A-Za-z0-9._-]+", "-", Path(source).expanduser().name).strip("-._") or "run"

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds each network is trained from."""
        return tuple(range(self.seed, self.seed + self.seeds))

    @property
    def fresh_seeds(self) -> tuple[int, ...]:
        """The seeds that judge what STEP 1 selected, its winner and best network, and its baseline: as many again."""
        return tuple(seed + FRESH_SEEDS for seed in self.all_seeds)

    @property
    def probe_seeds(self) -> tuple[int, ...]:
        """The seeds of trainings that choose learning rates and judge no network; empty where there are none."""
        return ()

    # Where records are kept affects no result, and images are identified by their digest wherever they are.
    _changes_no_number: ClassVar[tuple[str, ...]] = (
        *("runs", "reuse", "name", "data", "on_bad_data"),
        *("replay", "keep", "log"),
    )

    def what_it_computes(self) -> dict[str, Any]:
        """The config as plain data, without what cannot affect a result."""
        return {key: value for key, value in to_dict(self).items() if key not in self._changes_no_number}


def to_dict(config: Any) -> dict[str, Any]:
    """A dataclass tree as plain data that JSON can hold: tuples become lists."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value

    plain_tree: dict[str, Any] = plain(dataclasses.asdict(config))
    return plain_tree
