"""Labelled images: what every source gives, and every training takes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from scaling_search.config import Split
from scaling_search.data.encoded import EncodedImages

DEFAULT_SPLIT = Split(validation=0.1, test=0.1)
"""What data are divided by that have no parts of their own."""


@dataclass(frozen=True, eq=False)
class ImageData:
    """Labelled images, as `load` and `from_arrays` make them. Its arrays are never written to."""

    name: str
    images: np.ndarray | EncodedImages
    """(N, H, W, C), uint8 or float32, C 1 (grey) or 3 (RGB), of one size; or encoded images of any size."""
    labels: np.ndarray
    """(N,) int32, each an index into `classes`."""
    classes: tuple[str, ...]
    test_images: np.ndarray | EncodedImages | None = None
    """The test part that the data comes with, of the same kind as `images`; None where it has none."""
    test_labels: np.ndarray | None = None
    validation: np.ndarray | None = None
    """(M,) indices into `images` of the validation part that the data comes with; None where it has none."""
    default_split: Split = DEFAULT_SPLIT
    """The shares of the parts it does not come with, where none are asked for."""
    skipped: int = 0
    """How many files were left out because they could not be read."""
    modes: Mapping[str, int] = field(default_factory=dict)
    """How many of the images were encoded with each of Pillow's modes; empty where they were not encoded."""

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.classes)

    @cached_property
    def identity(self) -> str:
        """NAME:DIGEST, which names these images in every store; the digest covers images, labels, classes and parts."""
        digest = hashlib.sha256(json.dumps(self.classes).encode())
        for array in (self.images, self.labels, self.test_images, self.test_labels, self.validation):
            if isinstance(array, EncodedImages):
                digest.update(array.digests.tobytes())
            elif array is not None:
                digest.update(f"{array.dtype.name}{array.shape}".encode())
                # Those that are not square were once squeezed rather than cropped, and trained to other numbers.
                digest.update(b"cropped" if array.ndim == 4 and array.shape[1] != array.shape[2] else b"")
                digest.update(np.ascontiguousarray(array).data)
        return f"{self.name}:{digest.hexdigest()[:12]}"
