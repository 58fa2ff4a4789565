"""How a run ends before its plan does: Ctrl-C, SIGTERM, or as its time is up."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from types import FrameType
from typing import Protocol

from scaling_search.errors import OutOfTimeError, Terminated
from scaling_search.runners.tally import named
from scaling_search.training.checkpoints import Checkpoints
from scaling_search.trial import Spec

GRACE_SECONDS = 14.0
"""How long trainings have to write a checkpoint. A machine that is taken back goes 30 seconds after its notice, and
processes need a few of these to end."""
SHOWN = 10
"""Networks that are listed of those that are not trained yet."""


class Stopping(Protocol):
    """Trials that can be ended: `ray.trials.Trials`."""

    @property
    def busy(self) -> bool:
        """Whether any is being trained."""

    def stop(self) -> None:
        """Has no more be begun."""

    def left(self) -> Sequence[Spec]:
        """What is planned so far and not trained."""


class Ending:
    """Whether a run is to end, since when, and what it ends with.

    The first Ctrl-C, SIGTERM, and the end of `max_hours` have the trainings write `checkpoints` and end; a second
    Ctrl-C ends the run at once. Without checkpoints, signals do what they always do.
    """

    def __init__(
        self, checkpoints: Checkpoints | None, note: Callable[[str], None], max_hours: float | None = None
    ) -> None:
        self._checkpoints = checkpoints
        self._note = note
        self._max_hours = max_hours
        self._until = None if max_hours is None else time.monotonic() + 3600 * max_hours
        self._why: str | None = None
        self._since: float | None = None

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Takes signals in the body, where this is the main thread and nobody else does."""
        usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
        if self._checkpoints is None or threading.current_thread() is not threading.main_thread():
            usual = {}
        taken = {number: handler for number, handler in usual.items() if signal.getsignal(number) == handler}
        for number in taken:
            signal.signal(number, self._take)
        try:
            yield
        finally:
            for number, handler in taken.items():
                signal.signal(number, handler)

    def check(self, trials: Stopping) -> None:
        """Stops what is to stop. Raises what the run ends with once its trainings have ended, or have had their time.

        That is KeyboardInterrupt, Terminated or OutOfTimeError, whose message says how to go on.
        """
        now = time.monotonic()
        if self._why is None and self._until is not None and now > self._until:
            self._why = "time"
        if self._why is None:
            return
        if self._since is None:
            self._since = now
            trials.stop()
            if self._checkpoints is not None:
                self._checkpoints.stop()
                if trials.busy:
                    self._note(_SAID[self._why])
        if not trials.busy or now > self._since + GRACE_SECONDS:
            raise self._error(trials.left())

    def _take(self, number: int, frame: FrameType | None) -> None:
        # No more than this: the program may be anywhere, and hold any lock.
        if number == signal.SIGINT and self._why == "interrupt":
            raise KeyboardInterrupt
        self._why = "interrupt" if number == signal.SIGINT else self._why or "terminate"

    def _error(self, left: Sequence[Spec]) -> BaseException:
        held = 0 if self._checkpoints is None else self._checkpoints.held()
        kept = "finished trials are kept"
        if held:
            kept += f", and {held} other{'s' * (held > 1)} go{'es' * (held == 1)} on from a checkpoint"
        how = f"{kept}; run the same command again to continue"
        if self._why == "interrupt":
            return KeyboardInterrupt(f"interrupted: {how}")
        if self._why == "terminate":
            return Terminated(f"terminated: {how}")
        networks = [list(one) for _, one in groupby(left, key=lambda spec: (spec.network, spec.evaluate))]
        for specs in networks[:SHOWN]:
            seeds = ", ".join(str(spec.seed) for spec in specs)
            self._note(f"still to train: {specs[0].network.family} at {named(specs[0].network)}, seeds {seeds}")
        if len(networks) > SHOWN:
            self._note(f"and {len(networks) - SHOWN} networks more")
        return OutOfTimeError(
            f"stopped after {self._max_hours:g} hours, with {len(left)} trainings and what follows from them to do",
            how,
        )


_SAID = {
    "interrupt": "interrupted: long trainings write a checkpoint; press Ctrl-C again to end at once",
    "terminate": "terminated: long trainings write a checkpoint",
    "time": "the time is up: long trainings write a checkpoint",
}
