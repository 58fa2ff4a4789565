"""Ray for the length of a run, in silence: started here, where it listens on loopback alone, or a cluster."""

import functools
import logging
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from scaling_search.errors import UserError
from scaling_search.runners.ray import guardian
from scaling_search.runners.ray.cores import cores_available

SPARE_STORE_BYTES = 200 * 2**20
CONNECT_SECONDS = 15

_SETTINGS = {
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}
_SILENT: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}


@contextmanager
def ray_session(address: str | None, worker_env: Mapping[str, str], shared_bytes: int) -> Iterator[Path]:
    """Ray, in the body of the `with`, and a folder for what nobody needs afterwards.

    Without an `address` Ray is started here, with room for `shared_bytes` in its object store, and ended with all that
    it started. With one ("auto" or HOST:PORT) that cluster is connected to, and left running. `worker_env` is the
    environment of the processes that train. Raises UserError where Ray cannot be had.
    """
    with _environment(_SETTINGS), _signal_handlers_kept(), _silence():
        import ray

        if ray.is_initialized():
            raise UserError("Ray is in use in this process already", hint="call ray.shutdown() first")
        with _guarded_folder() as folder:
            try:
                with _interrupts_put_off():
                    if address is None:
                        _start(worker_env, shared_bytes, folder)
                    else:
                        _connect(address, worker_env)
                with _insistent_signals():
                    yield folder
            finally:
                with _interrupts_put_off():
                    ray.shutdown()


def _start(worker_env: Mapping[str, str], shared_bytes: int, folder: Path) -> None:
    import ray

    environment = {
        # Workers inherit what Ray starts with. A runtime_env would have Ray start another process to prepare it.
        **worker_env,
        **_token(),
        "PYTHONPATH": os.pathsep.join(str(place or Path.cwd()) for place in sys.path),
        # Where Ray's memory monitor kills a process, Tune gives up. Where the kernel does, it is one trial's loss.
        "RAY_memory_monitor_refresh_ms": os.environ.get("RAY_memory_monitor_refresh_ms", "0"),  # noqa: SIM112
    }
    with _on_loopback(), _environment(environment):
        try:
            ray.init(
                "local",
                num_cpus=cores_available(),
                object_store_memory=shared_bytes + SPARE_STORE_BYTES,
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
                _temp_dir=str(folder),
                **_SILENT,
            )
        except Exception as error:
            raise UserError(f"Ray cannot be started here: {_last_line(str(error))}") from error


def _connect(address: str, worker_env: Mapping[str, str]) -> None:
    import ray

    try:
        if "://" in address:
            raise ValueError("an address is auto or HOST:PORT")
        # Where nothing answers, ray.init tries for minutes and cannot be stopped; so it is tried elsewhere first.
        probe = [sys.executable, "-c", "import sys, ray; ray.init(sys.argv[1], log_to_driver=False)", address]
        subprocess.run(probe, check=True, capture_output=True, text=True, timeout=CONNECT_SECONDS)
        ray.init(address, runtime_env={"env_vars": dict(worker_env)}, **_SILENT)
    except Exception as error:
        if isinstance(error, subprocess.TimeoutExpired):
            reason = f"it did not answer for {CONNECT_SECONDS} seconds"
        elif isinstance(error, subprocess.CalledProcessError):
            reason = _last_line(error.stderr)
        else:
            reason = _last_line(str(error))
        raise UserError(
            f"the Ray cluster at {address!r} cannot be reached: {reason}",
            hint="start one with `ray start --head`, or leave --address out to run on this machine alone",
        ) from error


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it did not say why"])[-1]


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Has Ray take 127.0.0.1 for this machine's address. With any other, its servers listen to the whole network.

    Asked for 127.0.0.1, Ray looks up the address by which others reach the machine, unless told that it has no others.
    """
    from ray._private import ray_constants

    with _environment({"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}), _set(ray_constants, "ENABLE_RAY_CLUSTER", False):
        yield


def _token() -> dict[str, str]:
    """What keeps other users of this machine out. Ray would make a token of its own and leave it in the home folder."""
    if {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys() or Path("~/.ray/auth_token").expanduser().exists():
        return {}
    return {"RAY_AUTH_TOKEN": _token_of_process()}


@functools.cache
def _token_of_process() -> str:
    # Ray reads the token once, so a second run in the same process needs the same.
    return secrets.token_hex(32)


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
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Sets variables, and afterwards restores these and those that Ray has set for itself."""
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        for name in before.keys() | os.environ.keys():
            if name in changes or name.startswith(("RAY_", "TUNE_", "PYTHONBREAKPOINT")):
                os.environ.pop(name, None)
                if name in before:
                    os.environ[name] = before[name]


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps what Ray logs, warns of and prints off the screen."""
    from ray._private import worker

    logger = logging.getLogger("ray")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(), _set(worker, "_worker_logs_enabled", False):
            warnings.filterwarnings("ignore", module=r"ray(\.|$)")
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def _set(owner: ModuleType, name: str, value: object) -> Iterator[None]:
    before = getattr(owner, name, None)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def _handling(handlers: Mapping[int, Any]) -> Iterator[None]:
    """Handles signals by these in the body; in any but the main thread, which alone may, it changes nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _signal_handlers_kept() -> Iterator[None]:
    """Restores the handlers that Ray and Tune replace."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    with _handling({number: handler for number, handler in handlers.items() if handler is not None}):
        yield


@contextmanager
def _insistent_signals() -> Iterator[None]:
    """Sends SIGTERM and Ctrl-C again, once a second, until they end the body.

    What a signal's handler raises is lost where the signal comes in one of Ray's callbacks or in a destructor.
    """
    ended = threading.Event()
    again: list[threading.Thread] = []

    def repeat(number: int) -> None:
        while not ended.wait(1):
            os.kill(os.getpid(), number)

    def stop(number: int, frame: FrameType | None) -> None:
        if not again:
            again.append(threading.Thread(target=repeat, args=(number,), daemon=True))
            again[0].start()
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    # Ctrl-C is ignored where a run is in a shell's background, and a notebook may have a handler of its own.
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with _handling(dict.fromkeys((signal.SIGTERM, signal.SIGINT) if usual else (signal.SIGTERM,), stop)):
        try:
            yield
        finally:
            ended.set()
            for thread in again:
                thread.join()


@contextmanager
def _interrupts_put_off() -> Iterator[None]:
    """Lets Ctrl-C wait until the end: interrupted while it starts or ends, Ray leaves processes or crashes this one."""
    came: list[int] = []
    try:
        with _handling({signal.SIGINT: lambda number, frame: came.append(number)}):
            yield
    finally:
        if came:
            raise KeyboardInterrupt
