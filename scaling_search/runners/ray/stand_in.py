"""Stands in for the agents that Ray starts beside its servers: has no port open, says so, and waits.

Ray's metrics and dashboards, and the environments of its processes, which these agents prepare, are of no use to a run
on one machine. Yet its servers wait until both agents, which take a second of a core to start, have said their ports,
and end where one ends. Run as a script with the names of these ports, then Ray's own options; loads no Ray.
"""

import os
import sys
import time
from pathlib import Path

LOOK_SECONDS = 1.0
NOT_IN_USE = "-1"
"""What Ray's agents say of a port that they do not open."""


def main(names: str, *options: str) -> None:
    """Writes each of the `names`, which commas part, where Ray looks for it; returns once Ray's server is no more."""
    server = os.getppid()
    given = dict(option.removeprefix("--").split("=", 1) for option in options if "=" in option)
    for name in names.split(","):
        file = Path(given["session-dir"]) / f"{name}_{given['node-id']}"
        # Never there without its content.
        unnamed = file.with_suffix(f".{os.getpid()}")
        unnamed.write_text(NOT_IN_USE)
        unnamed.rename(file)
    # By a file of the run's folder that is open for writing, its guardian finds this process.
    with file.open("a"):
        while os.getppid() == server:
            time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main(*sys.argv[1:])
