"""Images to the input resolution of a network."""

import numpy as np

from scaling_search.data.encoded import EncodedImages
from scaling_search.errors import UserError


def resize(images: np.ndarray | EncodedImages, side: int) -> np.ndarray:
    """(N, H, W, C) -> (N, side, side, C), uint8 or float32 as it came; the same array where it fits already.

    Bicubic, as EfficientNet's authors do it, and antialiased when it shrinks, by Pillow. The aspect is kept: the
    shorter side becomes `side`, and of the longer one the middle is taken. Bicubic overshoots a little at edges:
    uint8 is clipped to 0..255, floats may leave their range. Encoded images are decoded.
    """
    from PIL import Image

    if side < 1:
        raise UserError(f"side {side} given", "images have at least 1 pixel a side")
    if isinstance(images, EncodedImages):
        return images.at(side)
    count, height, width, channels = images.shape
    if height == width == side:
        return images
    edge = min(height, width)
    left, top = (width - edge) / 2, (height - edge) / 2
    box = (left, top, left + edge, top + edge)

    def resized(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC, box=box))

    result = np.empty((count, side, side, channels), images.dtype)
    # Pillow knows RGB of bytes, and one channel of bytes or floats.
    if images.dtype == np.uint8 and channels == 3:
        for index in range(count):
            result[index] = resized(images[index])
        return result
    for index in range(count):
        for channel in range(channels):
            result[index, ..., channel] = resized(images[index, ..., channel])
    return result
