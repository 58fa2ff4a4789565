"""Images that are decoded each time they are used: for random crops, or because memory does not hold them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from scaling_search.data.encoded import EncodedImages
from scaling_search.data.resize import resized

_ASPECT = (3 / 4, 4 / 3)
_ATTEMPTS = 10
CENTRAL = 0.875
"""The share of the shorter side that evaluation sees where training saw random crops: 224 of 256 pixels."""


class Box(NamedTuple):
    """A part of an upright image, in pixels of its full size."""

    left: float
    top: float
    right: float
    bottom: float


def draw_box(width: int, height: int, smallest: float, rng: np.random.Generator) -> Box:
    """A random crop: `smallest` to all of the area, sides 3:4 to 4:3 ("Going Deeper with Convolutions", 2015).

    Where ten draws do not fit into the image it is the largest centred part of such sides.
    """
    for _ in range(_ATTEMPTS):
        area = rng.uniform(smallest, 1.0) * width * height
        aspect = math.exp(rng.uniform(*np.log(_ASPECT)))
        across, down = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < across <= width and 0 < down <= height:
            left = int(rng.integers(width - across, endpoint=True))
            top = int(rng.integers(height - down, endpoint=True))
            return Box(left, top, left + across, top + down)
    widest, tallest = min(width, height * _ASPECT[1]), min(height, width / _ASPECT[0])
    return Box((width - widest) / 2, (height - tallest) / 2, (width + widest) / 2, (height + tallest) / 2)


@dataclass(frozen=True, eq=False)
class _OfOneSide:
    """Images that are made `side` pixels a side when they are used."""

    images: Any
    side: int

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, side, side, 3)."""
        return len(self), self.side, self.side, 3


@dataclass(frozen=True, eq=False)
class Views(_OfOneSide):
    """Images of which training takes crops of side x side pixels; its shape and type are those of the crops."""

    images: np.ndarray | EncodedImages

    @property
    def dtype(self) -> "np.dtype[np.generic]":
        """uint8 or float32, that of crops."""
        return np.dtype(np.uint8) if isinstance(self.images, EncodedImages) else self.images.dtype

    def __getitem__(self, numbers: np.ndarray) -> "Views":
        return Views(self.images[numbers], self.side)

    def crop(self, number: int, smallest: float, rng: np.random.Generator) -> np.ndarray:
        """(side, side, 3): a random part of an image, at least `smallest` of its area, resized bilinearly."""
        from PIL import Image

        if isinstance(self.images, EncodedImages):
            width, height = map(int, self.images.sizes[number])
            pixels = self.images.crop(number, draw_box(width, height, smallest, rng), self.side)
        else:
            height, width = self.images.shape[1:3]
            box = draw_box(width, height, smallest, rng)
            pixels = resized(self.images[number], self.side, box, Image.Resampling.BILINEAR)
        return np.broadcast_to(pixels, (self.side, self.side, 3))


@dataclass(frozen=True, eq=False)
class Squares(_OfOneSide):
    """Encoded images as an array (N, side, side, 3) uint8 that is decoded where it is indexed."""

    images: EncodedImages
    seen: float = 1.0
    """As `EncodedImages.at` takes it."""

    @property
    def dtype(self) -> "np.dtype[np.generic]":
        """uint8."""
        return np.dtype(np.uint8)

    def __getitem__(self, numbers: np.ndarray | slice) -> np.ndarray:
        rows = np.arange(len(self))[numbers]
        squares = np.empty((len(rows), self.side, self.side, 3), np.uint8)
        for place, row in enumerate(rows):
            squares[place] = self.images.square(int(row), self.side, self.seen)
        return squares

    def __iter__(self) -> Iterator[np.ndarray]:
        for row in range(len(self)):
            yield self[row : row + 1][0]
