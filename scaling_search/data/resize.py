"""Images to the input resolution of a network."""

from typing import TYPE_CHECKING

import numpy as np

from scaling_search.data.encoded import EncodedImages
from scaling_search.data.pictures import seen
from scaling_search.errors import UserError

if TYPE_CHECKING:
    from PIL import Image


def resize(images: np.ndarray | EncodedImages, side: int, kept: float = 1.0) -> np.ndarray:
    """(N, H, W, C) -> (N, side, side, C), uint8 or float32 as it came; the same array where it fits already.

    Bicubic, as EfficientNet's authors do it, and antialiased when it shrinks, by Pillow. The aspect is kept: it is the
    central square, whose side is as much of the shorter one as `pictures.seen` says. Bicubic overshoots a little at
    edges: uint8 is clipped to 0..255, floats may leave their range. Encoded images are decoded.
    """
    from PIL import Image

    if side < 1:
        raise UserError(f"side {side} given", "images have at least 1 pixel a side")
    if isinstance(images, EncodedImages):
        return images.at(side, kept)
    count, height, width, channels = images.shape
    if height == width == side:
        return images
    edge = min(height, width) * seen(kept, side, min(height, width))
    left, top = (width - edge) / 2, (height - edge) / 2
    box = (left, top, left + edge, top + edge)
    result = np.empty((count, side, side, channels), images.dtype)
    for index in range(count):
        result[index] = resized(images[index], side, box, Image.Resampling.BICUBIC)
    return result


def resized(
    pixels: np.ndarray, side: int, box: tuple[float, float, float, float], by: "Image.Resampling"
) -> np.ndarray:
    """(H, W, C) -> (side, side, C): what lies in a box of left, top, right and bottom."""
    from PIL import Image

    def of(array: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(array).resize((side, side), by, box=box))

    # Pillow knows RGB of bytes, and one channel of bytes or floats.
    if pixels.dtype == np.uint8 and pixels.shape[-1] == 3:
        return of(pixels)
    return np.stack([of(pixels[..., channel]) for channel in range(pixels.shape[-1])], axis=-1)
