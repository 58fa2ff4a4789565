"""Pillow's resizing to squares by the native library: the same to the last bit, several times as fast."""

import ctypes
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling_search import native

if TYPE_CHECKING:
    from PIL import Image


def resize(
    image: "Image.Image", side: int, box: tuple[float, float, float, float], by: "Image.Resampling"
) -> np.ndarray:
    """(side, side, C) uint8: what lies in a box of left, top, right and bottom of an image of mode L or RGB.

    Resized bilinearly or bicubically, by Pillow itself where the library cannot: where it is not in use, the image
    takes more than one block of Pillow's memory (16 MiB), or Pillow, before 11.2, does not say where its pixels lie.
    Nor is it used for images much taller than wide, whose columns come first in Pillow 13 and rows in earlier ones.
    """
    channels = len(image.getbands())
    rows_first = image.height - side <= max(0, 2 * (image.width - side))
    if rows_first and (native_resize := _library()) is not None and (picture := _exported(image)) is not None:
        _check(box, image)
        squared = np.empty((side, side, channels), np.uint8)
        native_resize(
            _address(picture, b"arrow_array"),
            *image.size,
            channels,
            (ctypes.c_float * 4)(*box),
            by == by.BICUBIC,
            side,
            squared.ctypes.data,
        )
        return squared
    return np.asarray(image.resize((side, side), by, box=box)).reshape(side, side, channels)


@cache
def _library() -> Callable[..., None] | None:
    library = native.library()
    if library is None or not hasattr(library, "scaling_search_resize"):
        return None
    call = library.scaling_search_resize
    number, pointer = ctypes.c_int64, ctypes.c_void_p
    call.argtypes, call.restype = [pointer, number, number, number, pointer, number, number, pointer], None
    return call  # type: ignore[no-any-return]


def _exported(image: "Image.Image") -> Any:
    """The image as Arrow takes it, without a copy, in a capsule that owns it; None where Pillow cannot."""
    from PIL import _imaging

    try:
        # Rows that are aligned do not follow each other.
        return None if _imaging.get_alignment() > 1 else image.__arrow_c_array__()[1]
    except (AttributeError, ValueError):
        return None


def _check(box: tuple[float, float, float, float], image: "Image.Image") -> None:
    """Raises ValueError as Pillow does."""
    left, top, right, bottom = box
    if not (0 <= left < right <= image.width and 0 <= top < bottom <= image.height):
        raise ValueError(f"box {box} is not in an image of {image.width} x {image.height} pixels")


_address: Any = ctypes.pythonapi.PyCapsule_GetPointer
_address.argtypes, _address.restype = [ctypes.py_object, ctypes.c_char_p], ctypes.c_void_p
