"""What judges trainings and draws pictures, loaded while others are trained."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from threading import Thread

from scaling_search.trial import Outcome, Spec
from scaling_search.uncollected import uncollected

MODULES = (
    *("pandas", "scipy.stats", "scaling_search.analysis.figures.of_run"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg"),
)


class LoadsJudges:
    """Watches a plan, and loads `MODULES` once a training has ended.

    Judging a batch would begin by that, for a second in which nothing is trained. Before the first training has ended,
    it would keep that waiting.
    """

    def __init__(self) -> None:
        # No daemon: one that is ended while it loads a library may crash the process.
        self._thread = Thread(target=_load)

    def started(self, slots: int) -> None:
        """Nothing has ended yet."""

    def planned(self, specs: Sequence[Spec], known: Mapping[str, Outcome]) -> None:
        """Nothing needs to have ended."""

    def finished(self, spec: Spec, outcome: Outcome) -> None:
        """A training has ended."""
        if self._thread.ident is None:
            self._thread.start()


def _load() -> None:
    with uncollected():
        for name in MODULES:
            import_module(name)
