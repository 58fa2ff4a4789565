"""Whether this machine ran out of memory: the kernel counts the processes that it kills for it."""

from contextlib import suppress
from pathlib import Path

_CGROUPS, _OWN, _ALL = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"), Path("/proc/vmstat")


def kills_for_memory() -> int:
    """How many processes were killed for want of memory so far, in this process's container or else on the machine.

    0 where the kernel does not say, as on macOS.
    """
    places = []
    with suppress(OSError):
        places += [
            _CGROUPS / line.partition("::/")[2] / "memory.events"
            for line in _OWN.read_text(encoding="utf-8").splitlines()
            if line.startswith("0::/")
        ]
    for file in (*places, _ALL):
        with suppress(OSError):
            for line in file.read_text(encoding="utf-8").splitlines():
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
    return 0
