"""A STEP 1 search of eight half-width EfficientNet-B0s on digits, by `scaling-search`, and by Ray Tune and timm.

Both train the same networks from the same seeds on the same images for the same epochs, one CPU a trial, and end with a
table. Ours is timed with empty caches and again with full ones; PyTorch keeps none.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from scaling_search.store import open_run

ROOT = Path(__file__).parents[2]
PROGRAM = str(Path(sys.executable).with_name("scaling-search"))
# The paper's baseline at half its width, its grid and its optimiser: all points and the baseline are eight networks.
OPTIONS = [
    *("--data", "digits", "--family", "efficientnet", "--family-options", "width=0.5", "resolution=32"),
    *("--match", "paper", "--no-rivals", "--grid.kind", "coefficients", "--grid.step", "0.1", "--seeds", "2"),
    *("--recipe.optimiser", "rmsprop", "--recipe.schedule", "stairs", "--recipe.batch-size", "32"),
    *("--recipe.epochs", "3", "--recipe.evaluate-every", "3"),
    *("--split.validation", "0.2", "--split.test", "0.2"),
]


def ours(folder: Path, cache: str, run: str, *options: str) -> tuple[float, str]:
    """Seconds of the command from its start to its table, and where they went."""
    environment = {**os.environ, "XDG_CACHE_HOME": cache}
    command = [PROGRAM, "step1", *OPTIONS, "--name", run, "--timings", *options]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    took = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(done.stderr)
    lines = done.stderr.splitlines()
    first = next(number for number, line in enumerate(lines) if "from start to tables" in line)
    return took, "\n".join(lines[first:])


def trainings(folder: Path, run: str) -> list[dict[str, Any]]:
    """What was trained, from the run's own records."""
    records = list(open_run(folder / "runs" / run).records())
    return [
        {
            "depth": record["spec"]["network"]["scale"]["depth"],
            "width": 0.5 * record["spec"]["network"]["scale"]["width"],
            "resolution": record["spec"]["network"]["input_resolution"],
            "seed": record["spec"]["seed"],
            "epochs": record["spec"]["recipe"]["epochs"],
            "batch_size": record["spec"]["recipe"]["batch_size"],
        }
        for record in records
    ]


def theirs(specs: list[dict[str, Any]], folder: Path) -> float:
    """Seconds of the same trainings by Ray Tune and timm, from the start of the process to its table."""
    file = folder / "trainings.json"
    file.write_text(json.dumps(specs))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_AIR_NEW_OUTPUT": "0"}
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.search_by_timm", str(file)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-4000:])
    return time.perf_counter() - began


def compare(folder: Path, *options: str, rounds: int = 1) -> dict[str, Any]:
    """Seconds of each side, and their ratios."""
    cold, warm, peer, where = [], [], [], ""
    for number in range(rounds):
        cache = str(folder / f"cache{number}")
        took, where = ours(folder, cache, f"cold{number}", *options)
        cold.append(took)
        warm.append(ours(folder, cache, f"warm{number}", *options)[0])
        peer.append(theirs(trainings(folder, f"cold{number}"), folder))
    seconds = {name: statistics.median(times) for name, times in (("cold", cold), ("warm", warm), ("peer", peer))}
    return {
        "trainings": len(trainings(folder, "cold0")),
        "seconds": seconds,
        "ratio": {name: seconds[name] / seconds["peer"] for name in ("cold", "warm")},
        "where": where,
    }
