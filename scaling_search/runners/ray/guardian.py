"""Ends what a run leaves behind, even one that was killed: a process beside it that waits until it is no more.

Run as a script with the run's temporary folder as argument; its stdin is a pipe that the run holds open. It then kills
every process that has a file in that folder open for writing, as all have that Ray starts, and removes the folder.
Ray's own processes notice too that the one which started them has gone, but some take a minute.
"""

import os
import shutil
import signal
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path


def main(folder: str) -> None:
    """Waits until stdin is closed, then clears up."""
    run = os.getppid()
    sys.stdin.read()
    until = time.monotonic() + 10
    while (processes := processes_that_write_to(folder) - {run}) and time.monotonic() < until:
        for process in processes:
            with suppress(OSError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)


def processes_that_write_to(folder: str) -> set[int]:
    """Those with a file in the folder open for writing. None where there is no /proc."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        # Most belong to others, and some end meanwhile.
        with suppress(OSError):
            for file in (process / "fd").iterdir():
                if file.lstat().st_mode & stat.S_IWUSR and Path(folder) in file.readlink().parents:
                    found.add(int(process.name))
    return found


if __name__ == "__main__":
    main(sys.argv[1])
