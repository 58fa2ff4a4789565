"""CPU cores for one process alone, claimed by file locks, so that concurrent runs divide a machine among them.

XLA starts a thread for every core the process may use, whatever Ray granted it.
"""

import os
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path


def cores_available() -> int:
    """How many cores this process may use: those of its affinity, or fewer where its container has a quota of less."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    # The file is missing outside a container, and the quota may be "max".
    with suppress(OSError, ValueError):
        quota, period = map(int, Path("/sys/fs/cgroup/cpu.max").read_text().split())
        cores = min(cores, max(1, quota // period))
    return cores


def keep_to_own_cores(count: int, folder: Path | None = None) -> ExitStack:
    """Keeps this thread, and those it starts, to `count` cores, preferably ones that no other process has claimed.

    They are claimed until the result is closed or the process dies. If fewer are free, the rest are shared with other
    processes: slower, but numbers depend on how many cores a process has. If the machine has fewer, or its system has
    no affinities, nothing changes. `folder` holds the lock files, by default in a folder of the user's own.
    """
    claims = ExitStack()
    if sys.platform == "linux":
        try:
            os.sched_setaffinity(0, _claim(count, folder or _folder_of_user(), claims))
        except OSError:
            # Training goes on without cores of its own.
            claims.close()
    return claims


def _claim(count: int, folder: Path, claims: ExitStack) -> set[int]:
    """The cores to keep to. Raises BlockingIOError where there are fewer than `count`."""
    import fcntl  # Linux and macOS have it.

    cores: set[int] = set()
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < count:
        raise BlockingIOError(f"there are {len(allowed)} cores")
    # One process chooses at a time, as two could each end up with half of what both need.
    with open(folder / "choosing.lock", "wb") as choosing:
        fcntl.flock(choosing, fcntl.LOCK_EX)
        for core in allowed:
            with ExitStack() as attempt:
                file = attempt.enter_context(open(folder / f"core{core}.lock", "wb"))
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                claims.enter_context(attempt.pop_all())
            cores.add(core)
            if len(cores) == count:
                return cores
    # By process, so that not all share the same core.
    first = os.getpid() % len(allowed)
    shared = [core for core in allowed[first:] + allowed[:first] if core not in cores]
    return cores | set(shared[: count - len(cores)])


def _folder_of_user() -> Path:
    folder = Path(tempfile.gettempdir()) / f"scaling-search-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")
    return folder
