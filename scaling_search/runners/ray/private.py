"""What is used of Ray though Ray does not promise to keep it. No other file has such things.

setup.cfg asks for the versions that this was tried with; tests/runners/ray/test_private.py checks each of them.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from scaling_search.errors import UserError
from scaling_search.runners.ray import stand_in

LOOPBACK = "127.0.0.1"


def init_on_loopback(folder: Path, **options: Any) -> None:
    """Starts Ray by `ray.init`, with its files in `folder` and its servers on loopback alone.

    Raises UserError, with no port open, where this version of Ray has no way to do so that is known here.
    """
    import ray
    from ray._private import ray_constants, services, utils
    from ray._private.node import Node
    from ray.job_config import JobConfig

    # Asked for 127.0.0.1, Ray looks up the address by which others reach this machine, and its servers listen to the
    # whole network, unless it believes that there are no others.
    with replaced(ray_constants, "ENABLE_RAY_CLUSTER", False), ExitStack() as stack:
        # Servers without work here, where no log is forwarded, no machine added and nothing shown in a browser. Each
        # would take most of a second to start.
        for name in ("start_log_monitor", "start_monitor", "start_api_server"):
            stack.enter_context(replaced(Node, name, lambda *_, **__: None))
        stack.enter_context(replaced(services, "_build_python_executable_command_memory_profileable", agent_command))
        # It loads all that a dashboard needs, a fifth of a second, to see whether its agent, which is none, can.
        stack.enter_context(replaced(utils, "get_dashboard_dependency_error", lambda: None))
        # Only for a client does Ray not put the current folder, where a user may have a random.py, before Python's own.
        job = JobConfig(_client_job=True)
        ray.init("local", job_config=job, _node_ip_address=LOOPBACK, _temp_dir=str(folder), **options)
    addresses = {node["NodeManagerAddress"] for node in ray.nodes()}  # type: ignore[no-untyped-call]
    if addresses != {LOOPBACK}:
        ray.shutdown()
        raise _unknown_version(f"it listens on {', '.join(sorted(addresses))} when told to listen on {LOOPBACK}")


def agent_command(component: str, *_: Any) -> list[str]:
    """What Ray starts as one of its agents, before the path of its own program and that program's options."""
    from ray import _raylet

    names = {
        "dashboard_agent": ("METRICS_AGENT_PORT_NAME", "METRICS_EXPORT_PORT_NAME", "DASHBOARD_AGENT_LISTEN_PORT_NAME"),
        "runtime_env_agent": ("RUNTIME_ENV_AGENT_PORT_NAME",),
    }
    if component not in names or not all(hasattr(_raylet, name) for name in names[component]):
        raise _unknown_version(f"its {component} is not known here")
    ports = [getattr(_raylet, name) for name in names[component]]
    return [sys.executable, "-I", "-S", stand_in.__file__, ",".join(ports)]


@contextmanager
def replaced(module: ModuleType | type, name: str, value: object) -> Iterator[None]:
    """Gives a variable of a module or a class another value in the body. Raises UserError where there is none such."""
    if not hasattr(module, name):
        raise _unknown_version(f"it has no {module.__name__}.{name}")
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


@contextmanager
def inherited_environment() -> Iterator[None]:
    """In the body, has processes of Tune's trials take the environment of Ray's servers, and nothing on top of it.

    With variables of their own each would be started twice, for half a second of a core, and only after another
    process has been asked to prepare what there is not. Raises UserError where Tune gives them none that is known here.
    """
    from ray.tune.execution import class_cache

    with replaced(class_cache, "DEFAULT_ENV_VARS", {}), replaced(class_cache, "ENV_VARS_TO_PROPAGATE", ()):
        yield


def creation_error(text: str) -> str | None:
    """The last line of the error for which an actor could not be created, or None where it died of something else.

    `text` is what Ray says of an actor that died.
    """
    return text.strip().splitlines()[-1] if "creation task" in text else None


def node_died(text: str) -> bool:
    """Whether an actor died because its machine did. `text` is what Ray says of an actor that died."""
    return "its node has died" in text


def has_process(trial: Any) -> bool:
    """Whether a trial of Tune's has a process, be it that another's is being made ready for it."""
    return trial.temporary_state.ray_actor is not None


def version_mismatch(text: str) -> str | None:
    """How the versions of a cluster and of this machine differ, if that is why Ray did not connect. `text` is why."""
    found = re.findall(r"(Ray|Python): (\S+)", text) if text.startswith("Version mismatch") else []
    if len(found) != 4:
        return None
    theirs, ours = (" and ".join(f"{name} {version}" for name, version in half) for half in (found[:2], found[2:]))
    return f"has {theirs}, and this machine {ours}"


def _unknown_version(what: str) -> UserError:
    import ray

    return UserError(
        f"Ray {ray.__version__} cannot be used: {what}",
        "other versions of Ray than those scaling-search asks for may differ",
        "install them by pip install --upgrade scaling-search",
    )
