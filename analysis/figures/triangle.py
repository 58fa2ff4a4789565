"""The triangle of shares as a picture: accuracy over how growth is shared, and where the best shares lie."""

from typing import TYPE_CHECKING, Any

import numpy as np

from scaling_search.analysis.figures.shares import HEIGHT, bands, grid_lines, networks, outline, spots
from scaling_search.analysis.figures.style import (
    BLACK,
    DARK_GREY,
    GREY,
    YELLOW,
    Name,
    drawing,
    lay_out_once,
    place_names,
)
from scaling_search.analysis.text.region import shares_in_words
from scaling_search.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from scaling_search.analysis.findings.facts import Facts
    from scaling_search.analysis.statistics.surface import Surface

_CORNERS = (
    ("depth", (0.5, HEIGHT + 0.1), "center"),
    ("width", (-0.04, -0.1), "right"),
    ("resolution", (1.04, -0.1), "left"),
)

_NAMED = {"depth": 0.75, "width": 0.75, "resolution": 0.25}
"""Which share of each dimension is written with its name: where networks are few."""


def shares_triangle(findings: "Facts") -> "Figure":
    """Networks of STEP 1 where their shares of growth are, on the surface through them, the best region outlined.

    Raises:
        UserError: the run has no region, since networks are too few, alike, or of a version that recorded no shares.

    """
    judgement = findings.judgement
    if judgement is None or judgement.surface is None or not judgement.by_region:
        raise UserError(
            f"{findings.run.path} has no region of best shares",
            "it takes 8 finished networks of STEP 1 whose shares differ in two dimensions",
            "train more of a grid of shares, or try --figure grid",
        )
    surface, marks = judgement.surface, networks(findings)
    with drawing(6.2, 5.2) as figure:
        axes = figure.add_subplot()
        draw_frame(axes)
        _draw_surface(axes, surface)
        style: Any = {"markeredgecolor": BLACK, "linestyle": "none"}
        axes.plot(marks["x"], marks["y"], "o", color="white", markersize=6, zorder=5, label="network", **style)
        if judgement.best.fingerprint != judgement.winner.fingerprint:
            best = marks[marks["fingerprint"] == judgement.best.fingerprint]
            axes.plot(best["x"], best["y"], "D", color="white", markersize=8, zorder=6, label="best measured", **style)
        rule = marks[marks["fingerprint"] == judgement.winner.fingerprint]
        axes.plot(
            rule["x"], rule["y"], "*", color=YELLOW, markersize=17, zorder=7, label="representative rule", **style
        )
        axes.plot(
            *spots(np.array(surface.centre)),
            "x",
            color=BLACK,
            markersize=8,
            markeredgewidth=1.8,
            zorder=8,
            linestyle="none",
            label="centre of the region",
        )
        level = f"{100 * surface.confidence:g} %"
        figure.suptitle(
            f"highest at {shares_in_words(surface.optimum)}: {100 * surface.heights.max():.1f} %",
            fontsize=9,
            color=DARK_GREY,
        )
        axes.plot([], [], color=BLACK, linewidth=2, label=f"region of the best, {level}")
        figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
        lay_out_once(figure)
        named = marks[marks["name"] != ""]
        place_names(
            axes,
            [
                Name(f"{row['name']} {100 * row['val_accuracy']:.1f}", row["x"], row["y"], BLACK)
                for row in named.to_dict("records")
            ],
        )
    return figure


def draw_frame(axes: "Axes") -> None:
    """The triangle, lines of equal share and what the shares are, in per cent, where the lines end."""
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_xlim(-0.2, 1.26)
    axes.set_ylim(-0.13, HEIGHT + 0.12)
    for name, share, begin, end in grid_lines():
        axes.plot(*zip(begin, end, strict=True), color="#00000022", linewidth=0.7, zorder=3)
        dx, dy, across = {"depth": (5, 0, "left"), "width": (-4, 4, "right"), "resolution": (0, -6, "center")}[name]
        axes.annotate(
            f"{100 * share:.0f} % {name}" if share == _NAMED[name] else f"{100 * share:.0f}",
            begin,
            xytext=(dx, dy),
            textcoords="offset points",
            ha=across,
            va="top" if name == "resolution" else "center",
            fontsize=7,
            color=GREY,
        )
    axes.plot([0, 1, 0.5, 0], [0, 0, HEIGHT, 0], color=GREY, linewidth=0.9, zorder=3)
    for text, (x, y), across in _CORNERS:
        axes.text(x, y, text, ha=across, va="center", fontsize=10, weight="bold", color=DARK_GREY)


def _draw_surface(axes: "Axes", surface: "Surface") -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.colors import BoundaryNorm, ListedColormap

    shades = bands(surface)
    for band in shades:
        # Without smoothing, since neighbours would let the page through between them.
        axes.add_collection(
            PolyCollection(band.polygons, facecolors=band.colour, edgecolors="none", antialiased=False, zorder=1)
        )
    axes.add_collection(LineCollection(outline(surface), colors=BLACK, linewidths=2, capstyle="round", zorder=4))
    colours = ListedColormap([band.colour for band in shades])
    figure = axes.get_figure(root=True)
    assert figure is not None
    bar = figure.colorbar(
        ScalarMappable(BoundaryNorm(range(len(shades) + 1), len(shades)), colours),
        ax=axes,
        pad=0.0,
        shrink=0.7,
        ticks=range(1, len(shades)),
    )
    bar.set_label("points of top-1 accuracy below the highest", fontsize=8)
    bar.ax.set_yticklabels([f"{100 * band.loss:g}" for band in shades[1:]], fontsize=8)
