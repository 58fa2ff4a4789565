"""Single pictures, read and normalised as published weights want them."""

from pathlib import Path
from typing import Literal

import numpy as np

from scaling_search.errors import UserError

Pixels = Literal["imagenet", "half", "lite"]
"""What published weights were trained on: ImageNet's mean and standard deviation by channel, (x - 0.5) / 0.5, or
EfficientNet-Lite's (x - 127) / 128 of bytes."""

_NORMALISATION: dict[Pixels, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5,) * 3, (0.5,) * 3),
    "lite": ((127 / 255,) * 3, (128 / 255,) * 3),
}
MARGIN = 32
"""Pixels that evaluation cuts off between both sides of a picture of the network's size and this more, as the
EfficientNet authors' code does."""


def read_picture(file: str | Path, side: int) -> np.ndarray:
    """The middle of a picture as (side, side, 3) uint8: of the shorter side, side / (side + 32), resized bicubically.

    Raises UserError where the file is no picture.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(Path(file).expanduser()) as opened:
            picture = opened.convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise UserError(f"picture {str(file)!r} cannot be read: {reason}") from None
    kept = min(picture.size) * side / (side + MARGIN)
    left, top = ((length - kept) / 2 for length in picture.size)
    box = (left, top, left + kept, top + kept)
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC, box=box))


def normalised(pictures: np.ndarray, pixels: Pixels) -> np.ndarray:
    """Pictures (..., 3) uint8 as float32, by what the weights were trained on."""
    mean, std = (np.asarray(values, np.float32) for values in _NORMALISATION[pixels])
    return (pictures.astype(np.float32) / 255 - mean) / std
