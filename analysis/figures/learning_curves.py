"""Learning curves of the networks of a run."""

from typing import TYPE_CHECKING

import numpy as np

from scaling_search.analysis.figures.style import ACCURACY, drawing, plain_axes
from scaling_search.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def learning_curves(curves: "pd.DataFrame", trials: "pd.DataFrame") -> "Figure":
    """Training loss, and accuracy on the validation split where it was looked at, by epoch: one line a network.

    Arguments are `curves` and `trials` of a Run or of Runs. Lines are means over seeds, and the larger a network the
    lighter its line, in colours whose order grey keeps. Raises UserError where no trial has a curve.
    """
    # A trial that several runs share counts once, and the test split is not looked at.
    judged = trials[trials["evaluate"] == "validation"].drop_duplicates("key")
    table = curves.drop_duplicates(["key", "epoch"]).merge(judged[["key", "fingerprint", "multiply_adds"]], on="key")
    if table.empty:
        raise UserError("no trial here has a learning curve", hint="go on by scaling-search resume RUN")
    sizes = table.groupby("fingerprint")["multiply_adds"].first().sort_values(kind="stable")
    means = table.groupby(["fingerprint", "epoch"], as_index=False)[["train_loss", "accuracy"]].mean()
    with drawing(7.0, 3.1) as figure:
        from matplotlib import colormaps
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import ListedColormap, LogNorm
        from matplotlib.ticker import NullFormatter

        from scaling_search.analysis.figures.counts import CountFormatter, CountLocator

        # Cut short of the palest yellow, which white paper swallows.
        colours = ListedColormap(colormaps["cividis"](np.linspace(0, 0.92, 256)))
        low, high = float(sizes.min()), float(sizes.max())
        scale = LogNorm(low, high if high > low else 1.01 * low)
        left, right = figure.subplots(1, 2, sharex=True)
        for name, size in sizes.items():
            curve, colour = means[means["fingerprint"] == name], colours(scale(size))
            left.plot(curve["epoch"], curve["train_loss"], color=colour, linewidth=1.1)
            seen = curve[curve["accuracy"].notna()]
            right.plot(seen["epoch"], 100 * seen["accuracy"], color=colour, linewidth=1.1, marker="o", markersize=2.5)
        left.set_ylabel("training loss", fontsize=9)
        right.set_ylabel(ACCURACY, fontsize=8)
        for axes in (left, right):
            axes.set_xlabel("epoch", fontsize=9)
            axes.tick_params(labelsize=8)
            axes.xaxis.get_major_locator().set_params(integer=True)
            plain_axes(axes)
        bar = figure.colorbar(ScalarMappable(scale, colours), ax=[left, right], pad=0.02, aspect=30)
        bar.ax.yaxis.set_major_locator(CountLocator(10))
        bar.ax.yaxis.set_major_formatter(CountFormatter())
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
        bar.set_label("multiply-adds for one image", fontsize=8)
        bar.ax.tick_params(labelsize=8)
    return figure
