"""The triangle of shares for several numbers of epochs as a picture: where the best shares lie for each."""

from typing import TYPE_CHECKING, Any

import numpy as np

from scaling_search.analysis.figures.shares import outline, spots
from scaling_search.analysis.figures.style import BLACK, DARK_GREY, drawing
from scaling_search.analysis.figures.triangle import draw_frame
from scaling_search.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scaling_search.analysis.findings.facts import Facts

_LINES = ("dotted", "dashed", "dashdot", "solid")
_MARKERS = ("v", "^", "s", "o")


def epochs_triangle(findings: "Facts") -> "Figure":
    """The region of best shares and its centre for each number of epochs, on one triangle.

    Raises:
        UserError: the run has done STEP 1 for one number of epochs, or has a region for none.

    """
    from matplotlib.collections import LineCollection

    by_epochs = findings.by_epochs
    regions = {} if by_epochs is None else by_epochs.regions
    if not regions:
        raise UserError(
            f"{findings.run.path} has no regions of best shares for several numbers of epochs",
            hint="try scaling-search run --recipe.epochs 4 8 16",
        )
    with drawing(6.2, 5.2) as figure:
        axes = figure.add_subplot()
        draw_frame(axes)
        for place, (epochs, surface) in enumerate(regions.items()):
            # From the back: the most epochs have the last of each, in black.
            behind = len(regions) - 1 - place
            colour = str(0.62 * behind / max(len(regions) - 1, 1))
            style: Any = {"color": colour, "linewidth": 1.8, "zorder": 4 + place}
            line = _LINES[-1 - behind % len(_LINES)]
            axes.add_collection(
                LineCollection(outline(surface), colors=colour, linewidths=1.8, linestyles=line, zorder=4 + place)
            )
            marker = _MARKERS[-1 - behind % len(_MARKERS)]
            centre = spots(np.array(surface.centre))
            axes.plot(
                *centre,
                marker,
                markersize=7 + 3 * behind,
                markeredgecolor=BLACK,
                color=colour,
                zorder=8,
                linestyle="none",
            )
            axes.plot([], [], linestyle=line, marker=marker, markersize=7, label=f"{epochs} epochs", **style)
        level = f"{100 * next(iter(regions.values())).confidence:g} %"
        axes.set_title(
            f"regions of the best shares, {level}, and their centres", fontsize=9, loc="left", color=DARK_GREY
        )
        figure.legend(loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure
