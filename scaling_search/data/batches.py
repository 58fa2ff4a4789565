"""Batches of constant shape, as each new shape would be compiled anew."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from scaling_search.data.augment import Moves, draw_moves
from scaling_search.data.augment import augment as augmented
from scaling_search.errors import UserError
from scaling_search.recipe import Augmentation


def check_batch_size(batch_size: int, count: int, split: str = "") -> None:
    """Raises UserError, which names the split where it is given, unless `count` images make at least one batch."""
    if not 1 <= batch_size <= count:
        raise UserError(
            f"batch size {batch_size} given for {count} training images" + (f" (split: {split})" if split else ""),
            f"it must be 1 to {count}",
            f"try --recipe.batch-size {max(1, min(32, count))}",
        )


def training_batches(
    images: np.ndarray, labels: np.ndarray, batch_size: int, *, seed: int, epoch: int, augment: Augmentation
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One pass over (N, H, W, C) and (N,) in an order, and with an augmentation, that `seed` and `epoch` decide.

    Yields N // batch_size batches; the images that are left over are dropped, others in each epoch. Raises UserError,
    when called, where the images make no batch.
    """
    check_batch_size(batch_size, len(images))
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(images))
    full = len(images) // batch_size * batch_size
    chosen = (order[start : start + batch_size] for start in range(0, full, batch_size))
    return ((augmented(images[batch], augment, rng), labels[batch]) for batch in chosen)


class Pass(NamedTuple):
    """One pass over the training images as indices: what `training_batches` yields, for images that lie elsewhere."""

    order: np.ndarray
    """(steps, B) int32, indices of images."""
    moves: Moves
    """What is done to each image, (steps, B)."""


def training_pass(
    count: int, side: tuple[int, int], batch_size: int, *, seed: int, epoch: int, augment: Augmentation
) -> Pass:
    """The pass over `count` images of `side` (H, W) pixels that `seed` and `epoch` decide."""
    check_batch_size(batch_size, count)
    rng = np.random.default_rng((seed, epoch))
    steps = count // batch_size
    order = rng.permutation(count)[: steps * batch_size].reshape(steps, batch_size).astype(np.int32)
    moves = [draw_moves(batch_size, *side, augment, rng) for _ in range(steps)]
    return Pass(order, Moves(*map(np.stack, zip(*moves, strict=True))))


def evaluation_batches(
    images: np.ndarray, labels: np.ndarray, batch_size: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Every image once and in order: images (B, H, W, C), labels (B,) and weights (B,) float32.

    The last batch is filled up with images of zeros, of label 0 and weight 0; all others weigh 1.
    """
    for start in range(0, len(images), batch_size):
        batch, batch_labels = images[start : start + batch_size], labels[start : start + batch_size]
        padding = batch_size - len(batch)
        weights = np.ones(batch_size, np.float32)
        if padding:
            weights[-padding:] = 0
            batch = np.concatenate([batch, np.zeros((padding, *batch.shape[1:]), batch.dtype)])
            batch_labels = np.concatenate([batch_labels, np.zeros(padding, batch_labels.dtype)])
        yield np.ascontiguousarray(batch), batch_labels, weights
