"""Ticks of an axis of counts, for matplotlib."""

from collections.abc import Sequence
from typing import Any

from matplotlib.ticker import Formatter, Locator

from scaling_search.analysis.text.ticks import count_texts, log_ticks


class CountLocator(Locator):
    """At most `most` ticks by `log_ticks`."""

    def __init__(self, most: int) -> None:
        self._most = most

    def __call__(self) -> Any:
        """The ticks of the part of the axis that is seen."""
        assert self.axis is not None
        return self.tick_values(*self.axis.get_view_interval())

    def tick_values(self, vmin: float, vmax: float) -> Any:
        """The ticks between two counts."""
        return log_ticks(min(vmin, vmax), max(vmin, vmax), self._most)


class CountFormatter(Formatter):
    """The texts of `count_texts`."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The text of one count by itself."""
        return count_texts([x])[0]

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """The texts of all ticks together."""
        return count_texts(values)
