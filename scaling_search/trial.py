"""What flows through the engine: Network and Spec go in, Outcome comes out. Plain data, no JAX, no Ray."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, Literal

from scaling_search.config import Split, Trained, to_dict
from scaling_search.plain import check_kinds
from scaling_search.recipe import Recipe, stored_recipe
from scaling_search.rule import Scale

TRAINING_VERSION = 2
"""Increased when the same spec would give another result, so that old records are not reused."""

_BEFORE = {
    "precision": None,
    "optimiser": "rmsprop",
    "schedule": "stairs",
    "warmup_share": 0.25,
    "zero_init_residual": False,
    "dropout_by_size": False,
    "shift": None,
    "crop_area": 0.08,
    "policy": "none",
    "magnitude": 9.0,
    "erasing": 0.0,
    "mixup": 0.0,
    "cutmix": 0.0,
    "patience": None,
    "held_out": 0.1,
    "drop_connect": None,
    "decay_biases": False,
}
"""Choices of a recipe that came later, at the values that leave keys as they were before."""


def _shifts_as_before(recipe: Recipe, side: int) -> bool:
    """Whether the shift, a share of the side, is what an eighth of it in whole pixels was."""
    return not recipe.shifts or (recipe.shift == 0.125 and side % 8 == 0)


@lru_cache
def _choices(recipe: Recipe, side: int) -> dict[str, Any]:
    """What tells a recipe from others in keys. Few recipes are shared by thousands of specs."""
    told = replace(recipe, shift=None) if _shifts_as_before(recipe, side) else recipe
    return {name: value for name, value in to_dict(told).items() if value != _BEFORE.get(name, ...)}


@dataclass(frozen=True)
class Network:
    """One network to train, and what it costs. Two scales that round to the same network have one fingerprint."""

    family: str
    options: tuple[str, ...]
    scale: Scale
    input_resolution: int
    """Input side in pixels."""
    num_classes: int
    fingerprint: str
    """Identifies what is computed, whichever scale it came from."""
    parameters: int
    multiply_adds: int
    """For one image."""
    activations: int
    """Elements of convolution and dense outputs, for one image."""


@dataclass(frozen=True)
class Init:
    """Weights that a training starts from, all but the head, which is new."""

    weights: str
    """A file that `weights.files` reads."""
    digest: str
    """SHA-256 of its content, which names the trial; where the file lies does not."""
    trained: Trained = "all"


@dataclass(frozen=True)
class Spec:
    """One training of one network from one seed. Its key names the trial in every store."""

    network: Network
    recipe: Recipe
    data: str
    """Name of the images with a digest of their content."""
    split: Split
    seed: int
    evaluate: Literal["validation", "test"] = "validation"
    """The split that judges it. Only STEP 1's winner is ever judged on the test split."""
    init: Init | None = None
    """Where its weights start from; from a random draw by default."""

    @cached_property
    def key(self) -> str:
        """A hash of all that decides the outcome. The scale is not in it: the network it rounds to is."""
        decides = {
            "version": TRAINING_VERSION,
            "network": self.network.fingerprint,
            "input_resolution": self.network.input_resolution,
            "num_classes": self.network.num_classes,
            "recipe": _choices(self.recipe, self.network.input_resolution),
            "data": self.data,
            "split": to_dict(self.split),
            "seed": self.seed,
            "evaluate": self.evaluate,
        }
        if self.init is not None:
            decides["init"] = {"digest": self.init.digest, "trained": self.init.trained}
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Epoch:
    """One point of a learning curve."""

    epoch: int
    step: int
    """Steps done by the end of the epoch."""
    learning_rate: float
    train_loss: float
    accuracy: float | None = None
    """Top-1 of the averaged weights on the split that judges, 0..1; None in an epoch that is not judged."""
    loss: float | None = None
    """Cross-entropy there, without label smoothing."""


@dataclass(frozen=True)
class Outcome:
    """The result of a spec. A failed trial has a reason instead of an accuracy, and is still a row.

    "failed": its loss was not finite, and would not be if repeated. "crashed": an exception ended it, out of
    memory for example, or its process died; the next run tries it again. "missing": a recorded table that is replayed
    does not have it; "stopped": the run was to end before it did. These two are never stored.
    """

    status: Literal["ok", "failed", "crashed", "missing", "stopped"]
    accuracy: float | None = None
    """Top-1 on the split that judges, 0..1, after the last epoch or, with early stopping, `best_epoch`."""
    loss: float | None = None
    reason: str | None = None
    failed_step: int | None = None
    curve: tuple[Epoch, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time by phase: build, trace, compile, train, evaluate, and data, the wait of a CPU
    for images that are decoded while it trains. What seeds share counts for the first of them."""
    peak_memory: int | None = None
    """Largest resident size of the trial's process so far, bytes."""
    device: str = ""
    """Kind of device that trained it."""
    machine: str | None = None
    """Name of the machine that trained it, on a cluster."""
    precision: str | None = None
    """What it computed in."""
    images_per_second: float | None = None
    """Images that its program trained on in a second, those of seeds trained together counted for each."""
    utilisation: float | None = None
    """Share of the device's peak in bfloat16 that this is: multiply-adds x 6 x images a second; None where the peak is
    not known or another precision was used."""
    best_epoch: int | None = None
    """With early stopping: the epoch whose weights are the result; the curve ends where training was stopped."""
    note: str | None = None
    """What was done about a lack of device memory, why its weights could not be kept, what became of checkpoints."""


def to_record(spec: Spec, outcome: Outcome) -> dict[str, Any]:
    """A finished trial as the plain data that the store keeps."""
    return {"key": spec.key, "version": TRAINING_VERSION, "spec": to_dict(spec), "outcome": to_dict(outcome)}


def outcome_from_dict(tree: dict[str, Any]) -> Outcome:
    """The outcome of a stored record. Raises one of `plain.MALFORMED` where it is not one."""
    curve = tuple(Epoch(**epoch) for epoch in tree.get("curve", ()))
    outcome = Outcome(**{**tree, "curve": curve})
    check_kinds(outcome)
    return outcome


def spec_from_dict(tree: dict[str, Any]) -> Spec:
    """The spec of a stored record. Raises UserError or one of `plain.MALFORMED` where it is not one."""
    init = tree.get("init")
    spec = Spec(
        network=network_from_dict(tree["network"]),
        recipe=stored_recipe(**tree["recipe"]),
        data=tree["data"],
        split=Split(**tree["split"]),
        seed=tree["seed"],
        evaluate=tree["evaluate"],
        init=None if init is None else Init(**init),
    )
    check_kinds(spec)
    return spec


def network_from_dict(tree: dict[str, Any]) -> Network:
    """The network of a stored record or step file. Raises UserError or one of `plain.MALFORMED` where it is not one."""
    network = Network(**{**tree, "scale": Scale(**tree["scale"]), "options": tuple(tree["options"])})
    check_kinds(network)
    return network
