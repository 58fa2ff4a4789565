"""Many inputs of one target, in this process or in several, and what became of them.

Input number N of a seed is always the same. Each process says in shared memory which one it is at, so that one that it
does not survive, or hangs at, is known all the same.
"""

import json
import multiprocessing
import resource
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.context import SpawnProcess
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.targets import TARGETS, made

HANGS_SECONDS = 60.0
"""What no input may take."""
MEMORY = 6 * 2**30
"""Bytes of address space that a process may have, so that an input which asks for more memory fails in it."""
FIRST = 2**40
"""Inputs of one seed before those of the next."""


@dataclass(frozen=True)
class Finding:
    """An input that ended in anything but the documented error."""

    target: str
    number: int
    """Of the input: `seed * FIRST` and how many were before it."""
    what: str
    """The exception and where it was raised, or how the process ended."""
    trace: str = ""


@dataclass
class Tally:
    """What became of the inputs of one target."""

    target: str
    inputs: int = 0
    seconds: float = 0.0
    findings: dict[str, Finding] = field(default_factory=dict)
    """The first of each kind."""


def input_of(target: str, number: int) -> bytes:
    """An input by its number."""
    return made(target)[1](Random(number))


def run(target: str, numbers: Iterator[int], until: float, at: Any = None) -> Tally:
    """Reads the inputs of these numbers, until a time; `at` is a shared number that says which one it is at."""
    read, mutate = made(target)
    tally, began = Tally(target), time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in numbers:
            if at is not None:
                at.value = number
            try:
                read(mutate(Random(number)))
            except Exception as error:
                what, trace = _told(error)
                tally.findings.setdefault(what, Finding(target, number, what, trace))
            tally.inputs += 1
            if tally.inputs % 64 == 0 and time.monotonic() > until:
                break
    tally.seconds = time.monotonic() - began
    return tally


def _told(error: Exception) -> tuple[str, str]:
    """An exception with the last line of our own code that it came from, and its traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "scaling_search" in frame.filename or "/analysis/" in frame.filename]
    last = (ours or frames)[-1]
    where = f"{Path(last.filename).name}, in {last.name}: {last.line}"
    return f"{type(error).__name__} at {where}", "".join(traceback.format_exception(error))[-4000:]


def bound_memory() -> None:
    """Lets this process have no more than MEMORY, so that what asks for more fails."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def campaign(targets: dict[str, int], seed: int, processes: int, seconds: float, out: Path | None) -> dict[str, Tally]:
    """So many inputs of each target, shared out among processes, for so many seconds at most.

    A line of progress is printed every ten seconds. Inputs that are findings are written to `out`, with tracebacks, as
    is a summary.
    """
    context = multiprocessing.get_context("spawn")
    total = {name: Tally(name) for name in targets}
    began = told = time.monotonic()
    until = began + seconds
    waiting, working = _tasks(targets, seed, processes), []
    while waiting or working:
        while waiting and len(working) < processes and time.monotonic() < until:
            working.append(_Worker(context, *waiting.pop(0), until))
        if time.monotonic() >= until:
            waiting.clear()
        time.sleep(0.05)
        for worker in working[:]:
            if (tally := worker.ended()) is None:
                continue
            working.remove(worker)
            mine = total[worker.target]
            mine.inputs += tally.inputs
            mine.seconds += tally.seconds
            for what, finding in tally.findings.items():
                if what not in mine.findings:
                    mine.findings[what] = finding
                    _keep(finding, out)
            if worker.left:
                waiting.append((worker.target, worker.left))
        if time.monotonic() - told >= 10 or not (waiting or working):
            told = time.monotonic()
            done = sum(one.inputs for one in total.values()) + sum(worker.done for worker in working)
            found = sum(len(one.findings) for one in total.values())
            print(f"{told - began:.0f} s: {done:,} of {sum(targets.values()):,} inputs, {found} findings", flush=True)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        summary = {
            name: {"inputs": one.inputs, "seconds": one.seconds, "findings": list(one.findings)}
            for name, one in total.items()
        }
        (out / f"summary-{seed}.json").write_text(json.dumps(summary, indent=1))
    return total


def _tasks(targets: dict[str, int], seed: int, processes: int) -> list[tuple[str, range]]:
    """Numbers of inputs, in tasks of about the same time; the first of every target before the second of any."""
    whole = sum(inputs * TARGETS[name].cost for name, inputs in targets.items())
    most = whole / (2 * processes)
    tasks = []
    for name, inputs in targets.items():
        size = max(1, -(-inputs // max(1, round(inputs * TARGETS[name].cost / most))))
        for turn, start in enumerate(range(0, inputs, size)):
            end = min(start + size, inputs)
            tasks.append((turn, name, range(seed * FIRST + start, seed * FIRST + end)))
    return [(name, numbers) for _, name, numbers in sorted(tasks, key=lambda task: task[0])]


class _Worker:
    """A process that reads inputs of a target."""

    def __init__(self, context: Any, target: str, numbers: range, until: float) -> None:
        self.target, self.left = target, range(0)
        self._numbers, self._until = numbers, until
        self._at = context.Value("Q", numbers.start, lock=False)
        self._results, theirs = context.Pipe(duplex=False)
        self._process: SpawnProcess = context.Process(
            target=_work, args=(target, numbers, until - time.monotonic(), self._at, theirs), daemon=True
        )
        self._process.start()
        theirs.close()
        self._seen, self._since = -1, time.monotonic()

    @property
    def done(self) -> int:
        """How many inputs it has read."""
        return self._at.value - self._numbers.start

    def ended(self) -> Tally | None:
        """What it has come to, if it has: also where an input was its end."""
        if self._results.poll():
            try:
                tally: Tally = self._results.recv()
            except EOFError:
                self._process.join()
                return self._lost(f"the process ended with {self._process.exitcode}")
            self._process.join()
            return tally
        now, number = time.monotonic(), self._at.value
        if number != self._seen:
            self._seen, self._since = number, now
        # Importing takes its time too.
        if now - self._since > HANGS_SECONDS * (4 if number == self._numbers.start else 1):
            self._process.kill()
            self._process.join()
            return self._lost(f"it takes longer than {HANGS_SECONDS:.0f} s")
        return None

    def _lost(self, what: str) -> Tally:
        number = self._at.value
        self.left = range(number + 1, self._numbers.stop)
        return Tally(self.target, self.done + 1, 0.0, {what: Finding(self.target, number, what)})


def _work(target: str, numbers: range, seconds: float, at: Any, results: Any) -> None:
    until = time.monotonic() + seconds
    try:
        made(target)
    except ImportError as error:
        print(f"{target} is left out: {error}", file=sys.stderr)
        results.send(Tally(target))
        return
    bound_memory()
    results.send(run(target, iter(numbers), until, at))


def _keep(finding: Finding, out: Path | None) -> None:
    print(f"{finding.target}, input {finding.number}: {finding.what}", flush=True)
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{finding.target}-{finding.number}.txt").write_text(f"{finding.what}\n{finding.trace}", encoding="utf-8")
    (out / f"{finding.target}-{finding.number}.input").write_bytes(input_of(finding.target, finding.number))
