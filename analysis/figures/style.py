"""How all figures look."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling_search.analysis.figures.files import house_settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The palette of Okabe and Ito, told apart by colour-blind eyes. Markers and lines differ too, for print in grey.
BLACK, BLUE, VERMILLION, GREEN, PURPLE = "#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7"
ORANGE, SKY, YELLOW = "#e69f00", "#56b4e9", "#f0e442"
DARK_GREY, GREY, LIGHT_GREY = "#333333", "#6b6b6b", "#b8b8b8"

SERIES = (
    (BLUE, "o", "-"),
    (VERMILLION, "^", (0, (5, 1.5))),
    (GREEN, "s", (0, (1.5, 1))),
    (BLACK, "D", (0, (5, 1.5, 1, 1.5))),
    (PURPLE, "v", (0, (3, 1, 1, 1, 1, 1))),
    (ORANGE, "P", (0, (8, 2))),
    (SKY, "X", (0, (2, 2))),
)
"""Colour, marker and line of one curve after another; with more curves than these they begin anew."""

ACCURACY = "top-1 accuracy on the validation split, %"


@contextmanager
def drawing(width: float, height: float) -> Iterator["Figure"]:
    """An empty figure of this size in inches, in the house style, which a notebook shows as the value of a cell.

    No global state of matplotlib is touched, and none enters.
    """
    with house_settings():
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        from scaling_search.analysis.figures.inline import InlineFigure

        figure = InlineFigure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        lay_out_once(figure)


def lay_out_once(figure: "Figure") -> None:
    """Fixes where everything is: each further layout would move things a little, and names away from their places."""
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
        figure.set_layout_engine("none")


def plain_axes(axes: "Axes") -> None:
    """A light grid behind what is drawn, and no lines above and on the right."""
    axes.grid(True, color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def log_size(axes: "Axes", most: int = 10) -> None:
    """A logarithmic x-axis of counts with at most `most` ticks, written as 386M or 1.8B."""
    from matplotlib.ticker import NullFormatter, NullLocator

    from scaling_search.analysis.figures.counts import CountFormatter, CountLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(CountLocator(most))
    axes.xaxis.set_major_formatter(CountFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def within_percent(axes: "Axes") -> None:
    """Keeps the y-axis between 0 and 100 %."""
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, 0.0), min(high, 100.0))


def whiskers(mean: Any, low: Any, high: Any) -> Any:
    """Lengths of error bars in per cent, (2, networks), from accuracies 0..1; 0 where there is no interval."""
    centre = np.asarray(mean)
    return 100 * np.nan_to_num(np.stack([centre - np.asarray(low), np.asarray(high) - centre])).clip(0)


@dataclass(frozen=True)
class Name:
    """What to write beside a marker."""

    text: str
    x: float
    y: float
    colour: str
    side: int = 1
    """1 to stand above the marker where there is room, -1 below it."""


def place_names(axes: "Axes", names: Sequence[Name], *, through: Sequence[str] = (), size: float = 8.0) -> None:
    """Writes each name beside its marker, where it covers neither a marker nor a line nor another name.

    Lines labelled as in `through` may be written over. To be called once everything is laid out.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.patheffects import withStroke

    points = axes.transData.transform([(name.x, name.y) for name in names])
    pixels = axes.get_figure(root=True).dpi / 72  # type: ignore[union-attr]
    frame = axes.get_window_extent()
    obstacles = [(x, y, 5 * pixels, 5 * pixels) for x, y in points]
    # What else is drawn: words and markers as boxes, lines and bars as a row of dots.
    for text in axes.texts:
        box = text.get_window_extent()
        obstacles.append(((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2, box.width / 2, box.height / 2))
    drawn = []
    for line in axes.get_lines():
        if line.get_linestyle() == "None":
            half = (0.5 * line.get_markersize() + 3) * pixels
            obstacles += [(x, y, half, half) for x, y in axes.transData.transform(line.get_xydata())]
        elif line.get_label() not in through:
            drawn.append(line.get_xydata())
    for collection in axes.collections:
        if isinstance(collection, LineCollection):
            drawn += collection.get_segments()
    for corners in drawn:
        obstacles += [
            (x, y, 1.5 * pixels, 1.5 * pixels) for x, y in _dots(axes.transData.transform(corners), 3 * pixels)
        ]
    for name, (x, y) in zip(names, points, strict=True):
        half, high = (0.31 * size * len(name.text) + 2) * pixels, (0.5 * size + 0.5) * pixels
        places = [(x + dx, y + name.side * dy, half, high) for dx, dy in _places(half, pixels)]
        # An area of a few square points is given for each place that is less good.
        costs = [
            sum(_overlap(place, other) for other in obstacles) + _outside(place, frame) + 3 * rank * pixels**2
            for rank, place in enumerate(places)
        ]
        place = places[int(np.argmin(costs))]
        obstacles.append(place)
        dx, dy = (place[0] - x) / pixels, (place[1] - y) / pixels
        is_far = abs(dy) > 15 or abs(dx) > half / pixels + 12
        axes.annotate(
            name.text,
            (name.x, name.y),
            xytext=(dx, dy),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=size,
            color=name.colour,
            path_effects=[withStroke(linewidth=2, foreground="white")],
            arrowprops={"arrowstyle": "-", "color": name.colour, "linewidth": 0.5, "shrinkB": 3} if is_far else None,
            zorder=9,
        )


def _places(half: float, pixels: float) -> list[tuple[float, float]]:
    """Where a name that is `half` wide may stand, in pixels from its marker; the first is best."""
    corner, beside = half + 4 * pixels, half + 8 * pixels
    places = [(0.0, 11.0), (-corner, 9.0), (corner, 9.0), (-beside, 0.0), (beside, 0.0)]
    places += [(0.0, -11.0), (-corner, -9.0), (corner, -9.0)]
    for far in (20.0, 30.0, 42.0):
        aside = half + far * pixels
        places += [(0.0, far), (0.0, -far), (-aside, far / 2), (aside, far / 2), (-aside, -far / 2), (aside, -far / 2)]
    return [(dx, dy * pixels) for dx, dy in places]


def _dots(corners: Any, apart: float) -> Any:
    """Points along the line through `corners`, no further apart than this."""
    ends = np.asarray(corners)
    lengths = np.hypot(*np.diff(ends, axis=0).T)
    parts = [
        begin + np.linspace(0, 1, int(np.ceil(length / apart)) + 1)[:, None] * (end - begin)
        for begin, end, length in zip(ends[:-1], ends[1:], lengths, strict=True)
        if np.isfinite(length)
    ]
    return np.concatenate(parts) if parts else np.empty((0, 2))


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Area that two boxes, each (centre x, centre y, half width, half height), share."""
    shared = [min(one[i + 2] + other[i + 2] - abs(one[i] - other[i]), 2 * one[i + 2], 2 * other[i + 2]) for i in (0, 1)]
    return max(shared[0], 0.0) * max(shared[1], 0.0)


def _outside(box: tuple[float, ...], frame: Any) -> float:
    """Area of a box that lies outside the axes."""
    half, high = box[2:]
    inside = _overlap(box, ((frame.x0 + frame.x1) / 2, (frame.y0 + frame.y1) / 2, frame.width / 2, frame.height / 2))
    return 4 * half * high - inside
