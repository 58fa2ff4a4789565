"""A confusion matrix."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from scaling_search.analysis.figures.style import drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMED = 40
"""Classes up to which each row and column has its name."""
COUNTED = 15
"""Classes up to which each cell has its share."""


def confusion_matrix(counts: np.ndarray, classes: Sequence[str]) -> "Figure":
    """Images (K, K) by their class (rows) and the class predicted (columns), as shares of each row.

    Classes without images are left out.
    """
    present = np.flatnonzero(counts.sum(0) + counts.sum(1))
    counts = counts[np.ix_(present, present)]
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    size = 2.6 + 0.32 * min(len(present), NAMED)
    with drawing(size + 1, size) as figure:
        axes = figure.subplots()
        shade = axes.imshow(100 * shares, cmap="viridis", vmin=0, vmax=100)
        figure.colorbar(shade, ax=axes, shrink=0.8, label="% of the class")
        axes.set(xlabel="predicted class", ylabel="class")
        if len(present) <= NAMED:
            names = [classes[int(index)] for index in present]
            axes.set_xticks(range(len(names)), names, rotation=90)
            axes.set_yticks(range(len(names)), names)
        if len(present) <= COUNTED:
            for row, column in np.argwhere(counts):
                dark = shares[row, column] < 0.6
                text = f"{100 * shares[row, column]:.0f}"
                axes.text(column, row, text, ha="center", va="center", fontsize=7, color="w" if dark else "k")
    return figure
