"""A figure that a notebook shows as the value of its cell, without any state of matplotlib's."""

from matplotlib.figure import Figure

from scaling_search.analysis.figures.style import render


class InlineFigure(Figure):
    """A matplotlib Figure that IPython shows at its size in inches, at 100 pixels an inch, twice as sharp."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """The picture and what its size on the page is."""
        width, height = (round(100 * inches) for inches in self.get_size_inches())
        return render(self, "png"), {"width": width, "height": height}
