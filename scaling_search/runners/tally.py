"""How far a run is: trials done, the best so far and the time left, from what a watcher is told."""

from collections import Counter
from collections.abc import Mapping, Sequence

from scaling_search.rule import Scale
from scaling_search.trial import Network, Outcome, Spec


class Tally:
    """Counts the trials of a run. Times are those of one clock, in seconds."""

    phase = ""
    """What the trials are for, in words."""
    checkpoint_bytes = 0
    """What checkpoints of trainings that go on take on disk."""

    def __init__(self, began: float) -> None:
        """`began` is when the run did."""
        self._began = self._training_began = began
        self._slots = 1
        self._last_finished = began
        self._seen: set[str] = set()
        self._statuses: Counter[str] = Counter()
        self._from_store = 0
        self._best: tuple[float, str] | None = None
        self._work_planned = self._work_done = 0.0
        self._stored_work = self._stored_seconds = 0.0

    def started(self, slots: int, now: float) -> None:
        """Training begins, `slots` groups at a time."""
        self._slots, self._training_began = slots, now

    def planned(self, specs: Sequence[Spec], known: Mapping[str, Outcome]) -> None:
        """More trials are planned; `known` has the outcomes, by key, of those that are done."""
        for spec in specs:
            if spec.key in self._seen:
                continue
            self._seen.add(spec.key)
            if spec.key in known:
                self._from_store += 1
                self._stored_work += _work(spec)
                self._stored_seconds += sum(known[spec.key].seconds.values())
                self._count(spec, known[spec.key])
            else:
                self._work_planned += _work(spec)

    def finished(self, spec: Spec, outcome: Outcome, now: float) -> None:
        """A training has ended."""
        self._last_finished = now
        self._work_done += _work(spec)
        self._count(spec, outcome)

    @property
    def fraction(self) -> float:
        """The part of the planned trials that is done, 0..1."""
        return self._statuses.total() / len(self._seen) if self._seen else 0.0

    def line(self, now: float) -> str:
        """Where the run stands, in words."""
        parts = [f"{self.phase or 'starting'}: {self._statuses.total()} of {len(self._seen)} trials done"]
        if self._from_store:
            parts.append(f"{self._from_store} from the store")
        parts += [
            f"{self._statuses[status]} {words}"
            for status, words in (("failed", "failed"), ("crashed", "crashed"), ("missing", "missing from the table"))
            if self._statuses[status]
        ]
        if self._best:
            parts.append(f"best so far {100 * self._best[0]:.1f} % ({self._best[1]})")
        if self.checkpoint_bytes:
            parts.append(f"checkpoints take {self.checkpoint_bytes / 1e6:,.1f} MB")
        times = f"{_clock(now - self._began)} elapsed"
        if self.fraction < 1:
            left = self._seconds_left(now)
            times += f", ETA {'unknown' if left is None else _clock(left)}"
        return "; ".join([*parts, times])

    def _count(self, spec: Spec, outcome: Outcome) -> None:
        self._statuses[outcome.status] += 1
        if spec.evaluate == "validation" and outcome.accuracy is not None:
            self._best = max(self._best or (-1.0, ""), (outcome.accuracy, named(spec.network)))

    def _seconds_left(self, now: float) -> float | None:
        """By the trainings so far; before the first has ended, by what those in the store took."""
        if self._work_done:
            total = (self._last_finished - self._training_began) * self._work_planned / self._work_done
        elif self._stored_seconds:
            total = self._stored_seconds * self._work_planned / self._stored_work / self._slots
        else:
            return None
        return max(0.0, total - (now - self._training_began))


def named(network: Network) -> str:
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
