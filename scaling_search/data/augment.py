"""What happens to training images that lie in memory at the network's size: random shifts and mirror images."""

import math
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from scaling_search.recipe import Recipe


class Moves(NamedTuple):
    """What is done to each image of a batch. Drawn here and carried out wherever the images are."""

    rows: np.ndarray
    """(B,) int32: the first row that is kept of an image whose borders are repeated by `reach` each way."""
    columns: np.ndarray
    """(B,) int32, likewise."""
    mirrored: np.ndarray
    """(B,) bool: whether it is mirrored left to right."""


def reach(side: int, shift: float | None) -> int:
    """How many pixels an image is shifted at most: by `shift` of the side, or None for an eighth, rounded down."""
    return side // 8 if shift is None else math.ceil(shift * side)


def draw_moves(count: int, height: int, width: int, recipe: Recipe, rng: np.random.Generator) -> Moves:
    """What a recipe does to `count` images; see `augment`."""
    down, across = (reach(side, recipe.shift) for side in (height, width))
    rows, columns = np.full(count, down, np.int32), np.full(count, across, np.int32)
    mirrored = np.zeros(count, bool)
    if recipe.shifts:
        rows, columns = (_first(count, side, recipe.shift, rng) for side in (height, width))
    if recipe.augment == "shift_flip":
        mirrored = rng.random(count) < 0.5
    return Moves(rows, columns, mirrored)


def _first(count: int, side: int, shift: float | None, rng: np.random.Generator) -> np.ndarray:
    furthest = reach(side, shift)
    exact = furthest if shift is None else shift * side
    if exact == furthest:
        return rng.integers(0, 2 * furthest, size=count, endpoint=True).astype(np.int32)
    # A share that is no whole number of pixels reaches the next one less often, so that nothing jumps with the side.
    return (furthest + np.rint(rng.uniform(-exact - 0.5, exact + 0.5, count))).astype(np.int32)


def augment(images: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    """(N, H, W, C) -> the same shape and type, each image changed on its own.

    - "shift": moved by whole pixels, up to `recipe.shift` of the side each way, an eighth being the usual 4 of 32
      (He et al., 2016, 4.2).
    - "shift_flip": shifted, and mirrored left to right with probability 1/2.
    - Others are left as they are: crops are taken of larger images, by `views`.
    """
    count, height, width, _ = images.shape
    return move(images, draw_moves(count, height, width, recipe, rng), recipe)


def move(images: np.ndarray, moves: Moves, recipe: Recipe) -> np.ndarray:
    """Images (N, H, W, C) after their moves, drawn for the same recipe."""
    if not recipe.shifts:
        return images
    height, width = images.shape[1:3]
    changed = _shift(images, moves, reach(height, recipe.shift), reach(width, recipe.shift))
    changed[moves.mirrored] = mirrored(changed[moves.mirrored])
    return changed


def mirrored(images: np.ndarray) -> np.ndarray:
    """(..., W, C), left to right. Channel by channel, which is several times as fast as turning pixels of bytes."""
    turned = np.empty_like(images)
    for channel in range(images.shape[-1]):
        turned[..., channel] = images[..., ::-1, channel]
    return turned


def _shift(images: np.ndarray, moves: Moves, down: int, across: int) -> np.ndarray:
    count, height, width, channels = images.shape
    # The border is repeated, rather than filled with a constant: whether the background is black as the digits' or
    # white as a product photo's, and whatever the unit, the filling is of the image's own colour.
    padded = np.pad(images, ((0, 0), (down, down), (across, across), (0, 0)), mode="edge")
    # A row with its channels is taken as one line, so that a window is copied in long runs.
    lines = padded.reshape(count, height + 2 * down, -1)
    windows = sliding_window_view(lines, (height, width * channels), axis=(1, 2))[:, :, ::channels]
    shifted: np.ndarray = windows[np.arange(count), moves.rows, moves.columns].reshape(images.shape)
    return shifted
