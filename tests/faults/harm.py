"""Runs in processes of their own, to be signalled, and what they came to."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.runners.observing import descendants

ROOT = Path(__file__).parents[2]
SERVERS = ("raylet", "gcs_server")


def start(runs, *arguments):
    """A run in a process of its own, in a process group of its own, as a shell starts it."""
    # Where tests run in the background, Ctrl-C is ignored, and so would it be here.
    code = "import signal, runpy; signal.signal(signal.SIGINT, signal.default_int_handler);"
    code += "runpy.run_module('tests.faults.small_run', run_name='__main__', alter_sys=True)"
    return subprocess.Popen(
        [sys.executable, "-c", code, str(runs), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )


def to_the_end(runs, *arguments):
    """Has a run end, and returns what it said."""
    run = start(runs, *arguments)
    said, _ = run.communicate(timeout=600)
    assert run.returncode == 0, said
    return said


def numbers_of(runs):
    """All that a run came to: its records without times, its tables and its weights."""
    folder = Path(runs) / "small"
    numbers = {file.name: file.read_bytes() for file in sorted(folder.glob("weights/*.safetensors"))}
    for file in sorted(folder.glob("trials/*.json")):
        record = json.loads(file.read_text())
        outcome = record["outcome"]
        numbers[file.name] = (record["spec"], *(outcome[name] for name in ("status", "accuracy", "loss", "curve")))
    for name in ("sweep.csv", "frontier.csv"):
        lines = [line.split(",") for line in (folder / name).read_text().splitlines()]
        timed = {number for number, column in enumerate(lines[0]) if "second" in column or "memory" in column}
        numbers[name] = [[cell for number, cell in enumerate(line) if number not in timed] for line in lines]
    return numbers


def processes_of(run):
    """The processes of a run by what they are: driver, worker, raylet, gcs_server."""
    found = {"driver": [run.pid]}
    for pid in descendants(run.pid):
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            name = Path(command[0].decode()).name
            if name in SERVERS:
                found.setdefault(name, []).append(pid)
            elif command[0].startswith(b"ray::") and b"IDLE" not in command[0]:
                found.setdefault("worker", []).append(pid)
    return found


def end(run):
    """Ends a run with all that is in its group, however it stands."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
