"""Images that stay encoded until the side is known at which a network takes them."""

import errno
import math
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from scaling_search.data.pictures import DETAIL, BadPictureError, Picture, decode, seen
from scaling_search.errors import UserError

IN_MEMORY = 0.25
"""Share of the machine's memory that images may take at a network's size; more are decoded each time they are used."""


MOST_BYTES = 2**31
"""What a file may hold that is read as an image: more than any that is not refused by its number of pixels."""


class Contents(Protocol):
    """Encoded images by their number."""

    def __len__(self) -> int: ...

    def read(self, number: int) -> bytes:
        """The bytes of one. Raises OSError where they cannot be read."""
        ...

    def name(self, number: int) -> str:
        """What one is called in a message."""
        ...

    def total_bytes(self) -> int:
        """What all of them take."""
        ...


@dataclass(frozen=True, eq=False)
class Files:
    """Images in files, read when they are needed, by every process from the same place."""

    root: str
    paths: Sequence[str]
    """Below `root`; those that begin with / are what they are."""

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, number: int) -> bytes:
        """The content of a file. Raises OSError where it is none, as a pipe or a device, or larger than MOST_BYTES."""
        path = Path(self.name(number))
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "it is not a file", str(path))
        if about.st_size > MOST_BYTES:
            raise OSError(errno.EFBIG, f"it is larger than {MOST_BYTES / 2**30:.0f} GiB", str(path))
        return path.read_bytes()

    def name(self, number: int) -> str:
        """The path of a file."""
        path = self.paths[number]
        return path if path.startswith("/") else f"{self.root}/{path}"

    def total_bytes(self) -> int:
        """The sizes of the files that are there."""
        total = 0
        for number in range(len(self)):
            with suppress(OSError):
                total += Path(self.name(number)).stat().st_size
        return total


@dataclass(frozen=True, eq=False)
class Packed:
    """Images in memory, as the rows of a table hold them."""

    source: str
    content: np.ndarray
    """(B,) uint8: all of them, one after the other."""
    ends: np.ndarray
    """(N,) int64: where each ends."""

    def __len__(self) -> int:
        return len(self.ends)

    def read(self, number: int) -> bytes:
        """The bytes of a row."""
        return self.content[self.ends[number - 1] if number else 0 : self.ends[number]].tobytes()

    def name(self, number: int) -> str:
        """The source and the number of a row."""
        return f"{self.source}, row {number}"

    def total_bytes(self) -> int:
        """The size in memory."""
        return self.content.nbytes


class _Decoded:
    """The squares that were asked for last, so that networks of one resolution decode each image once."""

    def __init__(self) -> None:
        self.seen = (0, 0.0)
        self.squares = np.empty(0)
        self.there = np.empty(0, bool)

    def __reduce__(self) -> tuple[Any, ...]:
        # A process that is sent the images decodes what it needs itself.
        return _Decoded, ()


@dataclass(frozen=True, eq=False)
class EncodedImages:
    """Encoded images of any size, of which `at` gives squares. Indexing by an array chooses some of them."""

    contents: Contents
    channels: int
    """What they are decoded to: 1 (grey) or 3 (RGB)."""
    digests: np.ndarray
    """(N, 32) uint8: SHA-256 of the bytes of each."""
    sizes: np.ndarray
    """(N, 2) int32: the upright width and height of each, in pixels."""
    numbers: np.ndarray
    """(N,) which of `contents` they are."""
    decoded: _Decoded = field(default_factory=_Decoded, repr=False)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, indices: Any) -> "EncodedImages":
        return EncodedImages(
            self.contents,
            self.channels,
            self.digests[indices],
            self.sizes[indices],
            self.numbers[indices],
            decoded=self.decoded,
        )

    def at(self, side: int, crop: float = 1.0) -> np.ndarray:
        """(N, side, side, C) uint8: the central square of each, as much of it as `pictures.seen` says.

        JPEGs are decoded at a reduced size where that suffices. Raises UserError where an image can no longer be
        read, or memory does not hold them.
        """
        kept = self.decoded
        if kept.seen != (side, crop):
            shape = (len(self.contents), side, side, self.channels)
            check_memory(shape[0] * side * side * self.channels, self.contents.name(0))
            kept.seen, kept.squares, kept.there = (side, crop), np.empty(shape, np.uint8), np.zeros(shape[0], bool)
        for row in np.flatnonzero(~kept.there[self.numbers]):
            number = self.numbers[row]
            kept.squares[number] = self.square(int(row), side, crop)
            kept.there[number] = True
        squares: np.ndarray = kept.squares[self.numbers]
        return squares

    def fits(self, side: int) -> bool:
        """Whether memory holds the squares of all images, and leaves room for trainings beside each other."""
        return len(self.contents) * side * side * self.channels <= IN_MEMORY * _memory()

    def square(self, row: int, side: int, crop: float = 1.0) -> np.ndarray:
        """(side, side, C) uint8: what `at` gives of image number `row`."""
        share = seen(crop, side, int(self.sizes[row].min()))
        return self._decode(int(self.numbers[row]), DETAIL * round(side / share)).square(side, kept=share)

    def crop(self, row: int, box: tuple[float, float, float, float], side: int) -> np.ndarray:
        """(side, side, C) uint8: what lies in a box of left, top, right and bottom in the upright image number `row`.

        JPEGs are decoded at a reduced size where that leaves the box `side` pixels. Raises UserError where the image
        can no longer be read.
        """
        shorter = min(box[2] - box[0], box[3] - box[1])
        least = math.ceil(side * int(self.sizes[row].min()) / shorter)
        return self._decode(int(self.numbers[row]), least).crop(box, side)

    def whole(self, height: int, width: int) -> np.ndarray:
        """(N, height, width, C) uint8: images that all have that size, as they are."""
        images = np.empty((len(self), height, width, self.channels), np.uint8)
        for row, number in enumerate(self.numbers):
            images[row] = np.asarray(self._decode(int(number)).image).reshape(height, width, -1)
        return images

    def _decode(self, number: int, least: int | None = None) -> Picture:
        try:
            return decode(self.contents.read(number), least=least)
        except (OSError, BadPictureError) as error:
            reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
            raise UserError(
                f"{self.contents.name(number)} can no longer be read ({reason})", hint="put it back as it was"
            ) from None


def check_memory(needed: int, what: str) -> None:
    """Raises UserError where `needed` bytes for the images of `what` are more than this machine has."""
    memory = _memory()
    if needed > memory:
        raise UserError(
            f"the images of {what} take {needed / 2**30:.1f} GiB",
            f"this machine has {memory / 2**30:.1f} GiB of memory",
            "make them smaller first, or take fewer of them",
        )


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
