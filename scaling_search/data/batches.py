"""Batches of constant shape, as each new shape would be compiled anew."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from scaling_search.data.augment import Moves, draw_moves, mirrored, move
from scaling_search.data.mix import Mixed, erased, mixed
from scaling_search.data.policy import apply_policy
from scaling_search.data.prepare import Prepared
from scaling_search.data.stream import ahead
from scaling_search.data.views import Squares, Views
from scaling_search.errors import UserError
from scaling_search.recipe import Recipe

Labels = np.ndarray | Mixed
"""(B,) int32, or those of images that are two in one."""


def check_batch_size(batch_size: int, count: int, split: str = "") -> None:
    """Raises UserError, which names the split where it is given, unless `count` images make at least one batch."""
    if not 1 <= batch_size <= count:
        raise UserError(
            f"batch size {batch_size} given for {count} training images" + (f" (split: {split})" if split else ""),
            f"it must be 1 to {count}",
            f"try --recipe.batch-size {max(1, min(32, count))}",
        )


def training_batches(
    images: Prepared, recipe: Recipe, *, seed: int, epoch: int, start: int = 0
) -> Iterator[tuple[np.ndarray, Labels]]:
    """One pass over the training images in an order, and changed in ways, that `seed` and `epoch` decide.

    Yields N // batch_size batches, (B, side, side, 3) and labels, less the `start` first; the images that are left over
    are dropped, others in each epoch. An image is cropped or shifted, mirrored, changed by the policy, and has a
    rectangle erased; then a batch is mixed. Raises UserError, when called, where the images make no batch.
    """
    batches = EpochBatches(images, recipe, seed, epoch, start)
    in_memory = isinstance(images.train_images, np.ndarray)
    return iter(batches[step] for step in range(len(batches))) if in_memory else ahead(batches)


class EpochBatches:
    """The batches of an epoch by their number: what `training_batches` yields, and each a function of its number."""

    def __init__(self, images: Prepared, recipe: Recipe, seed: int, epoch: int, start: int = 0) -> None:
        self._images, self._recipe, self._drawn_by, self._start = images, recipe, (seed, epoch), start
        _, *side, _ = images.train_images.shape
        self._pass = training_pass(len(images.train_images), (side[0], side[1]), recipe, seed=seed, epoch=epoch)

    def __len__(self) -> int:
        return len(self._pass.order) - self._start

    def __getitem__(self, step: int) -> tuple[np.ndarray, Labels]:
        step += self._start
        numbers, recipe = self._pass.order[step], self._recipe
        batch, labels = self._seen(numbers, Moves(*(drawn[step] for drawn in self._pass.moves)))
        if not recipe.mixes:
            return batch, labels
        # An image's numbers start from 1, so that no batch draws what an image does.
        return mixed(batch, labels, recipe, np.random.default_rng((*self._drawn_by, 0, step + 1)))

    def _seen(self, numbers: np.ndarray, moves: Moves) -> tuple[np.ndarray, np.ndarray]:
        images, recipe = self._images, self._recipe
        labels = images.train_labels[numbers]
        if isinstance(images.train_images, Views):
            return np.stack([self._view(images.train_images, int(number)) for number in numbers]), labels
        batch = move(images.train_images[numbers], moves, recipe)
        if recipe.policy != "none" or recipe.erasing:
            rngs = [_rng_of(*self._drawn_by, int(number)) for number in numbers]
            batch = np.stack([_changed(*one, images.mean, recipe) for one in zip(batch, rngs, strict=True)])
        return batch, labels

    def _view(self, views: Views, number: int) -> np.ndarray:
        rng = _rng_of(*self._drawn_by, number)
        image = views.crop(number, self._recipe.crop_area, rng)
        if self._recipe.flips and rng.random() < 0.5:
            image = mirrored(image)
        return _changed(image, rng, self._images.mean, self._recipe)


def _rng_of(seed: int, epoch: int, number: int) -> np.random.Generator:
    # From 1, as NumPy takes seeds that end in zeros for the same.
    return np.random.default_rng((seed, epoch, number + 1))


def _changed(image: np.ndarray, rng: np.random.Generator, mean: np.ndarray, recipe: Recipe) -> np.ndarray:
    return erased(apply_policy(image, recipe, rng), mean, recipe, rng)


class Pass(NamedTuple):
    """One pass over the training images as indices: what `training_batches` yields, for images that lie elsewhere."""

    order: np.ndarray
    """(steps, B) int32, indices of images."""
    moves: Moves
    """What is done to each image, (steps, B)."""


def moves_alone(images: Prepared, recipe: Recipe) -> bool:
    """Whether images lie in memory, and a `Pass` says all that a recipe does to them."""
    more = recipe.policy != "none" or recipe.erasing > 0 or recipe.mixes
    lie = (images.train_images, images.eval_images)
    return not more and all(isinstance(part, np.ndarray) for part in lie)


def training_pass(count: int, side: tuple[int, int], recipe: Recipe, *, seed: int, epoch: int) -> Pass:
    """The pass over `count` images of `side` (H, W) pixels that `seed` and `epoch` decide."""
    check_batch_size(recipe.batch_size, count)
    rng = np.random.default_rng((seed, epoch))
    steps = count // recipe.batch_size
    order = rng.permutation(count)[: steps * recipe.batch_size].reshape(steps, -1).astype(np.int32)
    moves = [draw_moves(recipe.batch_size, *side, recipe, rng) for _ in range(steps)]
    return Pass(order, Moves(*map(np.stack, zip(*moves, strict=True))))


def evaluation_batches(
    images: np.ndarray | Squares, labels: np.ndarray, batch_size: int
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


def judging_batches(images: Prepared, batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The `evaluation_batches` of the images that judge and, where some are held out, of these.

    Then weights are (B, 2), in the first column of images that judge, in the second of those that are held out.
    """
    parts = [(images.eval_images, images.eval_labels)]
    if images.held_images is not None and images.held_labels is not None:
        parts.append((images.held_images, images.held_labels))
    for number, part in enumerate(parts):
        for batch, labels, weights in evaluation_batches(*part, batch_size):
            of_part = np.zeros((batch_size, len(parts)), np.float32)
            of_part[:, number] = weights
            yield batch, labels, of_part if len(parts) > 1 else weights
