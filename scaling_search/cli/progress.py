"""What a person sees while trials run: how many are done, the best so far, and when it ends. All on stderr."""

import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from scaling_search.rule import Scale
from scaling_search.trial import Network, Outcome, Spec

if TYPE_CHECKING:
    from rich.status import Status

HEARTBEAT_SECONDS = 10.0


class ProgressDisplay:
    """Watches a plan: a bar on a terminal, a line every ten seconds elsewhere. Use it as a context manager."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._began = time.monotonic()
        self._phase = ""
        self._total = self._done = self._reused = self._failed = 0
        self._seen: set[str] = set()
        self._work_planned = self._work_done = 0.0
        self._best: tuple[float, str] | None = None
        self._stop = threading.Event()
        self._status: Status | None = None
        self._heart = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.status import Status

            self._status = Status(self._line(), console=Console(stderr=True))
            self._status.start()
        self._heart.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._heart.join()
        if self._status is not None:
            self._status.stop()
        if kind is None:
            self.note(self._line())

    def note(self, line: str) -> None:
        """Prints a line above the bar."""
        with self._lock:
            if self._status is not None:
                self._status.console.print(line, highlight=False, markup=False)
            else:
                print(line, file=sys.stderr, flush=True)

    def phase(self, name: str) -> None:
        """Names what the next trials are for."""
        with self._lock:
            self._phase = name

    def started(self, slots: int) -> None:
        """Shows nothing of it."""

    def planned(self, specs: Sequence[Spec], already: int) -> None:
        """More trials are planned, `already` of which are done: by an earlier batch, or in the store."""
        with self._lock:
            new = [spec for spec in specs if spec.key not in self._seen]
            stored = already - (len(specs) - len(new))
            self._seen.update(spec.key for spec in new)
            self._total += len(new)
            self._done += stored
            self._reused += stored
            if new:
                # What the store holds takes no time now; each of the rest takes about its share.
                self._work_planned += sum(map(_work, new)) * (len(new) - stored) / len(new)

    def finished(self, spec: Spec, outcome: Outcome) -> None:
        """A trial came to its end."""
        with self._lock:
            self._done += 1
            self._work_done += _work(spec)
            if outcome.status != "ok":
                self._failed += 1
                self.note(f"trial {spec.key} {outcome.status}: {outcome.reason}")
            elif spec.evaluate == "validation" and outcome.accuracy is not None:
                self._best = max(self._best or (-1.0, ""), (outcome.accuracy, _named(spec.network)))
        self._show()

    def _line(self) -> str:
        with self._lock:
            best = f"{100 * self._best[0]:.1f} % ({self._best[1]})" if self._best else "none yet"
            parts = [
                f"{self._phase or 'starting'}: {self._done} of {self._total} trials done",
                f"best so far {best}",
                f"{_clock(time.monotonic() - self._began)} elapsed, ETA {self._eta()}",
            ]
            if self._reused:
                parts.insert(1, f"{self._reused} from the store")
            if self._failed:
                parts.insert(1, f"{self._failed} failed")
            return "; ".join(parts)

    def _eta(self) -> str:
        if self._total and self._done >= self._total:
            return "now"
        if not self._work_done:
            return "after the first trial"
        elapsed = time.monotonic() - self._began
        return _clock(elapsed * max(0.0, self._work_planned / self._work_done - 1))

    def _show(self) -> None:
        if self._status is not None:
            self._status.update(self._line())

    def _beat(self) -> None:
        interval = 1.0 if self._status is not None else HEARTBEAT_SECONDS
        if self._status is None:
            self.note(self._line())
        while not self._stop.wait(interval):
            if self._status is not None:
                self._show()
            else:
                self.note(self._line())


def _named(network: Network) -> str:
    """What tells a network from the others of its run."""
    scale = network.scale
    if scale == Scale() and network.options:
        return network.options[0]
    return f"d {scale.depth:.2f}, w {scale.width:.2f}, r {scale.resolution:.2f}"


def _work(spec: Spec) -> float:
    """A trial's share of the time: its multiply-adds, and a part that is the same for all, compiling above all."""
    return spec.recipe.epochs * spec.network.multiply_adds + 3e7


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
