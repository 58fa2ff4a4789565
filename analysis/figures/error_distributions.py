"""Distributions of error over populations of networks."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from scaling_search.analysis.figures.style import SERIES, drawing, plain_axes
from scaling_search.analysis.statistics.pareto import error_distribution
from scaling_search.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def error_distributions(populations: "Mapping[str, pd.DataFrame]") -> "Figure":
    """The share of each population's networks with at most an error, as in "Designing Network Design Spaces".

    `populations` has by name a frame with one row a network and its `val_accuracy` (0..1). The legend says, as there,
    how many networks, their least and their mean error in per cent. Raises UserError where no network has an accuracy.
    """
    measured = {name: frame[frame["val_accuracy"].notna()] for name, frame in populations.items()}
    measured = {name: frame for name, frame in measured.items() if len(frame)}
    if not measured:
        raise UserError("no network here has an accuracy", hint="train some first")
    with drawing(5.2, 4.0) as figure:
        axes = figure.add_subplot()
        for index, (name, frame) in enumerate(measured.items()):
            colour, _, line = SERIES[index % len(SERIES)]
            table = error_distribution(frame)
            error = 100 * (1 - frame["val_accuracy"])
            # From 0 at the least error, so that the first step is drawn.
            x, y = [100 * table["error"].iloc[0], *(100 * table["error"])], [0.0, *table["share"]]
            label = f"{name}: {len(frame)} networks, least {error.min():.1f} %, mean {error.mean():.1f} %"
            axes.step(x, y, where="post", color=colour, linestyle=line, linewidth=1.6, label=label)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("top-1 error on the validation split, %")
        axes.set_ylabel("share of networks up to this error")
        plain_axes(axes)
        figure.legend(loc="outside lower center", fontsize=8, frameon=False)
    return figure
