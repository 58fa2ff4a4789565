"""What it takes to open a run of many records, its frames, its tables and its report, and to check it.

The run is STEP 1 of the method on a fine grid, with simulated trainings from three seeds of each network.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from scaling_search import compacted
from scaling_search.store import RunDirectory
from tests.benchmarks.driver import ROOT, outcome_of

SEEDS = 3


def compare(folder: Path, records: int) -> dict[str, Any]:
    """Makes a run of about so many records, opens it and checks it, each in a process of its own.

    It is opened by the files of single records, and by that which has them together.
    """
    run = make(folder, records)
    found: dict[str, Any] = {"records": len([*(run / "trials").glob("*.json")])}
    (run / compacted.NAME).unlink(missing_ok=True)
    for name, part in (("apart", "open"), ("together", "open"), ("check", "check")):
        if name == "together":
            with mock.patch.object(compacted, "LEAST", 1):
                RunDirectory(run).write_file(compacted.NAME, RunDirectory(run).gathered() or b"")
        command = [sys.executable, "-m", "tests.benchmarks.large", part, str(run)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        found[name] = json.loads(done.stdout.splitlines()[-1])
    return found


def make(folder: Path, records: int) -> Path:
    """The folder of a run of about so many records."""
    from scaling_search.config import RunConfig
    from scaling_search.experiments.method import run
    from scaling_search.rule import Grid
    from scaling_search.runners.local import run_here

    def pretend(plan: Any, train: Any, data: Any, **options: Any) -> Any:
        of_here = {name: options[name] for name in ("finished", "on_outcome", "watchers")}
        return run_here(plan, lambda specs, data: map(outcome_of, specs), data, **of_here)

    config = RunConfig(
        name="large",
        runs=str(folder),
        family="efficientnet",
        # Large, so that nearly every point of the grid rounds to a network of its own.
        family_options=("resolution=256", "divisor=1", "width=2", "depth=8"),
        phi=6.0,
        # n divisions make (n + 1)(n + 2) / 2 points.
        grid=Grid(divisions=max(2, round((2 * records / SEEDS) ** 0.5 - 1.5))),
        seeds=SEEDS,
        rivals=False,
        steps=(1,),
        keep="none",
    )
    with mock.patch("scaling_search.runners.ray.driver.run_on_ray", pretend):
        return run(config, progress=None).run.path


def opened(run: Path) -> dict[str, Any]:
    """Seconds of a core for each of what opening a run takes, one after the other, and the memory at the end in MB."""
    from scaling_search.analysis.frames import load_run
    from scaling_search.analysis.of_run import findings_of
    from scaling_search.analysis.report.html import report_page
    from scaling_search.experiments.outputs import tables_of

    frames, loading = timed(partial(load_run, run))
    findings, judging = timed(partial(findings_of, frames))
    _, tables = timed(partial(tables_of, findings))
    page, report = timed(partial(report_page, findings, "scaling-search run"))
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {"load": loading, "tables": judging + tables, "report": report, "mb": size, "page_mb": len(page) / 1e6}


def checked(run: Path) -> dict[str, Any]:
    """Seconds of a core that a check takes, and how many problems it finds."""
    from scaling_search.experiments.check import check

    found, seconds = timed(partial(check, run, progress=None))
    return {"check": seconds, "problems": len(found.problems)}


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """What a call returns, and the seconds of a core that it took."""
    began = time.process_time()
    result = call()
    return result, time.process_time() - began


MEASURES = {"open": opened, "check": checked}


if __name__ == "__main__":
    print(json.dumps(MEASURES[sys.argv[1]](Path(sys.argv[2]))))
