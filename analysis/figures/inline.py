"""A figure that a notebook shows as the value of its cell, without matplotlib's global state."""

from matplotlib.figure import Figure

from scaling_search.analysis.figures.files import render


class InlineFigure(Figure):
    """A matplotlib Figure that IPython shows at 100 pixels an inch, rendered twice as sharp."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """The picture, and its size on the page."""
        width, height = (round(100 * inches) for inches in self.get_size_inches())
        return render(self, "png"), {"width": width, "height": height}
