"""How networks are trained: `Recipe`, and the recipes by name, `SHORT`, `PAPER` and `FINETUNE`."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from scaling_search.errors import UserError, check_finite

Augmentation = Literal["none", "shift", "shift_flip", "crop", "crop_flip"]
Policy = Literal["none", "randaugment", "autoaugment"]
Precision = Literal["float32", "bfloat16"]
Optimiser = Literal["rmsprop", "adamw", "sgd", "muon"]
Schedule = Literal["stairs", "one_cycle"]
RecipeName = Literal["short", "paper", "finetune"]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. `SHORT`, `PAPER` and `FINETUNE` are the recipes by name; docs/recipe.md compares them.

    Defaults are the paper's optimiser and schedule (section 5.2), for 10 epochs of batches of 32 images.
    """

    epochs: int = 10
    """Passes over the training images."""
    batch_size: int = 32
    """Images per step."""
    learning_rate: float = 0.256
    """Peak learning rate. With rmsprop at 4096 images per step, and in proportion to the batch size; otherwise as it
    is used, whatever the batch size."""
    decay_rate: float = 0.97
    """With stairs: factor applied to the learning rate every `decay_epochs`."""
    decay_epochs: float = 2.4
    """With stairs: epochs between decays of the learning rate, in a run of `paper_epochs`."""
    paper_epochs: float = 350.0
    """With stairs: length of the schedule that warm-up and decay refer to; both are rescaled to `epochs`."""
    warmup_epochs: float = 5.0
    """With stairs: epochs of linear warm-up, in a run of `paper_epochs`."""
    rms_decay: float = 0.9
    """Decay of averaged squared gradients: RMSProp's, and beta_2 of AdamW."""
    momentum: float = 0.9
    """Momentum of RMSProp, Nesterov momentum of SGD and Muon, and beta_1 of AdamW."""
    epsilon: float = 1e-3
    """RMSProp's epsilon, added to the mean square before the root; AdamW's, added after it."""
    weight_decay: float = 1e-5
    """Decay of convolution and dense kernels: an L2 penalty, with adamw decoupled (times the learning rate alone)."""
    batch_norm_momentum: float = 0.99
    """Momentum of batch norm's running averages; reduced in runs of few steps."""
    ema_decay: float = 0.9999
    """Decay of the averaged weights that are evaluated; warmed up as (1 + step) / (10 + step)."""
    label_smoothing: float = 0.1
    """Share of the target distribution spread evenly over the classes."""
    evaluate_every: int = 5
    """Epochs between evaluations, for the learning curve; the last epoch is always evaluated."""
    augment: Augmentation = "shift"
    """What training sees of an image: all of it, randomly shifted, or random crops that are resized, for images larger
    than the network's input; with or without horizontal flips. After crops, evaluation sees the central 0.875."""
    shift: float | None = 0.125
    """With shift: largest shift, as a share of the side. None, as in older runs: an eighth, rounded down to pixels."""
    crop_area: float = 0.08
    """With crop: smallest crop, as a share of the image's area."""
    policy: Policy = "none"
    """Colours and shapes: RandAugment, or AutoAugment's policy for ImageNet. For 8-bit images."""
    magnitude: float = 9.0
    """With randaugment: its magnitude, 0 to 10, of two operations per image."""
    erasing: float = 0.0
    """Probability of erasing a random rectangle of a training image."""
    mixup: float = 0.0
    """Mixup's alpha; 0 is off. With both mixup and cutmix, each batch has one of them."""
    cutmix: float = 0.0
    """CutMix's alpha; 0 is off."""
    patience: int | None = None
    """Early stopping: stop after so many evaluations without a better accuracy on images held out of training, and keep
    the weights that were best on them. The images that judge the network have no part in it."""
    held_out: float = 0.1
    """With patience: share of the training images that is held out."""
    drop_connect: float | None = None
    """Drop-connect rate of the last block, rising linearly from 0; by default the family's own."""
    decay_biases: bool = False
    """Whether weight decay takes in the biases of layers without batch norm, as TensorFlow's EfficientNet does."""
    precision: Precision | None = None
    """Precision that networks compute in; parameters, statistics, optimiser and averages are always float32. By default
    float32 on a CPU and bfloat16 on a GPU or TPU."""
    optimiser: Optimiser = "rmsprop"
    """What makes a step of a gradient: the paper's RMSProp, AdamW, SGD with Nesterov momentum, or Muon for the kernels
    of convolutions beside AdamW for the rest."""
    schedule: Schedule = "stairs"
    """Learning rate over a run: the paper's warm-up and stairs, or one cycle, up to the peak and down to zero."""
    warmup_share: float = 0.25
    """With one_cycle: share of the run before the peak."""
    zero_init_residual: bool = False
    """Whether residual branches start as zeros (Goyal et al., 2017). Families without such an option are trained as
    they are."""
    dropout_by_size: bool = False
    """Whether both steps give networks the paper's dropout (section 5.2) in place of their family's: 0.2 at B0 to 0.5
    at B7 in proportion to phi, of the published models their own. Families without dropout are trained as they
    are."""

    def __post_init__(self) -> None:
        check_finite(self)
        whole = {name: getattr(self, name) for name in ("epochs", "batch_size", "evaluate_every")}
        for name, value in whole.items():
            if value < 1:
                raise UserError(
                    f"{name} {value} given", "it must be at least 1", f"try --recipe.{name.replace('_', '-')} 16"
                )
        for name in ("learning_rate", "decay_epochs", "paper_epochs", "epsilon"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} {getattr(self, name)!r} given", "it must be above 0")
        shares = ("rms_decay", "momentum", "batch_norm_momentum", "ema_decay", "label_smoothing", "warmup_share")
        for name in (*shares, "shift", "drop_connect"):
            if getattr(self, name) is not None and not 0 <= getattr(self, name) < 1:
                raise UserError(f"{name} {getattr(self, name)!r} given", "it must be at least 0 and below 1")
        for name in ("warmup_epochs", "weight_decay", "mixup", "cutmix"):
            if not getattr(self, name) >= 0:
                raise UserError(f"{name} {getattr(self, name)!r} given", "it must be 0 or more")
        if not 0 < self.decay_rate <= 1:
            raise UserError(f"decay_rate {self.decay_rate!r} given", "it must be above 0 and at most 1")
        if self.decay_biases and self.optimiser not in ("rmsprop", "sgd"):
            raise UserError(
                f"decay_biases given with {self.optimiser}",
                "biases are decayed as TensorFlow does it, by an L2 penalty, with rmsprop or sgd",
                "try --recipe.optimiser rmsprop",
            )
        if not 0 < self.crop_area <= 1:
            raise UserError(f"crop_area {self.crop_area!r} given", "it must be above 0 and at most 1")
        if not 0 < self.held_out < 1:
            raise UserError(f"held_out {self.held_out!r} given", "it must be above 0 and below 1")
        if not 0 <= self.erasing <= 1:
            raise UserError(f"erasing {self.erasing!r} given", "it must be 0 to 1")
        if not 0 <= self.magnitude <= 10:
            raise UserError(f"magnitude {self.magnitude!r} given", "it must be 0 to 10")
        if self.patience is not None and self.patience < 1:
            raise UserError(f"patience {self.patience} given", "it must be at least 1", "try --recipe.patience 5")
        chosen = {"optimiser": Optimiser, "schedule": Schedule, "augment": Augmentation, "policy": Policy}
        for name, known in ((name, get_args(kind)) for name, kind in chosen.items()):
            if getattr(self, name) not in known:
                raise UserError(f"{name} {getattr(self, name)!r} given", f"it is one of {', '.join(known)}")

    @property
    def crops(self) -> bool:
        """Whether training sees random crops."""
        return self.augment in ("crop", "crop_flip")

    @property
    def shifts(self) -> bool:
        """Whether training sees random shifts."""
        return self.augment in ("shift", "shift_flip")

    @property
    def flips(self) -> bool:
        """Whether training sees mirror images."""
        return self.augment in ("shift_flip", "crop_flip")

    @property
    def mixes(self) -> bool:
        """Whether training images are mixed in pairs."""
        return self.mixup > 0 or self.cutmix > 0


def images_per_host(batch_size: int, hosts: int) -> int:
    """How many images of a batch each of so many hosts trains on. Raises UserError where they cannot be as many."""
    if batch_size % hosts:
        raise UserError(
            f"{hosts} hosts cannot share out a batch of {batch_size} images",
            "each gets as many of them",
            f"try --recipe.batch-size {-(-batch_size // hosts) * hosts}",
        )
    return batch_size // hosts


def stored_recipe(**fields: Any) -> Recipe:
    """A recipe as manifests and records hold it; what older ones lack is as it was. Raises TypeError for others."""
    return Recipe(**({"shift": None} | fields))


SHORT = Recipe(
    optimiser="muon",
    schedule="one_cycle",
    batch_size=16,
    learning_rate=0.02,
    rms_decay=0.99,
    epsilon=1e-8,
    weight_decay=0.02,
    zero_init_residual=True,
)
"""For 200 to 2,000 steps, and the default: chosen by the measurements in docs/recipe.md."""

PAPER = Recipe(
    epochs=350,
    batch_size=4096,
    augment="crop_flip",
    policy="autoaugment",
    drop_connect=0.2,
    decay_biases=True,
    dropout_by_size=True,
)
"""The recipe of section 5.2 to the letter, by the authors' code where the paper leaves it open."""

FINETUNE = Recipe(
    optimiser="adamw",
    schedule="one_cycle",
    epochs=20,
    batch_size=16,
    learning_rate=0.001,
    rms_decay=0.99,
    epsilon=1e-8,
    weight_decay=0.02,
    augment="crop_flip",
    crop_area=0.35,
)
"""For weights trained on other images (`train --init`); docs/recipe.md has what it comes to."""

RECIPES: dict[RecipeName, Recipe] = {"short": SHORT, "paper": PAPER, "finetune": FINETUNE}
