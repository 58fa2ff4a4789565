"""A class activation map over its picture, as in the paper's Figure 7."""

from typing import TYPE_CHECKING

import numpy as np

from scaling_search.analysis.figures.style import drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def class_activation_figure(picture: np.ndarray, activation: np.ndarray, caption: str) -> "Figure":
    """A picture (H, W, 3) uint8 beside itself under its map (H', W'), which is enlarged bilinearly.

    Yellow is what speaks most for the class and dark blue what speaks least, by the map's own range, in a colour map
    that keeps its order in grey.
    """
    with drawing(7.2, 3.9) as figure:
        plain, mapped = figure.subplots(1, 2)
        height, width = picture.shape[:2]
        plain.imshow(picture)
        mapped.imshow(picture.mean(-1), cmap="gray")
        extent = (-0.5, width - 0.5, height - 0.5, -0.5)
        shade = mapped.imshow(activation, cmap="viridis", alpha=0.55, interpolation="bilinear", extent=extent)
        figure.colorbar(shade, ax=mapped, shrink=0.8, label="part of the logit")
        for axes in (plain, mapped):
            axes.set_axis_off()
        figure.suptitle(caption, fontsize=10)
    return figure
