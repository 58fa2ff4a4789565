"""The process that has Ray, for the length of a run: how it is started, and ended with all that it started."""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

from scaling_search.config import Workers
from scaling_search.errors import printable
from scaling_search.runners.ray import guardian

END_SECONDS = 30
"""How long a process may take to end that has closed its channel."""

_CODE = """
import sys
from multiprocessing.connection import Connection
from scaling_search.runners.ray.process import main
main(Connection(int(sys.argv[1])))
"""
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
}
_DEFAULTS = {
    # Where Ray's memory monitor kills a process, Tune gives up. Where the kernel does, it is one trial's loss.
    "RAY_memory_monitor_refresh_ms": "0",
}
_LOCAL_DEFAULTS = {
    # Ray waits a minute for its control service to come back, which nobody restarts here.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "5",
    # Ray starts a process for each core ahead of time, none of which becomes one that trains.
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
}


@dataclass(frozen=True)
class RaySession:
    """The process that has Ray, as the process that started it sees it."""

    channel: Connection
    folder: Path
    """For what nobody needs afterwards."""
    process: subprocess.Popen[bytes]

    def last_words(self) -> str:
        """Why the process ended, which it has."""
        self.process.wait(END_SECONDS)
        code = self.process.returncode
        how = f"was ended by signal {-code}" if code < 0 else f"exited with status {code}"
        said = self._log()
        return f"the process that runs Ray {how}" + (f": {said}" if said else "")

    def _log(self) -> str:
        """The last line that the process, or a server that it started, wrote of an error; empty where none did."""
        try:
            lines = (self.folder / "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            return ""
        return printable(lines[-1])[:500] if lines else ""


class Begun:
    """A session that was begun before it was needed."""

    def __init__(self, session: RaySession, end: ExitStack) -> None:
        """`end` ends the session."""
        self._session = session
        self._end = end

    @contextmanager
    def taken_over(self) -> Iterator[RaySession]:
        """The session, which then ends with the body."""
        with self._end.pop_all():
            yield self._session


@contextmanager
def ray_session(workers: Workers, worker_env: Mapping[str, str]) -> Iterator[RaySession]:
    """A process that waits for a `process.Job`, in the body of the `with`; it and what it started end with that.

    No server is started before the job has come. `worker_env` is the environment of the processes that train.
    """
    # A cluster gives the processes that train their environment by other means.
    here = workers.address is None
    local = {**worker_env, **_token()} if here else {}
    environment = {
        **_DEFAULTS,
        **(_LOCAL_DEFAULTS if here else {}),
        **os.environ,
        **_SETTINGS,
        **local,
        "PYTHONPATH": os.pathsep.join(str(place or Path.cwd()) for place in sys.path),
    }
    with _guarded_folder() as folder:
        ours, theirs = Pipe()
        with ours:
            # What writes to the folder is ended by the guardian, however this process ends. In a session of its own,
            # the terminal's Ctrl-C does not reach it. -P: it has the path of this process and nothing before it.
            with theirs, open(folder / "log", "wb") as log:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _CODE, str(theirs.fileno())],
                    env=environment,
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            try:
                yield RaySession(ours, folder, process)
            finally:
                process.kill()
                process.wait()


def _token() -> dict[str, str]:
    """What keeps other users of this machine out. Ray would make a token of its own and leave it in the home folder."""
    if {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys() or Path("~/.ray/auth_token").expanduser().exists():
        return {}
    return {"RAY_AUTH_TOKEN": secrets.token_hex(32)}


@contextmanager
def _guarded_folder() -> Iterator[Path]:
    """A temporary folder. However this process ends, its guardian then removes it and ends what was started in it."""
    # Ray's sockets lie some 80 characters below, and the path of a socket may have 107.
    usual = tempfile.gettempdir()
    folder = tempfile.mkdtemp(prefix=f"ss-{os.getpid()}-", dir=usual if len(usual) <= 16 else "/tmp")
    command = [sys.executable, "-I", "-S", guardian.__file__, folder]
    # In a session of its own, where the terminal's Ctrl-C does not reach it. On exit its stdin is closed.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True):
        yield Path(folder)


@contextmanager
def terminated_by_exception() -> Iterator[None]:
    """Has SIGTERM raise SystemExit in the body, so that what is open is closed, where nobody handles it already."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
