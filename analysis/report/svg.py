"""Plots as SVG for a page of any width: positions are percentages of the area, markers and text keep their size."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from scaling_search.analysis.text.ticks import linear_ticks, log_ticks, plain_texts

MARKERS = {
    "square": "M-3.5-3.5h7v7h-7z",
    "circle": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z",
    "triangle": "M0-6L6 5H-6z",
    "diamond": "M0-7L7 0L0 7L-7 0z",
    "star": "M0-10L2.6-3.2L9.5-3.1L4 1.2L5.9 8.1L0 4.1L-5.9 8.1L-4 1.2L-9.5-3.1L-2.6-3.2z",
}
"""Outlines about the origin, in pixels."""

WIDE, NARROW = 640.0, 250.0
"""Widths of the area, in pixels, at which names and ticks must not touch: on a desk and on a phone."""
HEIGHT = 380.0
"""Height of the area, in pixels."""


@dataclass(frozen=True)
class Point:
    """A network in a plot; `x` and `y` are in the plot's units."""

    x: float
    y: float
    network: str
    """Fingerprint: the same network is marked in every plot."""
    details: str
    """Lines shown on hover and read out on focus."""
    low: float = math.nan
    high: float = math.nan
    """Ends of the interval about `y`; NaN where there is none."""
    name: str = ""
    """Written beside the marker."""


@dataclass(frozen=True)
class Line:
    """A line through `corners`, each (x, y)."""

    corners: tuple[tuple[float, float], ...]
    style: str = "solid"
    """"solid", "dashed" or "dotted"."""


@dataclass(frozen=True)
class Series:
    """Points that look alike and are walked through one after the other. Those of one `kind` share a legend entry."""

    kind: str
    """What the style sheet colours it by."""
    label: str
    marker: str = ""
    """A key of MARKERS, or nothing for a series without points."""
    hollow: bool = False
    points: tuple[Point, ...] = ()
    lines: tuple[Line, ...] = ()
    band: tuple[tuple[float, float, float], ...] = ()
    """A shade between two lines, each corner (x, low, high)."""
    names_above: bool = True
    network: str = ""
    """Fingerprint, where the whole series is of one network."""


@dataclass(frozen=True)
class Shade:
    """An area of one colour beneath all else."""

    colour: str
    label: str
    polygons: tuple[tuple[tuple[float, float], ...], ...]
    """Corners of each, (x, y)."""


@dataclass(frozen=True)
class Label:
    """Words in a plot."""

    x: float
    y: float
    text: str
    anchor: str = "middle"
    """Which part of the text is at `x`: "start", "middle" or "end"."""
    heads: bool = False
    """Whether it names a part of the plot, rather than a value."""


@dataclass(frozen=True)
class Map:
    """What lies beneath the points of a plot whose places are no axes' values."""

    x: tuple[float, float]
    """Ends of what is shown."""
    y: tuple[float, float]
    shades: tuple[Shade, ...]
    lines: tuple[Line, ...]
    labels: tuple[Label, ...]


@dataclass(frozen=True)
class Plot:
    """What a plot shows."""

    key: str
    title: str
    explanation: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    log_x: bool = False
    whole_x: bool = False
    """Whether `x` counts something, so that no tick stands between two whole numbers."""
    x_texts: Callable[[Sequence[float]], list[str]] = plain_texts
    """What is written beside the ticks of the x axis."""
    map: Map | None = None
    """In place of ticks."""


@dataclass(frozen=True)
class Tick:
    """A tick at `place` per cent of the axis. `narrow` says whether there is room for its text on a phone."""

    place: str
    text: str
    narrow: bool


@dataclass(frozen=True)
class Mark:
    """A point where it is drawn, in per cent."""

    x: str
    y: str
    low: str
    """Empty where there is no interval."""
    high: str
    point: Point
    name: str
    """Empty where no room is for it."""
    narrow: bool
    """Whether there is room for the name on a phone."""


@dataclass(frozen=True)
class DrawnSeries:
    """A series with its marks, and paths in a square of 100 by 100 that is stretched over the area."""

    series: Series
    outline: str
    marks: tuple[Mark, ...]
    lines: tuple[tuple[str, str], ...]
    """(path, style)."""
    band: str


@dataclass(frozen=True)
class Drawing:
    """A plot laid out."""

    plot: Plot
    series: tuple[DrawnSeries, ...]
    legend: tuple[DrawnSeries, ...]
    """The first series of each kind."""
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    shades: tuple[tuple[str, str, str], ...] = ()
    """(path, colour, label) of each."""
    map_lines: tuple[str, ...] = ()
    map_labels: tuple[tuple[str, str, Label], ...] = ()
    """(x, y, label) of each, in per cent."""


def draw(plot: Plot) -> Drawing:
    """Lays a plot out. It has at least one point."""
    points = [point for series in plot.series for point in series.points]
    span_x = _span([point.x for point in points], plot.log_x)
    heights = [value for point in points for value in (point.y, point.low, point.high)]
    heights += [end for series in plot.series for _, *ends in series.band for end in ends]
    span_y = _span(heights, log=False)
    if plot.map is not None:
        span_x, span_y = plot.map.x, plot.map.y
    to_x, to_y = _scale(span_x, plot.log_x, flip=False), _scale(span_y, log=False, flip=True)
    named = _room_for_names(plot.series, to_x, to_y)
    drawn = tuple(
        DrawnSeries(
            series,
            MARKERS.get(series.marker, ""),
            tuple(
                _mark(point, to_x, to_y, named.get((series.kind, point.network, point.name)))
                for point in sorted(series.points, key=lambda point: point.x)
            ),
            tuple((_path(line.corners, to_x, to_y), line.style) for line in series.lines),
            _band(series.band, to_x, to_y),
        )
        for series in plot.series
    )
    first: dict[str, DrawnSeries] = {}
    for one in drawn:
        first.setdefault(one.series.kind, one)
    if plot.map is not None:
        return Drawing(plot, drawn, tuple(first.values()), (), (), *_drawn_map(plot.map, to_x, to_y))
    at_x = log_ticks(*span_x) if plot.log_x else linear_ticks(*span_x, least=1.0 if plot.whole_x else 0.0)
    at_y = linear_ticks(*span_y)
    return Drawing(
        plot,
        drawn,
        tuple(first.values()),
        _ticks(at_x, to_x, plot.x_texts(at_x)),
        tuple(Tick(_percent(to_y(value)), text, True) for value, text in zip(at_y, plain_texts(at_y), strict=True)),
    )


def _drawn_map(
    drawn: Map, to_x: Callable[[float], float], to_y: Callable[[float], float]
) -> tuple[tuple[tuple[str, str, str], ...], tuple[str, ...], tuple[tuple[str, str, Label], ...]]:
    """Shades, lines and labels as a Drawing has them."""
    return (
        tuple(
            ("".join(_path(polygon, to_x, to_y) + "z" for polygon in shade.polygons), shade.colour, shade.label)
            for shade in drawn.shades
        ),
        tuple(_path(line.corners, to_x, to_y) for line in drawn.lines),
        tuple((_percent(to_x(label.x)), _percent(to_y(label.y)), label) for label in drawn.labels),
    )


def _span(values: Iterable[float], log: bool) -> tuple[float, float]:
    """From the smallest to the largest value and a little beyond; where they are one, some way about it."""
    finite = [math.log(value) if log else value for value in values if math.isfinite(value)]
    low, high = min(finite), max(finite)
    size = max(abs(low), abs(high), 1e-3)
    margin = 0.06 * (high - low) if high - low > 1e-9 * size else 0.05 * size
    ends = low - margin, high + margin
    return (math.exp(ends[0]), math.exp(ends[1])) if log else ends


def _scale(span: tuple[float, float], log: bool, flip: bool) -> Callable[[float], float]:
    """From a value to per cent of the axis, never outside it."""
    low, high = (math.log(end) for end in span) if log else span

    def place(value: float) -> float:
        share = ((math.log(value) if log else value) - low) / (high - low)
        return 100 * min(max(1 - share if flip else share, 0.0), 1.0)

    return place


def _ticks(values: Sequence[float], to_x: Callable[[float], float], texts: Sequence[str]) -> tuple[Tick, ...]:
    """Ticks of the x axis, less those whose text would touch the one before."""
    ticks: list[Tick] = []
    last = dict.fromkeys((WIDE, NARROW), -math.inf)
    for value, text in zip(values, texts, strict=True):
        place, half = to_x(value), 4.0 * len(text) + 3
        fits = {width: place / 100 * width - half >= last[width] for width in last}
        for width in last:
            if fits[width]:
                last[width] = place / 100 * width + half
        if fits[WIDE]:
            ticks.append(Tick(_percent(place), text, fits[NARROW]))
    return tuple(ticks)


def _room_for_names(
    series: Sequence[Series], to_x: Callable[[float], float], to_y: Callable[[float], float]
) -> dict[tuple[str, str, str], bool]:
    """The names that touch no other one, each network's once, by kind of series, network and name.

    The value says whether that is so on a phone too.
    """
    taken: dict[float, list[tuple[float, float, float]]] = {WIDE: [], NARROW: []}
    named: dict[tuple[str, str, str], bool] = {}
    seen: set[tuple[str, str]] = set()
    for one in reversed(series):
        for point in one.points:
            if not point.name or (point.network, point.name) in seen:
                continue
            seen.add((point.network, point.name))
            half = 3.5 * len(point.name) + 2
            y = to_y(point.y) / 100 * HEIGHT + (-14 if one.names_above else 14)
            free = {}
            for width, boxes in taken.items():
                x = to_x(point.x) / 100 * width
                free[width] = all(abs(x - bx) >= half + bh or abs(y - by) >= 13 for bx, by, bh in boxes)
                if free[width]:
                    boxes.append((x, y, half))
            if free[WIDE]:
                named[one.kind, point.network, point.name] = free[NARROW]
    return named


def _mark(point: Point, to_x: Callable[[float], float], to_y: Callable[[float], float], narrow: bool | None) -> Mark:
    has_interval = math.isfinite(point.low) and math.isfinite(point.high)
    low, high = (_percent(to_y(end)) if has_interval else "" for end in (point.low, point.high))
    name = "" if narrow is None else point.name
    return Mark(_percent(to_x(point.x)), _percent(to_y(point.y)), low, high, point, name, bool(narrow))


def _path(
    corners: Iterable[tuple[float, float]], to_x: Callable[[float], float], to_y: Callable[[float], float]
) -> str:
    return "M" + "L".join(f"{_percent(to_x(x))} {_percent(to_y(y))}" for x, y in corners)


def _band(
    corners: Sequence[tuple[float, float, float]], to_x: Callable[[float], float], to_y: Callable[[float], float]
) -> str:
    if not corners:
        return ""
    there, back = [(x, high) for x, _, high in corners], [(x, low) for x, low, _ in reversed(corners)]
    return _path([*there, *back], to_x, to_y) + "z"


def _percent(place: float) -> str:
    return f"{place:.2f}".rstrip("0").rstrip(".")
