"""What a training leaves behind: its averaged weights, in a file that says what they are for."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flax import nnx

from scaling_search.data import Prepared
from scaling_search.data.views import CENTRAL
from scaling_search.errors import UserError
from scaling_search.places import Place
from scaling_search.recipe import Recipe
from scaling_search.trial import Outcome, Spec
from scaling_search.weights.bundle import write_bundle
from scaling_search.weights.description import Channels, Description, channels


@dataclass(frozen=True)
class Keep:
    """Where trainings leave their weights, and of which images these are."""

    folder: Place
    """Absolute, and on a file system that every machine of the run shares. A trial's file is called by its key."""
    classes: tuple[str, ...]
    """What the logits stand for, in order."""
    recipe: Recipe
    """The run's own, but for the learning rate, which may follow from the size. The shorter trainings by which a search
    sorts architectures out leave nothing."""
    not_from: tuple[int, ...] = ()
    """Seeds whose trainings leave nothing."""

    def takes(self, spec: Spec) -> bool:
        """Whether a training leaves its weights. Those judged on the test split repeat one judged on validation."""
        recipe = replace(spec.recipe, learning_rate=self.recipe.learning_rate)
        return spec.evaluate == "validation" and recipe == self.recipe and spec.seed not in self.not_from

    def file(self, spec: Spec) -> Place:
        """The file of a training."""
        return self.folder / f"{spec.key}.safetensors"

    def description(self, spec: Spec, images: Prepared) -> Description:
        """What the weights of a training are for."""
        network = spec.network
        mean, std = _in_shares(images)
        return Description(
            *(network.family, network.options, network.scale, self.classes, mean, std, network.input_resolution),
            crop=CENTRAL if self.recipe.crops else 1.0,
        )


def with_weights(
    keep: Keep | None,
    spec: Spec,
    outcome: Outcome,
    images: Prepared,
    averaged: Callable[[], nnx.State[Any, Any]],
) -> Outcome:
    """Writes the weights that `averaged` gives, if the training succeeded and `keep` takes it.

    The outcome holds whether or not they can be written, and is returned; where they cannot, with a note of why.
    """
    if keep is None or outcome.status != "ok" or not keep.takes(spec):
        return outcome
    try:
        write_bundle(keep.file(spec), averaged(), keep.description(spec, images))
    except UserError as error:
        return noted(outcome, f"its weights were not kept: {error}")
    return outcome


def noted(outcome: Outcome, note: str | None) -> Outcome:
    """The outcome with one more note."""
    return replace(outcome, note="; ".join(one for one in (outcome.note, note) if one) or None)


def _in_shares(images: Prepared) -> tuple[Channels, Channels]:
    """Mean and standard deviation of pixel values in 0..1."""
    unit = 255.0 if images.train_images.dtype == np.uint8 else 1.0
    return channels(images.mean / unit), channels(images.std / unit)
