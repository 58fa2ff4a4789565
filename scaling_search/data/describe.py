"""What data hold, in rows, and what a network sees of them, as a picture."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling_search.config import Split
from scaling_search.data.batches import training_batches
from scaling_search.data.encoded import EncodedImages
from scaling_search.data.images import ImageData
from scaling_search.data.mix import Mixed
from scaling_search.data.prepare import prepare
from scaling_search.data.split import divide, in_words
from scaling_search.errors import UserError
from scaling_search.recipe import Recipe

if TYPE_CHECKING:
    from PIL import Image

PLAIN = Recipe(augment="none")
"""Shows images as they are."""
_GAP = 2
_WHITE = 255


def describe(data: ImageData, split: Split) -> dict[str, Any]:
    """What data hold: their identity, size, bytes and split, and the images of each class and part.

    `size` is that of every image in pixels, or the sizes of the two with the shortest and the longest shorter side;
    `bytes` are what they take as they are kept, encoded or not; `modes` are Pillow's, of encoded images; `classes` are
    rows of `class`, `train`, `validation` and `test`. Raises UserError where they cannot be divided.
    """
    division = divide(data, split)
    held = {
        "train": data.labels[division.train],
        "validation": data.labels[division.validation],
        "test": data.test_labels if division.test is None else data.labels[division.test],
    }
    counts = {
        part: np.bincount(labels, minlength=data.num_classes) for part, labels in held.items() if labels is not None
    }
    return {
        "identity": data.identity,
        "images": len(data.images) + (0 if data.test_images is None else len(data.test_images)),
        **_as_kept(data),
        **({"modes": ", ".join(f"{mode} {count}" for mode, count in data.modes.items())} if data.modes else {}),
        "skipped": data.skipped,
        "split": in_words(split, data),
        "classes": [
            {"class": name, **{part: int(of_class[label]) for part, of_class in counts.items()}}
            for label, name in enumerate(data.classes)
        ],
    }


def _as_kept(data: ImageData) -> dict[str, Any]:
    parts = [part for part in (data.images, data.test_images) if part is not None]
    if isinstance(data.images, EncodedImages):
        sizes = np.concatenate([part.sizes for part in parts if isinstance(part, EncodedImages)])
        low, high = sizes[sizes.min(axis=1).argmin()], sizes[sizes.min(axis=1).argmax()]
        size = "x".join(map(str, low)) if (low == high).all() else f"{low[0]}x{low[1]} to {high[0]}x{high[1]}"
        return {"size": size, "channels": data.images.channels, "bytes": data.images.contents.total_bytes()}
    height, width, channels = data.images.shape[1:]
    held = sum(part.nbytes for part in parts if isinstance(part, np.ndarray))
    return {"size": f"{width}x{height}", "channels": channels, "bytes": held}


def contact_sheet(
    data: ImageData, split: Split, side: int, *, count: int = 64, recipe: Recipe = PLAIN, seed: int = 0
) -> "Image.Image":
    """Training images as a network of that input side sees them by a recipe, class by class as far as `count` goes.

    Raises UserError where the data cannot be divided or `count` is not positive.
    """
    if count < 1:
        raise UserError(f"{count} images asked for", "it must be at least 1")
    prepared = prepare(data, split, side, "validation", recipe)
    chosen = _one_of_each_in_turn(prepared.train_labels, count, np.random.default_rng(seed))
    shown = replace(prepared, train_images=prepared.train_images[chosen], train_labels=np.arange(len(chosen)))
    images, order = next(training_batches(shown, replace(recipe, batch_size=len(chosen)), seed=seed, epoch=1))
    seen = images[np.argsort(order.labels if isinstance(order, Mixed) else order)]
    return tiled(seen if seen.dtype == np.uint8 else _stretched(seen))


def tiled(images: Sequence[np.ndarray] | np.ndarray) -> "Image.Image":
    """(N, side, side, 3) uint8 as one picture of about as many rows as columns."""
    from PIL import Image

    side = images[0].shape[0]
    columns = int(np.ceil(np.sqrt(len(images) * 1.5)))
    rows = -(-len(images) // columns)
    sheet = np.full((rows * (side + _GAP) + _GAP, columns * (side + _GAP) + _GAP, 3), _WHITE, np.uint8)
    for number, image in enumerate(images):
        top, left = (_GAP + step * (side + _GAP) for step in divmod(number, columns))
        sheet[top : top + side, left : left + side] = image
    return Image.fromarray(sheet)


def _one_of_each_in_turn(labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    shuffled = rng.permutation(len(labels))
    of_label = labels[shuffled]
    # How many images of its class come before each.
    turn = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        where = np.flatnonzero(of_label == label)
        turn[where] = np.arange(len(where))
    first = shuffled[np.lexsort((of_label, turn))][:count]
    return first[np.argsort(labels[first], kind="stable")]


def _stretched(images: np.ndarray) -> np.ndarray:
    low, high = float(images.min()), float(images.max())
    return np.round((images - low) / ((high - low) or 1.0) * 255).astype(np.uint8)
