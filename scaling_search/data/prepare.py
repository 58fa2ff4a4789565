"""From images as they come to what a network trains on: divided, resized once where that will do, and measured."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from scaling_search.config import Split
from scaling_search.data.encoded import EncodedImages
from scaling_search.data.images import ImageData
from scaling_search.data.resize import resize
from scaling_search.data.split import divide, hold_out
from scaling_search.data.stream import cores
from scaling_search.data.views import CENTRAL, Squares, Views
from scaling_search.errors import UserError
from scaling_search.recipe import Recipe

Judge = Literal["validation", "test"]
# Pixels that are float64 at a time: 32 MiB.
_CHUNK = 2**22
_AT_ONCE = 16
MEASURED = 4096
"""Images of which the mean and deviation are taken where training sees crops."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """Images of one input resolution, ready to be batched. Read only."""

    train_images: np.ndarray | Views | Squares
    """(N, side, side, 3) uint8 or float32. Grey is repeated without taking more memory, so it is not contiguous. Where
    training has crops, or memory does not hold them, they are decoded each time they are used."""
    train_labels: np.ndarray
    """(N,) int32."""
    eval_images: np.ndarray | Squares
    """(M, side, side, 3), of the part that judges."""
    eval_labels: np.ndarray
    """(M,) int32."""
    mean: np.ndarray
    """(3,) float32, of the training images at this resolution, in their own unit (0..255 for uint8)."""
    std: np.ndarray
    """(3,) float32, likewise; 1 for a channel that never varies."""
    held_images: np.ndarray | Squares | None = None
    """(K, side, side, 3), held out of training to say when it stops; None without early stopping."""
    held_labels: np.ndarray | None = None
    """(K,) int32."""


def prepare(
    data: ImageData, split: Split, side: int, evaluate: Judge, recipe: Recipe | None = None, *, crop: float = 1.0
) -> Prepared:
    """The training part and the part that judges, `side` pixels a side, RGB.

    With "validation" no test image is looked at. With "test" it is the data's own test split, or else the share that
    `split` keeps; training is on the same images either way. Where `recipe` crops, training has views of the images,
    and judges see the central 0.875 of them; without a recipe they see the share `crop`. Raises UserError where the
    data cannot be divided, or the recipe cannot be followed with them.
    """
    if evaluate not in get_args(Judge):
        raise UserError(f"a network judged on {evaluate!r} asked for", "the part that judges is validation or test")
    crops = recipe is not None and recipe.crops
    crop = CENTRAL if crops else crop
    division = divide(data, split)
    if evaluate == "validation":
        images, labels = data.images[division.validation], data.labels[division.validation]
    elif data.test_images is not None and data.test_labels is not None:
        images, labels = data.test_images, data.test_labels
    else:
        images, labels = data.images[division.test], data.labels[division.test]
    train, held = hold_out(division.train, data.labels, recipe, split.seed)
    chosen = data.images[train]
    if recipe is not None and recipe.policy != "none" and getattr(chosen, "dtype", np.uint8) != np.uint8:
        raise UserError(
            f"{recipe.policy} asked for with images of {chosen.dtype}",  # type: ignore[union-attr]
            "it changes 8-bit images",
            "try --recipe.policy none, or give images as uint8",
        )
    squares = None if crops else _squares(chosen, side, crop)
    mean, std = _moments(_squares(chosen[:: -(-len(chosen) // MEASURED)], side, crop) if squares is None else squares)
    return Prepared(
        train_images=Views(chosen, side) if squares is None else _three_channels(squares),
        train_labels=data.labels[train],
        eval_images=_three_channels(_squares(images, side, crop)),
        eval_labels=labels,
        mean=mean,
        std=std,
        held_images=_three_channels(_squares(data.images[held], side, crop)) if len(held) else None,
        held_labels=data.labels[held] if len(held) else None,
    )


def _squares(images: np.ndarray | EncodedImages, side: int, crop: float) -> np.ndarray | Squares:
    """In memory where they fit."""
    if isinstance(images, EncodedImages) and not images.fits(side):
        return Squares(images, side, crop)
    return resize(images, side, crop)


def _three_channels(images: np.ndarray | Squares) -> np.ndarray | Squares:
    return images if isinstance(images, Squares) else np.broadcast_to(images, (*images.shape[:3], 3))


def _moments(images: np.ndarray | Squares) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation by channel, (3,) float32; in two passes, by chunks, as float64 takes room."""
    if isinstance(images, Squares):
        return _moments_of_bytes(images)
    pixels = images[..., 0].size
    chunk = max(1, _CHUNK // images[0].size)
    chunks = [images[start : start + chunk] for start in range(0, len(images), chunk)]
    mean = sum(part.sum(axis=(0, 1, 2), dtype=np.float64) for part in chunks) / pixels
    std = np.sqrt(sum(((part - mean) ** 2).sum(axis=(0, 1, 2)) for part in chunks) / pixels)
    # A constant channel's deviation is rounding noise, by which dividing would make noise of it.
    std = np.where(std > np.finfo(np.float32).eps * np.abs(mean), std, 1.0)
    return np.broadcast_to(mean, 3).astype(np.float32), np.broadcast_to(std, 3).astype(np.float32)


def _moments_of_bytes(images: Squares) -> tuple[np.ndarray, np.ndarray]:
    """The same of images that are decoded once for it, by all cores: sums of bytes and of their squares are exact."""

    def sums(start: int) -> np.ndarray:
        part = images[start : start + _AT_ONCE].astype(np.int64)
        return np.stack([part.sum(axis=(0, 1, 2)), (part * part).sum(axis=(0, 1, 2))])

    with ThreadPoolExecutor(cores()) as pool:
        added = np.sum(list(pool.map(sums, range(0, len(images), _AT_ONCE))), axis=0)
    total, of_squares = added / (len(images) * images.side**2)
    std = np.sqrt(np.maximum(of_squares - total**2, 0))
    return total.astype(np.float32), np.where(std > 0, std, 1.0).astype(np.float32)
