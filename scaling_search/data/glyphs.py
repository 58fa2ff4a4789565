"""Glyphs: made images whose classes are decided by features of three sizes, the same on every machine.

In the manner of cluttered MNIST (Mnih et al., "Recurrent Models of Visual Attention", 2014), with glyphs of our own in
place of digits. A class is an outline (4), a gap in it (4) and a mark inside (2): at 64 pixels a side the cluttered
outlines are some 20 to 48 pixels across, a gap in them 4 to 10 wide, and the two dots of one mark, where the other has
a bar as heavy, 3 to 7 apart. So what is left to tell classes apart by shrinks with the resolution, the finest feature
first. Plain glyphs are larger, more alike and behind fewer strokes: small networks learn them in a few hundred steps.

All arithmetic is of whole numbers, and so are the random draws: neither depends on the machine nor on NumPy's version.
"""

from dataclasses import dataclass, replace
from math import cos, isqrt, radians, sin

import numpy as np

from scaling_search.config import Split
from scaling_search.data.arrays import from_arrays
from scaling_search.data.images import ImageData
from scaling_search.errors import UserError

SIDE = 64
"""Pixels a side."""
OUTLINES = ("circle", "square", "triangle", "rhombus")
GAPS = ("top", "right", "bottom", "left")
MARKS = ("dots", "bar")
CLASSES = tuple(f"{outline}-{gap}-{mark}" for outline in OUTLINES for gap in GAPS for mark in MARKS)

_UNITS = 32
"""Units of length in a pixel."""
_RADIUS = 1000
"""Units of an outline before it is scaled, from its middle to its farthest point."""
_DRAWS = 64


@dataclass(frozen=True)
class Style:
    """How much glyphs differ within a class and what they are seen through; how many there are by default."""

    clutter: int
    """Most strokes behind a glyph."""
    noise: int
    """Standard deviation of what is added to each pixel."""
    turn: int
    """Most degrees of rotation."""
    smallest: int
    """Least radius, in percent of the side; the largest is 38."""
    gap: int
    """Least width of a gap beyond that of its stroke, in percent of the radius; the largest is 5 more."""
    count: int
    split: Split


PLAIN = Style(clutter=3, noise=36, turn=12, smallest=25, gap=15, count=3000, split=Split(validation=0.45, test=0.2))
CLUTTERED = Style(clutter=4, noise=20, turn=18, smallest=20, gap=15, count=6000, split=Split(validation=0.4, test=0.2))
STYLES = {"glyphs": PLAIN, "cluttered_glyphs": CLUTTERED}
"""By the kind of data."""

Point = tuple[int, int]


def _polygon(corners: int) -> list[Point]:
    angles = (radians(360 * corner / corners) for corner in range(corners))
    return [(round(_RADIUS * sin(angle)), round(-_RADIUS * cos(angle))) for angle in angles]


# Vertices clockwise from the top, y downwards, and which of them a gap at the top, right, bottom and left is at.
_SHAPES: dict[str, tuple[list[Point], tuple[int, int, int, int]]] = {
    "circle": (_polygon(12), (0, 3, 6, 9)),
    "square": (
        [(0, -780), (780, -780), (780, 0), (780, 780), (0, 780), (-780, 780), (-780, 0), (-780, -780)],
        (0, 2, 4, 6),
    ),
    "triangle": ([(0, -1000), (475, -150), (950, 700), (0, 700), (-950, 700), (-475, -150)], (0, 1, 3, 5)),
    "rhombus": ([(0, -1000), (720, 0), (0, 1000), (-720, 0)], (0, 1, 2, 3)),
}


def load(kind: str = "glyphs", count: str | None = None) -> ImageData:
    """So many glyphs of a kind of `STYLES`, an equal number of each class but for one.

    Raises UserError where `count` is not a number.
    """
    style = STYLES[kind]
    try:
        number = style.count if count is None else int(count.replace("_", ""))
    except ValueError:
        number = 0
    if number < 4 * len(CLASSES):
        raise UserError(
            f"data '{kind}:{count}' given",
            f"{kind}:COUNT makes a whole number of images, {4 * len(CLASSES)} or more",
            f"try {kind}:{style.count}",
        )
    images, labels = make(number, style=style)
    data = from_arrays(images, labels, name=kind, classes=CLASSES)
    return replace(data, default_split=style.split)


def make(count: int, seed: int = 0, style: Style = PLAIN) -> tuple[np.ndarray, np.ndarray]:
    """(count, 64, 64) uint8 and (count,) int32: the image of a number is the same however many are made."""
    labels = np.arange(count, dtype=np.int32) % len(CLASSES)
    images = np.empty((count, SIDE, SIDE), np.uint8)
    for number in range(count):
        images[number] = _image(int(labels[number]), _random(seed, number, _DRAWS + SIDE * SIDE // 2), style)
    return images, labels


def _random(seed: int, number: int, count: int) -> np.ndarray:
    """(count,) uint64 of SplitMix64 (Steele et al., 2014), each a hash of the seed, the number and its place."""
    start = (seed * 0x9E3779B97F4A7C15 + number * 0xD1342543DE82EF95) % 2**64
    state = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(start)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    return state ^ (state >> np.uint64(31))


def _image(label: int, random: np.ndarray, style: Style) -> np.ndarray:
    draws = iter(random[:_DRAWS].tolist())

    def between(low: int, high: int) -> int:
        return low + next(draws) % (high - low + 1)

    ground = between(0, 90)
    canvas = np.full((SIDE, SIDE), ground, np.int64)
    length = SIDE * _UNITS
    for _ in range(between(0, style.clutter)):
        start = between(0, length), between(0, length)
        end = start[0] + between(-length // 4, length // 4), start[1] + between(-length // 4, length // 4)
        _stroke(canvas, start, end, half=between(_UNITS // 2, 2 * _UNITS), level=between(60, 220))

    outline, gap, mark = label // 8, label // 2 % 4, label % 2
    radius = between(length * style.smallest // 100, length * 38 // 100)
    angle = radians(between(0, 2 * style.turn) - style.turn)
    cosine, sine = round(cos(angle) * 2**14), round(sin(angle) * 2**14)
    # The glyph stays inside, but for what its strokes are wide.
    middle = between(radius, length - radius), between(radius, length - radius)
    level = min(255, ground + between(90, 165))
    half = radius * between(7, 11) // 100

    def placed(point: Point) -> Point:
        x, y = (radius * (value + between(-50, 50)) // _RADIUS for value in point)
        return middle[0] + (x * cosine - y * sine) // 2**14, middle[1] + (x * sine + y * cosine) // 2**14

    vertices, gaps = _SHAPES[OUTLINES[outline]]
    corners = [placed(vertex) for vertex in vertices]
    opening = half + radius * between(style.gap, style.gap + 5) // 100
    for first in range(len(corners)):
        second = (first + 1) % len(corners)
        start, end = corners[first], corners[second]
        if first == gaps[gap]:
            start = _towards(start, end, opening)
        if second == gaps[gap]:
            end = _towards(end, start, opening)
        _stroke(canvas, start, end, half=half, level=level)

    left, right = placed((-260, 80)), placed((260, 80))
    # A bar as heavy as two dots would be, so that a blur leaves little to tell them apart by.
    dots = MARKS[mark] == "dots"
    for start, end in ((left, left), (right, right)) if dots else ((left, right),):
        _stroke(canvas, start, end, half=radius * (12 if dots else 8) // 100, level=level)

    # Four bytes of each draw add up to nearly a normal distribution.
    loose = random[_DRAWS:].astype("<u8").view(np.uint8).reshape(4, SIDE, SIDE).sum(axis=0, dtype=np.int64) - 510
    return np.clip(canvas + loose * style.noise // 148, 0, 255).astype(np.uint8)


def _towards(point: Point, other: Point, distance: int) -> Point:
    x, y = other[0] - point[0], other[1] - point[1]
    length = max(1, isqrt(x * x + y * y))
    share = min(distance, length)
    return point[0] + x * share // length, point[1] + y * share // length


def _stroke(canvas: np.ndarray, start: Point, end: Point, *, half: int, level: int) -> None:
    """Paints what lies within `half` of a line, its edge in four steps over a pixel."""
    reach = half + _UNITS
    low, high = (
        [sign * min(sign * start[axis], sign * end[axis]) - sign * reach for axis in (0, 1)] for sign in (1, -1)
    )
    left, top = (max(0, value // _UNITS) for value in low)
    right, bottom = (min(SIDE, value // _UNITS + 1) for value in high)
    if left >= right or top >= bottom:
        return
    x = (np.arange(left, right) * _UNITS + _UNITS // 2 - start[0])[None, :]
    y = (np.arange(top, bottom) * _UNITS + _UNITS // 2 - start[1])[:, None]
    across, down = end[0] - start[0], end[1] - start[1]
    squared = across * across + down * down
    along = x * across + y * down
    # Squared distances times the squared length, which keeps them whole.
    beside = (x * down - y * across) ** 2
    before = (x * x + y * y) * squared if squared else x * x + y * y
    beyond = ((x - across) ** 2 + (y - down) ** 2) * squared
    distance = np.where(along <= 0, before, np.where(along >= squared, beyond, beside))
    scale = squared or 1
    cover = sum((distance <= (max(0, half + step)) ** 2 * scale).astype(np.int64) for step in (-12, -4, 4, 12))
    part = canvas[top:bottom, left:right]
    part += (level - part) * cover // 4
