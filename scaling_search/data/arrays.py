"""Arrays handed over in Python, checked, as labelled images."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from scaling_search.data.images import ImageData
from scaling_search.errors import UserError


def from_arrays(
    images: Any,
    labels: Any,
    *,
    name: str = "arrays",
    classes: Sequence[str] | None = None,
    test: tuple[Any, Any] | None = None,
    validation: tuple[Any, Any] | None = None,
) -> ImageData:
    """Arrays as labelled images; what has the right type already is not copied, so leave it as it is from here on.

    `images` is (N, H, W) or (N, H, W, C) with C 1 or 3, of uint8, or of floats, which are kept as float32 in
    whatever unit they have. `labels` is (N,) or (N, 1), whole numbers 0..K-1, none of them without images.
    `classes` names them; their numbers do by default. `test` is a pair (images, labels) to judge the winner on, and
    `validation` one to judge all others on; each is taken from the images where it is not given.

    Raises UserError where any of this does not hold.
    """
    pixels = _checked_images(images, f"{name}: images")
    numbers = _checked_labels(labels, len(pixels), f"{name}: labels")
    present = np.unique(numbers)
    if len(present) < 2:
        raise UserError(f"{name}: every image has label {present[0]}", "there must be at least two classes")
    names = _checked_classes(classes, int(present[-1]), name)
    if len(present) < (len(names) if names else present[-1] + 1):
        raise UserError(
            f"{name}: no image has label {np.setdiff1d(np.arange(len(present) + 1), present)[0]}",
            "labels count from 0 without gaps, and every class has images",
            "number them anew by labels = np.unique(labels, return_inverse=True)[1]",
        )
    names = names or tuple(str(number) for number in present)
    own_validation = None
    if validation is not None:
        more, more_numbers = _part(validation, "validation", name, pixels, names)
        own_validation = np.arange(len(pixels), len(pixels) + len(more))
        pixels, numbers = np.concatenate([pixels, more]), np.concatenate([numbers, more_numbers])
    test_pixels, test_numbers = (None, None) if test is None else _part(test, "test", name, pixels, names)
    return ImageData(name, pixels, numbers, names, test_pixels, test_numbers, own_validation)


def _part(
    given: tuple[Any, Any], part: str, name: str, like: np.ndarray, names: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    pixels = _checked_images(given[0], f"{name}: {part} images")
    numbers = _checked_labels(given[1], len(pixels), f"{name}: {part} labels")
    if pixels.shape[1:] != like.shape[1:] or pixels.dtype != like.dtype:
        raise UserError(
            f"{name}: {part} images are {_describe(pixels)} each, the others {_describe(like)}",
            "both must have one size, number of channels and type",
        )
    if numbers.max() >= len(names):
        raise UserError(f"{name}: a {part} image has label {numbers.max()}", _label_range(len(names)))
    return pixels, numbers


def _checked_images(images: Any, what: str) -> np.ndarray:
    array = _as_array(images, what, "(N, H, W) or (N, H, W, C)")
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or array.shape[-1] not in (1, 3):
        channels_first = array.ndim == 4 and array.shape[1] in (1, 3)
        raise UserError(
            f"{what} have the shape {array.shape}",
            "it must be (N, H, W) or (N, H, W, C) with C 1 (grey) or 3 (RGB)",
            "put the channels last by np.moveaxis(images, 1, -1)" if channels_first else "",
        )
    if array.size == 0:
        raise UserError(f"{what} are empty: their shape is {array.shape}", "at least one image of one pixel is needed")
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        raise UserError(
            f"{what} are of type {array.dtype}",
            "pixels are uint8 (0..255) or floats",
            "convert them by images.astype(np.uint8) where they lie in 0..255, else by images.astype(np.float32)",
        )
    # What is too large for float32 becomes infinite, and is reported below.
    with np.errstate(over="ignore"):
        array = array.astype(np.float32, copy=False)
    if not np.isfinite(array).all():
        worst = np.flatnonzero(~np.isfinite(array).all(axis=(1, 2, 3)))[0]
        raise UserError(f"{what} are not all finite: number {worst} holds NaN, infinity or more than float32 can")
    return array


def _checked_labels(labels: Any, count: int, what: str) -> np.ndarray:
    array = _as_array(labels, what, "(N,)")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise UserError(
            f"{what} have the shape {array.shape}",
            "it must be (N,): one whole number an image",
            "turn one-hot labels into numbers by labels.argmax(axis=1)" if array.ndim == 2 else "",
        )
    if len(array) != count:
        raise UserError(f"{what} are {len(array)}, but there are {count} images", "each image needs one label")
    if array.dtype.kind not in "iub":
        whole = array.dtype.kind == "f" and np.array_equal(array, np.floor(array))
        raise UserError(
            f"{what} are of type {array.dtype}, such as {array[0]!s}",
            "labels are whole numbers 0..K-1",
            "convert them by labels.astype(int)"
            if whole
            else "number them by classes, labels = np.unique(labels, return_inverse=True), and pass both",
        )
    if array.min() < 0:
        raise UserError(f"{what} go down to {array.min()}", "labels are whole numbers 0..K-1")
    if array.max() > np.iinfo(np.int32).max:
        raise UserError(f"{what} go up to {array.max()}", "labels are whole numbers 0..K-1")
    return array.astype(np.int32, copy=False)


def _checked_classes(classes: Sequence[str] | None, largest: int, name: str) -> tuple[str, ...] | None:
    if classes is None:
        return None
    names = tuple(str(label) for label in classes)
    if isinstance(classes, str) or len(set(names)) < len(names):
        raise UserError(f"{name}: classes {classes!r} given", "classes are names that differ, one for each label")
    if largest >= len(names):
        raise UserError(f"{name}: an image has label {largest}", _label_range(len(names)), "name every class")
    return names


def _as_array(values: Any, what: str, shape: str) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError:
        raise UserError(f"{what} are no array: their parts differ in shape", f"they must form one of {shape}") from None


def _describe(images: np.ndarray) -> str:
    return f"{' x '.join(str(length) for length in images.shape[1:])} {images.dtype}"


def _label_range(count: int) -> str:
    return f"with {count} classes labels are 0..{count - 1}"
