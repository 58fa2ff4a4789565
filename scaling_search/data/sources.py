"""Labelled images and where they come from: scikit-learn's digits, IDX files, folders, or arrays."""

import difflib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from scaling_search.data import folder, idx
from scaling_search.errors import UserError

ALLOWED = "images come from digits, idx:DIR (IDX files as Fashion-MNIST's) or folder:DIR (one folder of images a class)"


@dataclass(frozen=True, eq=False)
class ImageData:
    """Labelled images of one size, as `load` and `from_arrays` make them. Its arrays are never written to."""

    name: str
    images: np.ndarray
    """(N, H, W, C), uint8 or float32, C 1 (grey) or 3 (RGB)."""
    labels: np.ndarray
    """(N,) int32, each an index into `classes`."""
    classes: tuple[str, ...]
    test_images: np.ndarray | None = None
    """The test split that the data comes with, of the same H, W, C and dtype; None where it has none."""
    test_labels: np.ndarray | None = None

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.classes)

    @cached_property
    def identity(self) -> str:
        """NAME:DIGEST, which names these images in every store; the digest covers all pixels, labels and classes."""
        digest = hashlib.sha256(json.dumps(self.classes).encode())
        for array in (self.images, self.labels, self.test_images, self.test_labels):
            if array is not None:
                digest.update(f"{array.dtype.name}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return f"{self.name}:{digest.hexdigest()[:12]}"


def load(source: str) -> ImageData:
    """The images that `source` names.

    - "digits": scikit-learn's 1797 handwritten digits, grey, 8 x 8 pixels, 10 classes.
    - "idx:DIR": the IDX files of MNIST, Fashion-MNIST and KMNIST (`idx.read`).
    - "folder:DIR": one folder of images a class (`folder.read`).

    The data are named after the folder, not after the way to it, so that they may move. Raises UserError where
    the source is not known or cannot be read.
    """
    kind, colon, place = source.partition(":")
    if source == "digits":
        return _digits()
    if kind not in ("idx", "folder") or not colon:
        raise UserError(f"data {source!r} given", ALLOWED, _closest(source))
    try:
        directory = _directory(source, place)
        name = directory.resolve().name
        if kind == "idx":
            (images, labels), test = idx.read(directory)
            return from_arrays(images, labels, name=name, test=test)
        found = folder.read(directory)
        return from_arrays(found.images, found.labels, name=name, classes=found.classes, test=found.test)
    except OSError as error:
        raise UserError(f"cannot read {error.filename or place}: {error.strerror or error}") from None


def from_arrays(
    images: Any,
    labels: Any,
    *,
    name: str = "arrays",
    classes: Sequence[str] | None = None,
    test: tuple[Any, Any] | None = None,
) -> ImageData:
    """Arrays as labelled images; what has the right type already is not copied, so leave it as it is from here on.

    `images` is (N, H, W) or (N, H, W, C) with C 1 or 3, of uint8, or of floats, which are kept as float32 in
    whatever unit they have. `labels` is (N,) or (N, 1), whole numbers 0..K-1, none of them without images.
    `classes` names them; their numbers do by default. `test` is a pair (images, labels) to judge the winner on.

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
    if test is None:
        return ImageData(name, pixels, numbers, names)

    test_pixels = _checked_images(test[0], f"{name}: test images")
    test_numbers = _checked_labels(test[1], len(test_pixels), f"{name}: test labels")
    if test_pixels.shape[1:] != pixels.shape[1:] or test_pixels.dtype != pixels.dtype:
        raise UserError(
            f"{name}: test images are {_describe(test_pixels)} each, the others {_describe(pixels)}",
            "both must have one size, number of channels and type",
        )
    if test_numbers.max() >= len(names):
        raise UserError(f"{name}: a test image has label {test_numbers.max()}", _label_range(len(names)))
    return ImageData(name, pixels, numbers, names, test_pixels, test_numbers)


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


def _digits() -> ImageData:
    from sklearn.datasets import load_digits

    digits = load_digits()
    # They come as 0..16; uint8 over its whole range lets them be resized and stored as any other grey image.
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    return from_arrays(images, digits.target, name="digits")


def _closest(source: str) -> str:
    if source and Path(source).is_dir():
        return f"try {'idx' if idx.present(Path(source)) else 'folder'}:{source}"
    written = {"digits": "digits", "idx": "idx:DIR", "folder": "folder:DIR"}
    near = difflib.get_close_matches(source.partition(":")[0].lower(), written, n=1)
    return f"did you mean {written[near[0]]}?" if near else ""


def _directory(source: str, place: str) -> Path:
    if not place:
        raise UserError(f"data {source!r} names no folder", ALLOWED)
    try:
        directory = Path(place).expanduser()
    except RuntimeError:
        raise UserError(f"data {source!r}: there is no user {place.split('/')[0]!r}", hint="write ~/...") from None
    if directory.is_dir():
        return directory
    if directory.exists():
        raise UserError(
            f"data {source!r}: {directory} is a file", "it must be a folder", "unpack it if it is an archive"
        )
    raise UserError(f"data {source!r}: there is no folder {directory}", hint=f"it was looked for from {Path.cwd()}")
