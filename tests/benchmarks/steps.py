"""Training steps of both sides in one run: all processes are kept, and take turns, so that noise meets both alike."""

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling_search import native
from scaling_search.recipe import Precision
from scaling_search.training.environment import HUGE_PAGES, training_environment, with_users_flags

ROOT = Path(__file__).parents[2]
OURS = ("ours", "ours pure")
PEERS = ("timm eager", "timm channels_last", "timm compiled")
BUSY = 0.12
"""A reading counts where other processes took less than so many cores meanwhile."""


@dataclass(frozen=True)
class Setting:
    """What is trained."""

    network: str
    pixels: int
    batch: int
    precision: Precision = "float32"

    def __str__(self) -> str:
        precision = "" if self.precision == "float32" else f", {self.precision}"
        return f"{self.network}, {self.pixels} px, batch {self.batch}{precision}"


SETTINGS = (
    Setting("efficientnet_b0", 32, 64),
    Setting("efficientnet_b0", 96, 32),
    Setting("efficientnet_b0", 224, 16),
    Setting("resnet50", 96, 32),
    Setting("mobilenet_v2", 96, 32),
    Setting("densenet169", 96, 32),
    Setting("resnext50_32x4d", 96, 32),
    Setting("resnet50", 96, 32, "bfloat16"),
    Setting("efficientnet_b0", 96, 32, "bfloat16"),
    Setting("inception_v4", 128, 16),
)


class Side:
    """One side: its process, and what it answered."""

    def __init__(self, name: str, setting: Setting, cache: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        if name.startswith("ours"):
            environment |= with_users_flags(training_environment()) | {"JAX_COMPILATION_CACHE_DIR": cache}
            environment[native.VARIABLE] = "0" if name == "ours pure" else "1"
            if name == "ours pure" and "GLIBC_TUNABLES" not in os.environ:
                environment["GLIBC_TUNABLES"] = HUGE_PAGES
        words = [name, setting.network, str(setting.pixels), str(setting.batch), setting.precision]
        command = [sys.executable, "-m", "tests.benchmarks.step_worker", *words]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.start = self._answer()
        self.seconds: list[float] = []
        self.foreign: list[float] = []
        self.peak = 0.0

    def read(self, steps: int, tries: int) -> None:
        """Takes a reading, again where something else ran meanwhile."""
        for attempt in range(tries):
            # Not counted: while others have their turns, a virtual machine's host may take the memory that is free.
            self._tell("1")
            self._answer()
            before = _busy()
            self._tell(str(steps))
            answer = self._answer()
            foreign = (_busy() - before - answer["cpu"]) / answer["wall"]
            if foreign < BUSY or attempt == tries - 1:
                self.seconds.append(answer["step"])
                self.foreign.append(foreign)
                return
            time.sleep(5)

    def end(self) -> None:
        """Ends the process; its peak is known then."""
        self._tell("")
        self.peak = self._answer()["peak"]
        self._process.wait()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} ended with {self._process.wait()}")
        return json.loads(line)  # type: ignore[no-any-return]


def _busy() -> float:
    """Seconds that all cores together have worked since the machine started."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def compare(
    setting: Setting, cache: str, *, rounds: int, seconds: float, sides: tuple[str, ...], tries: int = 6
) -> dict[str, Any]:
    """Medians of every side in images a second, and the ratios of ours to the fastest peer.

    A reading is taken up to `tries` times while something else runs.
    """
    processes = {name: Side(name, setting, cache) for name in sides}
    for side in processes.values():
        side.read(1, tries)
    counts = {name: max(1, round(seconds / side.seconds.pop())) for name, side in processes.items()}
    for round_ in range(rounds):
        # In another order each time, so that none always follows the same other.
        for name in (*sides[round_ % len(sides) :], *sides[: round_ % len(sides)]):
            processes[name].read(counts[name], tries)
    for side in processes.values():
        side.end()
    rates = {name: setting.batch / statistics.median(side.seconds) for name, side in processes.items()}
    peers = [name for name in sides if name in PEERS]
    peer = max(peers, key=rates.__getitem__) if peers else None
    compared = [name for name in sides if name in OURS and peer]
    return {
        "setting": str(setting),
        "images_per_second": rates,
        "range": {
            name: [setting.batch / max(side.seconds), setting.batch / min(side.seconds)]
            for name, side in processes.items()
        },
        "foreign_load": {name: max(side.foreign) for name, side in processes.items()},
        "start": {name: side.start for name, side in processes.items()},
        "peak_gib": {name: side.peak / 2**30 for name, side in processes.items()},
        "peer": peer,
        "ratio": {name: rates[name] / rates[peer] for name in compared},
        "memory_ratio": {name: processes[name].peak / processes[peer].peak for name in compared},
    }
