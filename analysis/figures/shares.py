"""The triangle of shares, however it is drawn: where shares stand, shades of height, a region's outline, networks."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scaling_search.analysis.findings.region import SHARES
from scaling_search.analysis.statistics.surface import DIVISIONS

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.findings.facts import Facts
    from scaling_search.analysis.statistics.surface import Surface

Floats = NDArray[np.float64]
Spot = tuple[float, float]
Polygon = tuple[Spot, ...]

HEIGHT = 3**0.5 / 2
"""Of the triangle, whose sides are 1: depth alone stands at its top, width left and resolution right at its foot."""

SHADES = ("#fbfbe3", "#e3f3c4", "#bfe5bd", "#8fd3c0", "#5fbcc6", "#3a9cc0", "#2f79b0")
"""From the lowest to the highest, dark ink on each legible."""

_LOSSES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True)
class Band:
    """Where the surface is between two heights, accuracies in 0..1."""

    low: float
    high: float
    loss: float
    """Points of accuracy (0..1) below the highest place that `low` is, a round number but for the lowest band."""
    colour: str
    polygons: tuple[Polygon, ...]


def spots(shares: Floats) -> Floats:
    """Where shares of depth, width and resolution, (..., 3), stand in the triangle, (..., 2)."""
    return np.stack([shares[..., 2] + shares[..., 0] / 2, HEIGHT * shares[..., 0]], axis=-1)


def grid_lines(every: float = 0.25) -> Iterator[tuple[str, float, Spot, Spot]]:
    """Lines of equal share, each as (dimension, share, its labelled end, its other end)."""
    for share in np.arange(every, 1 - every / 2, every).tolist():
        rest = 1 - share
        for name, begin, end in (
            ("depth", (share, 0.0, rest), (share, rest, 0.0)),
            ("width", (rest, share, 0.0), (0.0, share, rest)),
            ("resolution", (0.0, rest, share), (rest, 0.0, share)),
        ):
            yield name, share, _spot(begin), _spot(end)


def bands(surface: "Surface") -> list[Band]:
    """Shades of the surface between round distances from its highest place, from the lowest to the highest."""
    low, high = float(surface.heights.min()), float(surface.heights.max())
    losses = [loss for loss in _LOSSES if loss < high - low][-len(SHADES) + 1 :]
    levels = [low, *(high - loss for loss in reversed(losses)), high]
    colours = SHADES[-(len(levels) - 1) :]
    corners, triangles = _mesh(surface)
    drawn = []
    for colour, (bottom, top) in zip(colours, pairwise(levels), strict=True):
        # The lowest and the highest take in their own ends.
        ends = -np.inf if bottom == low else bottom, np.inf if top == high else top
        inside = [_between(corners[list(three)], surface.heights[list(three)], *ends) for three in triangles]
        drawn.append(Band(bottom, top, high - bottom, colour, tuple(polygon for polygon in inside if polygon)))
    return drawn


def outline(surface: "Surface") -> list[tuple[Spot, Spot]]:
    """The edge of the region in pieces, within the triangle and along its sides."""
    corners, triangles = _mesh(surface)
    pieces = []
    for three in map(list, triangles):
        crossings = [_crossing(corners[[a, b]], surface.room[[a, b]]) for a, b in _sides(three)]
        ends = [crossing for crossing in crossings if crossing is not None]
        if len(ends) == 2:
            pieces.append((ends[0], ends[1]))
    uses = Counter(tuple(sorted(side)) for three in triangles for side in _sides(list(three)))
    for side in (list(side) for side, count in uses.items() if count == 1):
        inside = [_pair(corners[index]) for index in side if surface.room[index] >= 0]
        crossing = _crossing(corners[side], surface.room[side])
        if inside:
            pieces.append((inside[0], inside[1] if len(inside) == 2 else crossing or inside[0]))
    return pieces


def networks(findings: "Facts") -> "pd.DataFrame":
    """One row a network of STEP 1: `x`, `y`, its shares, `val_accuracy`, `low`, `high`, `seeds`, `fingerprint`.

    `name` is that of the rivals which are this network, or empty.
    """
    import pandas as pd

    assert findings.judgement is not None
    columns = [*SHARES, "val_accuracy", "low", "high", "seeds", "fingerprint"]
    grid = findings.judgement.table[columns]
    rivals = grid.iloc[:0].assign(rival="") if findings.rivals is None else findings.rivals
    names = rivals.groupby("fingerprint")["rival"].agg(", ".join)
    both = pd.concat([grid, rivals[columns]]).drop_duplicates("fingerprint")
    known = both[both["val_accuracy"].notna()].reset_index(drop=True)
    x, y = spots(known[list(SHARES)].to_numpy(np.float64)).T
    return known.assign(x=x, y=y, name=[names.get(one, "") for one in known["fingerprint"]])


def _spot(shares: Sequence[float]) -> Spot:
    return _pair(spots(np.asarray(shares, np.float64)))


def _pair(spot: Floats) -> Spot:
    return float(spot[0]), float(spot[1])


def _mesh(surface: "Surface") -> tuple[Floats, list[tuple[int, int, int]]]:
    """Where the places stand, and the small triangles between neighbours, as indices of places."""
    at = {(d, r): i for i, (d, _, r) in enumerate((surface.places * DIVISIONS).round().astype(int).tolist())}
    upright = [((d, r), (d + 1, r), (d, r + 1)) for d, r in at]
    upturned = [((d + 1, r), (d, r + 1), (d + 1, r + 1)) for d, r in at]
    whole = [three for three in (*upright, *upturned) if all(corner in at for corner in three)]
    return spots(surface.places), [(at[one], at[two], at[three]) for one, two, three in whole]


def _sides(three: Sequence[int]) -> Iterable[tuple[int, int]]:
    return pairwise([*three, three[0]])


def _between(corners: Floats, heights: Floats, low: float, high: float) -> Polygon:
    """The part of a triangle, with heights at its corners, that is between two heights; empty where none is."""
    polygon = [(*_pair(corner), float(height)) for corner, height in zip(corners, heights, strict=True)]
    for level, sign in ((low, 1), (high, -1)):
        if not np.isfinite(level) or not polygon:
            continue
        kept = []
        for one, other in pairwise([*polygon, polygon[0]]):
            above, next_above = (sign * (corner[2] - level) >= 0 for corner in (one, other))
            if above:
                kept.append(one)
            if above != next_above:
                part = (level - one[2]) / (other[2] - one[2])
                kept.append((one[0] + part * (other[0] - one[0]), one[1] + part * (other[1] - one[1]), level))
        polygon = kept
    return tuple((x, y) for x, y, _ in polygon) if len(polygon) > 2 else ()


def _crossing(ends: Floats, values: Floats) -> Spot | None:
    """Where a side with values at its ends passes zero, or None."""
    if (values[0] >= 0) == (values[1] >= 0):
        return None
    return _pair(ends[0] + (ends[1] - ends[0]) * values[0] / (values[0] - values[1]))
