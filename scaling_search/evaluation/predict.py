"""What a network says of images: logits in batches of one compiled shape, and the likeliest classes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from scaling_search.errors import UserError
from scaling_search.evaluation.metrics import Evaluation, evaluation_of, softmax, top_classes

BATCH = 32
TOP = 5


@dataclass(frozen=True)
class Prediction:
    """A class that a network sees in an image."""

    index: int
    """Of the class, from 0."""
    name: str
    probability: float
    """0..1, of all the network's classes."""
    logit: float


def predict(
    network: nnx.Module,
    images: Iterable[np.ndarray],
    classes: Sequence[str],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    top: int = TOP,
    batch_size: int = BATCH,
) -> Iterator[tuple[Prediction, ...]]:
    """The `top` likeliest classes of each image, the likeliest first, in the images' order.

    Args:
        network: from images (N, H, W, 3) to logits (N, classes).
        images: (H, W, 3) uint8 or float in 0..1, all of one size, read as they are needed.
        classes: the names of the classes, in the logits' order.
        mean: of pixel values in 0..1 by channel, as the network was trained.
        std: likewise.
        top: how many classes.
        batch_size: how many images go through the network at a time.

    Raises:
        UserError: where the names are not as many as the logits.

    """
    for logits in _batches_of_logits(network, images, mean, std, batch_size):
        if logits.shape[1] != len(classes):
            raise UserError(f"{len(classes)} names of classes given", f"the network has {logits.shape[1]} classes")
        for row, likeliest, share in zip(logits, top_classes(logits, top), softmax(logits), strict=True):
            yield tuple(
                Prediction(int(index), classes[index], float(share[index]), float(row[index])) for index in likeliest
            )


def evaluate(
    network: nnx.Module,
    images: Iterable[np.ndarray],
    labels: np.ndarray,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    batch_size: int = BATCH,
) -> Evaluation:
    """Judges a network on images by their labels (N,); the other arguments are those of `predict`.

    Raises UserError where labels are not as many as images, or not the network's classes.
    """
    return evaluation_of(logits_of(network, images, mean=mean, std=std, batch_size=batch_size), labels)


def logits_of(
    network: nnx.Module,
    images: Iterable[np.ndarray],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    batch_size: int = BATCH,
) -> np.ndarray:
    """The logits (N, classes) float32 of images; arguments are those of `predict`. Raises UserError without images."""
    batches = list(_batches_of_logits(network, images, mean, std, batch_size))
    if not batches:
        raise UserError("no images given", "at least one is judged")
    return np.concatenate(batches)


def _batches_of_logits(
    network: nnx.Module,
    images: Iterable[np.ndarray],
    mean: Sequence[float],
    std: Sequence[float],
    batch_size: int,
) -> Iterator[np.ndarray]:
    network.eval()
    graphdef, state = nnx.split(network)
    centre, spread = jnp.asarray(mean, jnp.float32), jnp.asarray(std, jnp.float32)

    @partial(jax.jit, static_argnames="unit")
    def apply(state: Any, batch: jax.Array, unit: float) -> jax.Array:
        net: Any = nnx.merge(graphdef, state)
        return net((batch.astype(jnp.float32) / unit - centre) / spread)

    for batch in _batched(images, batch_size):
        # A last batch that is short is filled up: another shape would be another compilation.
        padded = np.concatenate([batch, np.zeros((batch_size - len(batch), *batch.shape[1:]), batch.dtype)])
        unit = 255.0 if batch.dtype == np.uint8 else 1.0
        yield np.asarray(apply(state, padded, unit), np.float32)[: len(batch)]


def _batched(images: Iterable[np.ndarray], batch_size: int) -> Iterator[np.ndarray]:
    held: list[np.ndarray] = []
    for image in images:
        held.append(image)
        if len(held) == batch_size:
            yield np.stack(held)
            held = []
    if held:
        yield np.stack(held)
