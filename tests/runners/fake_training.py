"""Specs, data and a training that takes no time, for tests of what runs a plan."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

import scaling_search
from scaling_search.config import Split
from scaling_search.data import ImageData, from_arrays
from scaling_search.errors import UserError
from scaling_search.recipe import Recipe
from scaling_search.rule import Scale
from scaling_search.trial import Network, Outcome, Spec

DATA = from_arrays(np.ones((40, 8, 8, 1), np.uint8), np.arange(40) % 2, name="ones")
SHOWN = ("OMP_NUM_THREADS", "XLA_FLAGS", "MARK", "CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS", "JAX_COMPILATION_CACHE_DIR")


def seeds_of(name: str, *seeds: int, multiply_adds: int = 100) -> list[Spec]:
    """The specs of a network. What comes before a colon in its name is what happens when it is trained."""
    network = Network(name.partition(":")[0], (), Scale(), 8, 2, name, 1, multiply_adds, 1)
    return [Spec(network, Recipe(), DATA.identity, Split(), seed) for seed in seeds]


def accuracy_of(spec: Spec) -> float:
    return int(spec.key, 16) / 16 ** len(spec.key)


def meet(spec: Spec) -> None:
    """Waits until as many specs of the same round are being trained as the network's name says."""
    _, round_, _, count = spec.network.fingerprint.split(":")
    place = Path(os.environ["MARK"])
    (place / f"{round_}-{spec.key}").touch()
    until = time.monotonic() + 60
    while len(list(place.glob(f"{round_}-*"))) < int(count) and time.monotonic() < until:
        time.sleep(0.01)


@contextlib.contextmanager
def alone_or_killed() -> Iterator[None]:
    """Is killed where another is in the body, as where memory suffices for one. The first one waits for that."""
    place = Path(os.environ["MARK"])
    mine = place / f"greedy-{os.getpid()}"
    mine.touch()
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until and not any((place / "kills").iterdir()):
            if any(other < mine for other in place.glob("greedy-*")):
                (place / "kills" / str(os.getpid())).touch()
                mine.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.05)
        yield
    finally:
        mine.unlink(missing_ok=True)


def train(group: Sequence[Spec], data: ImageData) -> Iterator[Outcome]:
    for spec in group:
        match spec.network.family:
            case "refuse":
                raise UserError("a batch of 9 given", "8 is all there is")
            case "break":
                raise ValueError("no\n  way")
            case "stop":
                return
            case "break_at_seed_1" if spec.seed == 1:
                raise ValueError("seed 1")
            case "die_at_seed_1" if spec.seed == 1:
                os._exit(1)
            case "exit":
                # Status 137 is what a container says of a process that the kernel killed for memory, 124 of a timeout.
                os._exit(int(spec.network.fingerprint.partition(":")[2]))
            case "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "die_once" | "hang_once" as family:
                marker = Path(os.environ["MARK"]) / spec.key
                if not marker.exists():
                    marker.touch()
                    time.sleep(1000) if family == "hang_once" else os._exit(1)
            case "meet":
                meet(spec)
            case "hang_on_spot" if os.environ.get("SPOT"):
                (Path(os.environ["MARK"]) / "hangs").touch()
                time.sleep(1000)
            case "greedy":
                with alone_or_killed():
                    time.sleep(1)
            case "sleep":
                time.sleep(1000)
        process = {
            "pid": os.getpid(),
            "cores": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [],
            "folder": str(Path.cwd()),
            "environment": {name: os.environ.get(name) for name in SHOWN},
            "code": scaling_search.__file__,
            "pixels": int(data.images.sum()),
        }
        yield Outcome("ok", accuracy=accuracy_of(spec), device=json.dumps(process))


class Notes:
    """A watcher, and a place for outcomes, that remembers what it was told."""

    def __init__(self) -> None:
        self.planned_batches: list[tuple[int, int]] = []
        self.order: list[tuple[str, int]] = []
        self.recorded: dict[str, Outcome] = {}

    def started(self, slots: int) -> None:
        self.slots = slots

    def planned(self, specs: Sequence[Spec], known: Mapping[str, Outcome]) -> None:
        self.planned_batches.append((len(specs), len(known)))

    def finished(self, spec: Spec, outcome: Outcome) -> None:
        self.order.append((spec.network.fingerprint, spec.seed))

    def record(self, spec: Spec, outcome: Outcome) -> None:
        assert spec.key not in self.recorded
        self.recorded[spec.key] = outcome
