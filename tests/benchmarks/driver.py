"""What it takes to run many short trials: our driver, with records and progress, and Ray Tune alone.

Trainings are simulated: they sleep. Each side runs in a process of its own, one after the other. Both have one trial
for each training and as many at a time. Of Tune there are two: as it comes, and as lean as it gets, without log files
and with processes that go on to the next trial, as ours do.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from scaling_search.config import Split
from scaling_search.data import ImageData
from scaling_search.recipe import Recipe
from scaling_search.rule import Scale
from scaling_search.trial import Epoch, Network, Outcome, Spec, to_record
from tests.runners.cluster import ENVIRONMENT, Nodes
from tests.runners.fake_training import DATA

ROOT = Path(__file__).parents[2]
PARTS = 10
"""Parts of a run of which the speed is told."""


def compare(
    folder: Path, trials: int, seconds: float, slots: int | None = None, sides: Sequence[str] = ("ours", "tune", "lean")
) -> dict[str, Any]:
    """Figures of each side for so many trials of so many seconds each.

    `slots` run at a time, on a cluster of one node that says it has as many cores; by default as many as there are.
    """
    found = {}
    for side in sides:
        place = folder / f"{side}-{trials}-{seconds:g}"
        place.mkdir()
        with nullcontext() if slots is None else Nodes() as nodes:
            address = None if nodes is None else nodes.add("head", num_cpus=slots)
            asked = {"trials": trials, "seconds": seconds, "address": address, "folder": str(place)}
            done = subprocess.run(
                [sys.executable, "-m", "tests.benchmarks.driver", side, json.dumps(asked)],
                env={**os.environ, **({} if address is None else ENVIRONMENT), "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
            )
        if done.returncode:
            raise RuntimeError(done.stderr)
        found[side] = json.loads(done.stdout.splitlines()[-1])
    return found


class Clock:
    """When trials ended, and what the processes that have them run had used by the end of the last one."""

    def __init__(self, trials: int, processes: Callable[[], Mapping[str, int]]) -> None:
        """`processes` names processes and gives their numbers, once there are trials."""
        self._began = time.perf_counter()
        self._trials = trials
        self._processes = processes
        self._ended: list[float] = []
        self._used: dict[str, dict[str, float]] = {}

    def tick(self) -> None:
        """A trial has ended."""
        self._ended.append(time.perf_counter() - self._began)
        if len(self._ended) == self._trials:
            self._used = {name: used_by(number) for name, number in self._processes().items()}

    def figures(self) -> dict[str, Any]:
        """Seconds in all, to the end of the first trial, and from there on for each, also by parts of the run.

        Of each process, seconds of a core and the largest size in MB.
        """
        every = max(len(self._ended) // PARTS, 1)
        ends = self._ended[::every]
        return {
            "seconds": time.perf_counter() - self._began,
            "first": self._ended[0],
            "a_trial": (self._ended[-1] - self._ended[0]) / max(len(self._ended) - 1, 1),
            "parts": [(later - sooner) / every for sooner, later in pairwise(ends)],
            "processes": self._used,
        }


def used_by(process: int) -> dict[str, float]:
    """Seconds of a core that a process has used, and the largest size that it had, in MB."""
    times = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    size = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return {"cpu": (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK"), "mb": size / 1e3}


def specs_of(trials: int) -> list[Spec]:
    """One training each of so many networks."""
    return [
        Spec(Network("simulated", (), Scale(), 8, 2, f"{number:020x}", 1, 100, 1), Recipe(), DATA.identity, Split(), 0)
        for number in range(trials)
    ]


def sleeping(group: Sequence[Spec], data: ImageData, seconds: float) -> Iterator[Outcome]:
    """Trains nothing, for so many seconds."""
    for spec in group:
        time.sleep(seconds)
        yield outcome_of(spec)


def outcome_of(spec: Spec) -> Outcome:
    """An outcome with all that those of trainings have."""
    rng = random.Random(spec.key)
    curve = tuple(
        Epoch(epoch, 35 * epoch, 0.02 / epoch, 2.5 * rng.random(), rng.random(), 2.5 * rng.random())
        for epoch in range(1, spec.recipe.epochs + 1)
    )
    seconds = {phase: rng.random() for phase in ("build", "trace", "compile", "train", "evaluate")}
    measured = {"device": "cpu", "precision": "float32", "images_per_second": 1000 * rng.random()}
    return Outcome(
        "ok", curve[-1].accuracy, curve[-1].loss, curve=curve, seconds=seconds, peak_memory=10**9, **measured
    )


def ours(trials: int, seconds: float, address: str | None, folder: Path) -> dict[str, Any]:
    """As `experiments.study` has trials trained, with records, checkpoints to remove and a line of progress."""
    from scaling_search.config import Workers
    from scaling_search.runners.display import LineScreen, ProgressDisplay
    from scaling_search.runners.ray.driver import run_on_ray
    from scaling_search.store import RunDirectory
    from scaling_search.training.checkpoints import Checkpoints

    run = RunDirectory(folder)
    run.make_folder(folder / "trials")
    run.make_folder(run.checkpoints_folder)
    checkpoints = Checkpoints(run.checkpoints_folder)
    clock = Clock(trials, lambda: {"driver": os.getpid(), "Ray's": process_with_ray()})

    def plan() -> Iterator[list[Spec]]:
        yield specs_of(trials)

    def record(spec: Spec, outcome: Outcome) -> None:
        run.write_record(to_record(spec, outcome))
        checkpoints.remove(spec.key)
        clock.tick()

    with ProgressDisplay(LineScreen()) as display:
        display.checkpoints(checkpoints.size)
        run_on_ray(
            plan(),
            partial(sleeping, seconds=seconds),
            DATA,
            workers=Workers(address=address),
            finished={},
            on_outcome=record,
            watchers=[display],
            checkpoints=checkpoints,
        )
    return clock.figures()


def process_with_ray() -> int:
    """The process that this one has run Tune."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((entry / "stat").read_text().rpartition(") ")[2].split()[1])
            if parent == os.getpid() and b"runners.ray.process" in (entry / "cmdline").read_bytes():
                return int(entry.name)
    raise RuntimeError("no process has Ray")


def tune_alone(lean: bool, trials: int, seconds: float, address: str | None, folder: Path) -> dict[str, Any]:
    """The same trials as a grid of Ray Tune's; `lean` without log files, in processes that stay."""
    import ray
    from ray import tune

    class Sleeping(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            """Needs none."""

        def step(self) -> dict[str, Any]:
            time.sleep(seconds)
            return {"accuracy": random.random(), "done": True}

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            return True

    class Ticking(tune.Callback):
        def on_trial_complete(self, *arguments: Any, **info: Any) -> None:
            clock.tick()

    clock = Clock(trials, lambda: {"Ray's": os.getpid()})
    if lean:
        os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    ray.init(address or "local", log_to_driver=False, include_dashboard=None if address else False)
    tune.run(
        Sleeping,
        config={"network": tune.grid_search(list(range(trials)))},
        resources_per_trial={"cpu": 1},
        reuse_actors=lean,
        storage_path=str(folder / "tune"),
        callbacks=[Ticking()],
        verbose=0,
    )
    ray.shutdown()
    return clock.figures()


MEASURES = {"ours": ours, "tune": partial(tune_alone, False), "lean": partial(tune_alone, True)}


def main() -> None:
    """Runs one side and prints its figures, for `compare`."""
    side, asked = sys.argv[1], json.loads(sys.argv[2])
    print(json.dumps(MEASURES[side](asked["trials"], asked["seconds"], asked["address"], Path(asked["folder"]))))


if __name__ == "__main__":
    main()
