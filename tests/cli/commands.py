"""The command line, as a program of its own and in this process."""

import io
import os
import signal
import subprocess
import sys
import time
import warnings
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

from scaling_search.cli import main

PROGRAM = str(Path(sys.executable).with_name("scaling-search"))
ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def command(folder, *words, **options):
    """What the program does in a folder: for runs that train, whose Ray shall end with it."""
    options = {"env": ENVIRONMENT, **options}
    return subprocess.run([PROGRAM, *words], cwd=folder, capture_output=True, text=True, **options)


def in_this_process(folder, *words):
    """The same without another start of Python: for what trains nothing."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    with chdir(folder), redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
        # Warnings are errors in tests alone.
        warnings.simplefilter("always", UserWarning)
        try:
            main(list(words))
        except SystemExit as stop:
            status = stop.code
    return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())


def records_of(run):
    """The records of a run by name, as they lie on disk."""
    return {file.name: file.read_bytes() for file in (run / "trials").glob("[!.]*.json")}


def killed_after(records, folder, run, *words):
    """Starts the program, kills it once its run has so many records, and returns its first line on stderr, whether
    there was a record by then, and the records that it left.
    """
    with subprocess.Popen(
        [PROGRAM, *words],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        line = process.stderr.readline()
        early = bool(records_of(run))
        until = time.monotonic() + 600
        while process.poll() is None and len(records_of(run)) < records and time.monotonic() < until:
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
        process.stderr.close()
    return line, early, records_of(run)
