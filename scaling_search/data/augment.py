"""What happens to training images, a batch at a time: random shifts and mirror images."""

from typing import NamedTuple, get_args

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from scaling_search.errors import UserError
from scaling_search.recipe import Augmentation


class Moves(NamedTuple):
    """What is done to each image of a batch. Drawn here and carried out wherever the images are."""

    rows: np.ndarray
    """(B,) int32: the first row that is kept of an image whose borders are repeated an eighth of the side each way."""
    columns: np.ndarray
    """(B,) int32, likewise."""
    mirrored: np.ndarray
    """(B,) bool: whether it is mirrored left to right."""


def reach(side: int) -> int:
    """How many pixels an image is shifted at most: an eighth of the side, the usual 4 of 32 (He et al., 2016, 4.2)."""
    return side // 8


def draw_moves(count: int, height: int, width: int, kind: Augmentation, rng: np.random.Generator) -> Moves:
    """What `kind` does to `count` images; see `augment`."""
    if kind not in get_args(Augmentation):
        raise UserError(f"augmentation {kind!r} given", f"it is one of {', '.join(get_args(Augmentation))}")
    down, across = reach(height), reach(width)
    rows, columns = np.full(count, down, np.int32), np.full(count, across, np.int32)
    mirrored = np.zeros(count, bool)
    if kind != "none":
        rows = rng.integers(0, 2 * down, size=count, endpoint=True).astype(np.int32)
        columns = rng.integers(0, 2 * across, size=count, endpoint=True).astype(np.int32)
    if kind == "shift_flip":
        mirrored = rng.random(count) < 0.5
    return Moves(rows, columns, mirrored)


def augment(images: np.ndarray, kind: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """(N, H, W, C) -> the same shape and type, each image changed on its own.

    - "none": as they are.
    - "shift": moved by up to an eighth of the side each way.
    - "shift_flip": shifted, and mirrored left to right with probability 1/2.
    """
    count, height, width, _ = images.shape
    moves = draw_moves(count, height, width, kind, rng)
    if kind == "none":
        return images
    changed = _shift(images, moves)
    changed[moves.mirrored] = changed[moves.mirrored, :, ::-1]
    return changed


def _shift(images: np.ndarray, moves: Moves) -> np.ndarray:
    count, height, width, channels = images.shape
    down, across = reach(height), reach(width)
    # The border is repeated, rather than filled with a constant: whether the background is black as the digits' or
    # white as a product photo's, and whatever the unit, the filling is of the image's own colour.
    padded = np.pad(images, ((0, 0), (down, down), (across, across), (0, 0)), mode="edge")
    # A row with its channels is taken as one line, so that a window is copied in long runs.
    lines = padded.reshape(count, height + 2 * down, -1)
    windows = sliding_window_view(lines, (height, width * channels), axis=(1, 2))[:, :, ::channels]
    shifted: np.ndarray = windows[np.arange(count), moves.rows, moves.columns].reshape(images.shape)
    return shifted
