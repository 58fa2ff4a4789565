"""What happens to training images, a batch at a time: random shifts and mirror images."""

from typing import get_args

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from scaling_search.config import Augmentation
from scaling_search.errors import UserError


def augment(images: np.ndarray, kind: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """(N, H, W, C) -> the same shape and type, each image changed on its own.

    - "none": as they are.
    - "shift": moved by up to an eighth of the side each way, which is the usual 4 pixels of 32 (He et al., 2016,
      section 4.2).
    - "shift_flip": shifted, and mirrored left to right with probability 1/2.
    """
    if kind not in get_args(Augmentation):
        raise UserError(f"augmentation {kind!r} given", f"it is one of {', '.join(get_args(Augmentation))}")
    if kind == "none":
        return images
    changed = _shift(images, rng)
    if kind == "shift_flip":
        mirrored = rng.random(len(changed)) < 0.5
        changed[mirrored] = changed[mirrored, :, ::-1]
    return changed


def _shift(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    count, height, width, channels = images.shape
    down, across = height // 8, width // 8
    # The border is repeated, rather than filled with a constant: whether the background is black as the digits' or
    # white as a product photo's, and whatever the unit, the filling is of the image's own colour.
    padded = np.pad(images, ((0, 0), (down, down), (across, across), (0, 0)), mode="edge")
    # A row with its channels is taken as one line, so that a window is copied in long runs.
    lines = padded.reshape(count, height + 2 * down, -1)
    windows = sliding_window_view(lines, (height, width * channels), axis=(1, 2))[:, :, ::channels]
    rows = rng.integers(0, 2 * down, size=count, endpoint=True)
    columns = rng.integers(0, 2 * across, size=count, endpoint=True)
    shifted: np.ndarray = windows[np.arange(count), rows, columns].reshape(images.shape)
    return shifted
