"""The triangle of shares in a report."""

from typing import TYPE_CHECKING

import numpy as np

from scaling_search.analysis.figures.shares import HEIGHT, bands, grid_lines, networks, outline, spots
from scaling_search.analysis.findings.facts import Facts
from scaling_search.analysis.report.svg import Label, Line, Map, Plot, Point, Series, Shade
from scaling_search.analysis.report.words import details_of
from scaling_search.analysis.text.region import shares_in_words
from scaling_search.analysis.text.words import shares

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.statistics.surface import Surface

_HEADS = (
    Label(0.5, HEIGHT + 0.1, "depth", heads=True),
    Label(-0.03, -0.1, "width", "end", heads=True),
    Label(1.03, -0.1, "resolution", "start", heads=True),
)


def triangle_plot(findings: Facts) -> Plot | None:
    """Networks of STEP 1 by their shares of growth on the surface through them, or None where there is no region."""
    judgement = findings.judgement
    if judgement is None or judgement.surface is None or not judgement.by_region:
        return None
    surface, marks = judgement.surface, networks(findings)
    best, rule = (marks["fingerprint"] == one.fingerprint for one in (judgement.best, judgement.winner))
    level = f"{100 * surface.confidence:g} %"
    # Names stand clear of what lies beside a network: most that are high in the triangle have something below.
    high = marks["depth_share"] >= 0.3
    others = ~best & ~rule
    series = (
        _series(findings, marks[others & high], "measured", "networks", "circle", above=True),
        _series(findings, marks[others & ~high], "measured", "networks", "circle"),
        _series(findings, marks[best & ~rule], "best-measured", "best measured", "diamond"),
        _series(findings, marks[rule], "winner", "representative rule", "star", above=True),
    )
    edge = tuple(Line(piece) for piece in outline(surface))
    return Plot(
        "triangle",
        "STEP 1, the triangle of shares",
        "Each network where its depth, width and resolution share its growth in cost, in per cent. Shades are a "
        f"quadratic surface through them, which is highest at {shares_in_words(surface.optimum)}. The outlined region "
        f"holds the best shares at {level}.",
        "",
        "",
        (Series("region", f"region of the best, {level}", lines=edge), *(one for one in series if one.points)),
        map=_map(surface),
    )


def epochs_plot(findings: Facts) -> Plot | None:
    """The region of best shares and its centre for each number of epochs, or None where there are none."""
    if findings.by_epochs is None or len(findings.by_epochs.regions) < 2:
        return None
    regions = findings.by_epochs.regions
    level = f"{100 * next(iter(regions.values())).confidence:g} %"
    styles = ("dotted", "dashed", "solid")
    series = []
    for place, (epochs, surface) in enumerate(regions.items()):
        behind = len(regions) - 1 - place
        x, y = spots(np.array(surface.centre))
        details = f"{epochs} epochs\ncentre of the region: {shares_in_words(surface.centre)}"
        point = Point(x=float(x), y=float(y), network="", details=details, name=f"{epochs} epochs")
        edge = tuple(Line(piece, styles[-1 - min(behind, 2)]) for piece in outline(surface))
        series.append(Series(f"epochs-{min(behind, 3)}", f"{epochs} epochs", "circle", points=(point,), lines=edge))
    return Plot(
        "epochs-triangle",
        "STEP 1, the best shares by epochs",
        f"The outlined regions hold the best shares at {level} for each number of epochs; markers are their centres.",
        "",
        "",
        tuple(series),
        map=_map(None),
    )


def _series(
    findings: Facts, marks: "pd.DataFrame", kind: str, label: str, marker: str, *, above: bool = False
) -> Series:
    details = details_of(findings)
    points = tuple(
        Point(
            x=float(row["x"]),
            y=float(row["y"]),
            network=str(row["fingerprint"]),
            details=f"{details[row['fingerprint']]}\nshares of growth {shares(row)}",
            name=f"{row['name']} {100 * row['val_accuracy']:.1f}" if row["name"] else "",
        )
        for row in marks.to_dict("records")
    )
    return Series(kind, label, marker, hollow=kind != "winner", points=points, names_above=above)


def _map(surface: "Surface | None") -> Map:
    """The triangle, with the shades of a surface where there is one."""
    shades = [] if surface is None else bands(surface)
    words = [f"{100 * band.loss:g}" for band in shades[1:]]
    labels = [f"within {word}" for word in words]
    beyond = f"more than {words[0]} points below the highest" if words else "the same height"
    aside = {"depth": (0.015, 0.0, "start"), "width": (-0.015, 0.015, "end"), "resolution": (0.0, -0.03, "middle")}
    ticks = []
    for name, share, (x, y), _ in grid_lines():
        dx, dy, anchor = aside[name]
        ticks.append(Label(x + dx, y + dy, f"{100 * share:.0f}", anchor))
    triangle = Line(((0.0, 0.0), (1.0, 0.0), (0.5, HEIGHT), (0.0, 0.0)))
    return Map(
        x=(-0.16, 1.22),
        y=(-0.12, HEIGHT + 0.12),
        shades=tuple(
            Shade(band.colour, label, band.polygons)
            for band, label in zip(shades, [beyond, *labels][: len(shades)], strict=True)
        ),
        lines=(triangle, *(Line((begin, end)) for *_, begin, end in grid_lines())),
        labels=(*_HEADS, *ticks),
    )
