"""What a person sees while trials run: how many are done, the best so far and the time left.

A line that is kept up to date on a terminal, a bar in the cell of a notebook, a line every ten seconds elsewhere. All
but the notebook's goes to stderr.
"""

import html
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeAlias

from scaling_search.errors import UserError, printable
from scaling_search.runners.progress import Progress
from scaling_search.runners.tally import Tally
from scaling_search.trial import Outcome, Spec

HEARTBEAT_SECONDS = 10.0

ProgressSetting: TypeAlias = Literal["auto"] | None
"""How a run shows its progress: as suits where it runs, or not at all."""


class ManagedProgress(Progress, AbstractContextManager["ManagedProgress"], Protocol):
    """Progress that is shown in the body of a `with`."""


def display_for(progress: ProgressSetting) -> ManagedProgress:
    """A display that suits where this process runs for "auto", a silent one for None.

    Raises UserError for anything else.
    """
    if progress is None:
        return Silence()
    if progress != "auto":
        raise UserError(f"progress={progress!r}", 'progress is "auto" or None')
    if _in_notebook():
        return ProgressDisplay(NotebookScreen())
    return ProgressDisplay(TerminalScreen() if sys.stderr.isatty() else LineScreen())


class Silence:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def note(self, line: str) -> None:
        """Shows nothing."""

    def phase(self, name: str) -> None:
        """Shows nothing."""

    def checkpoints(self, size: Callable[[], int]) -> None:
        """Shows nothing."""

    def started(self, slots: int) -> None:
        """Shows nothing."""

    def planned(self, specs: Sequence[Spec], known: Mapping[str, Outcome]) -> None:
        """Shows nothing."""

    def finished(self, spec: Spec, outcome: Outcome) -> None:
        """Shows nothing."""


class Screen(Protocol):
    """Where progress is shown. Called by one thread at a time."""

    interval: float
    """Seconds between updates."""

    def open(self) -> None:
        """Starts to show."""

    def note(self, line: str) -> None:
        """Shows a line that stays."""

    def update(self, line: str, done: float) -> None:
        """Shows where things stand: `line` in words, `done` as a fraction."""

    def close(self) -> None:
        """Leaves the last update to be seen."""


class LineScreen:
    """A line on stderr for every update, for logs and pipes."""

    interval = HEARTBEAT_SECONDS

    def open(self) -> None:
        """Needs no start."""

    def note(self, line: str) -> None:
        """Prints the line."""
        print(printable(line), file=sys.stderr, flush=True)

    def update(self, line: str, done: float) -> None:
        """Prints the line."""
        self.note(line)

    def close(self) -> None:
        """Needs no end."""


class TerminalScreen:
    """One line at the bottom of a terminal, with notes above it."""

    interval = 1.0

    def __init__(self) -> None:
        from rich.console import Console
        from rich.status import Status

        self._line = ""
        self._status = Status("", console=Console(stderr=True))

    def open(self) -> None:
        """Shows the line."""
        self._status.start()

    def note(self, line: str) -> None:
        """Prints the line above."""
        self._status.console.print(printable(line), highlight=False, markup=False, soft_wrap=True)

    def update(self, line: str, done: float) -> None:
        """Replaces the line."""
        from rich.text import Text

        self._line = line
        self._status.update(Text(line))

    def close(self) -> None:
        """Prints the line for good."""
        self._status.stop()
        self.note(self._line)


class NotebookScreen:
    """A bar in the output of the cell that runs, with the notes above it."""

    interval = 1.0

    def __init__(self) -> None:
        self._notes: list[str] = []
        self._line = ""
        self._done = 0.0
        self._handle: Any = None

    def open(self) -> None:
        """Adds the bar to the cell's output, where `update` replaces it from whatever thread."""
        from IPython.display import display

        self._handle = display(self._content(), raw=True, display_id=True)

    def note(self, line: str) -> None:
        """Adds the line above the bar."""
        self._notes.append(line)
        self._handle.update(self._content(), raw=True)

    def update(self, line: str, done: float) -> None:
        """Moves the bar."""
        self._line, self._done = line, done
        self._handle.update(self._content(), raw=True)

    def close(self) -> None:
        """Leaves the bar as it is."""

    def _content(self) -> dict[str, str]:
        notes = "<br>".join(map(html.escape, self._notes))
        bar = f'<progress value="{self._done:.4f}" max="1" style="width: 100%"></progress>'
        return {
            "text/html": f"<div>{notes}</div><div>{bar}<br>{html.escape(self._line)}</div>",
            "text/plain": "\n".join([*self._notes, self._line]),
        }


class ProgressDisplay:
    """Watches a plan and shows on a screen how far it is. Use it as a context manager."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._lock = threading.Lock()
        self._tally = Tally(time.monotonic())
        self._size: Callable[[], int] = lambda: 0
        self._counted = float("-inf")
        self._stop = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self._screen.open()
        self._heart.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._heart.join()
        self._update()
        with self._shown():
            self._screen.close()

    def note(self, line: str) -> None:
        """Shows a line that stays."""
        with self._shown():
            self._screen.note(line)

    def phase(self, name: str) -> None:
        """Names what the next trials are for."""
        self._tally.phase = name

    def checkpoints(self, size: Callable[[], int]) -> None:
        """Shows how many bytes checkpoints take, counted as often as there is a line away from a terminal."""
        self._size = size

    def started(self, slots: int) -> None:
        """Training begins, `slots` groups at a time."""
        with self._lock:
            self._tally.started(slots, time.monotonic())

    def planned(self, specs: Sequence[Spec], known: Mapping[str, Outcome]) -> None:
        """More trials are planned, some of which may be done."""
        with self._lock:
            self._tally.planned(specs, known)

    def finished(self, spec: Spec, outcome: Outcome) -> None:
        """A training has ended."""
        with self._lock:
            self._tally.finished(spec, outcome, time.monotonic())
        # What is missing is counted: a table that lacks one training may lack a hundred.
        if outcome.status in ("failed", "crashed"):
            self.note(f"trial {spec.key} {outcome.status}: {outcome.reason}")
        if outcome.note:
            self.note(f"trial {spec.key}: {outcome.note}")

    def _beat(self) -> None:
        self._update()
        while not self._stop.wait(self._screen.interval):
            self._update()

    def _update(self) -> None:
        now = time.monotonic()
        if now - self._counted >= HEARTBEAT_SECONDS:
            self._counted, self._tally.checkpoint_bytes = now, self._size()
        with self._shown():
            self._screen.update(self._tally.line(time.monotonic()), self._tally.fraction)

    @contextmanager
    def _shown(self) -> Iterator[None]:
        """One thread at a time. A terminal that has gone, or a full disk behind stderr, must not end the run."""
        with self._lock, suppress(OSError):
            yield


def _in_notebook() -> bool:
    """Whether this is a Jupyter kernel. A terminal's IPython is none."""
    ipython = sys.modules.get("IPython")
    return getattr(ipython and ipython.get_ipython(), "kernel", None) is not None
