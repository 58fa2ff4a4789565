"""Where the time of a run went, phase by phase, for `--timings`."""

import sys
import time
from collections.abc import Mapping, Sequence
from statistics import median

from scaling_search.trial import Outcome, Spec

PHASES = ("build", "trace", "compile", "data", "train", "evaluate")
"""What an outcome says the seconds of."""


class Timings:
    """Watches a plan and adds up, over all workers, what its time was spent on."""

    def __init__(self, began: float) -> None:
        """`began` is when the command started, by `time.monotonic`."""
        self._began = self._first = self._last = began
        self._workers = 1
        self._phases: dict[str, float] = {}
        self._outcomes: dict[tuple[str, str], list[Outcome]] = {}

    def started(self, slots: int) -> None:
        """Groups are trained, so many at a time."""
        self._workers = slots

    def planned(self, specs: Sequence[Spec], known: Mapping[str, Outcome]) -> None:
        """Takes no time."""

    def finished(self, spec: Spec, outcome: Outcome) -> None:
        """A trial came to its end."""
        self._last = time.monotonic()
        if not self._phases:
            self._first = self._last - sum(outcome.seconds.values())
            self._phases = dict.fromkeys(PHASES, 0.0)
        for phase, seconds in outcome.seconds.items():
            self._phases[phase] += seconds
        if outcome.precision and outcome.images_per_second:
            self._outcomes.setdefault((outcome.device, outcome.precision), []).append(outcome)

    def rows(self, now: float) -> dict[str, float]:
        """Seconds of all workers together by phase; they add up to the time since the command started."""
        waited = (self._last - self._first) * self._workers - sum(self._phases.values())
        return {
            "start-up": (self._first - self._began) * self._workers,
            **self._phases,
            "idle": max(0.0, waited),
            "end": (now - self._last) * self._workers,
        }

    def speeds(self) -> list[str]:
        """A line for each kind of device: the median images per second, and the median share of its peak."""
        lines = []
        for (device, precision), outcomes in self._outcomes.items():
            rate = median(outcome.images_per_second or 0.0 for outcome in outcomes)
            shares = [outcome.utilisation for outcome in outcomes if outcome.utilisation is not None]
            share = f", {100 * median(shares):.2g} % of its peak" if shares else ""
            lines.append(
                f"  {device} in {precision}: {rate:,.0f} images/s{share} (median of {len(outcomes)} trainings)"
            )
        return lines

    def show(self) -> None:
        """Prints the rows on stderr."""
        now = time.monotonic()
        rows = self.rows(now)
        total = sum(rows.values())
        lines = [
            f"{now - self._began:.1f} s from start to tables, on {self._workers} workers: where {total:.1f} s went",
            *(f"  {phase:<9}{seconds:8.1f} s{100 * seconds / total:6.1f} %" for phase, seconds in rows.items()),
            *self.speeds(),
            "start-up: until the first training; data: trainings waiting for images; idle: workers without a trial; "
            "end: shutdown of Ray, tables, figures",
        ]
        print("\n".join(lines), file=sys.stderr)
