"""The machines of a cluster: what they are called, and whether they have installed what the driver has."""

import pickle
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling_search.errors import UserError, first_line, in_one_line
from scaling_search.provenance import installed_version

COMPARED = ("ray", "jax", "jaxlib", "flax", "optax", "numpy")
"""Packages that numbers depend on, and that are not sent along."""
ANSWER_SECONDS = 300
"""How long a machine may take to start a process and say what it has."""


def installed() -> dict[str, str]:
    """The versions that numbers depend on."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"Python": python, **{package: installed_version(package) or "none" for package in COMPARED}}


@dataclass(frozen=True)
class Origin:
    """What the machines of a cluster know of the process that a run was started in."""

    versions: Mapping[str, str]
    folder: str
    """The folder that it is in."""


def origin() -> Origin:
    """That of a run that is started in this process."""
    return Origin(installed(), str(Path.cwd()))


def refuse_other_versions(machine: str, theirs: Mapping[str, str], ours: Mapping[str, str]) -> None:
    """Raises UserError where a machine has other versions than the driver's."""
    if differences := [name for name, version in ours.items() if theirs.get(name) != version]:
        has = ", ".join(f"{name} {theirs.get(name)}" for name in differences)
        wanted = ", ".join(f"{name} {ours[name]}" for name in differences)
        raise UserError(
            f"{machine} has {has}; the machine that the run was started on has {wanted}",
            "numbers depend on them",
            "install the same versions on every machine of the cluster",
        )


def examine(train: bytes) -> tuple[dict[str, str], str | None]:
    """On a machine of the cluster: its versions, and why it could not load a pickled training, if it could not."""
    try:
        pickle.loads(train)
    except Exception as error:
        return installed(), in_one_line(error)
    return installed(), None


def refuse_unfit(nodes: Sequence[Mapping[str, Any]], train: bytes) -> None:
    """Raises UserError where a machine could not train as the driver would. `nodes` are as `ray.nodes` has them.

    Each is asked from a process of its own, which ends afterwards: JAX, once loaded, heeds no settings of a trial.
    """
    import ray
    from ray.exceptions import NodeDiedError, RayError, TaskUnschedulableError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    asked = ray.remote(num_cpus=0, max_calls=1, max_retries=0)(examine)
    answers = {
        asked.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(train): (
            name_of(node)
        )
        for node in nodes
    }
    _, late = ray.wait(list(answers), num_returns=len(answers), timeout=ANSWER_SECONDS)
    for answer, machine in answers.items():
        if answer in late:
            raise UserError(
                f"{machine} did not answer for {ANSWER_SECONDS} seconds", hint="look at `ray status`, or remove it"
            )
        try:
            theirs, problem = ray.get(answer)
        except (NodeDiedError, TaskUnschedulableError):
            # It has left the cluster.
            continue
        except RayError as error:
            raise UserError(f"{machine} cannot run scaling-search: {_reason(error)}", hint=_SAME) from error
        refuse_other_versions(machine, theirs, installed())
        if problem is not None:
            raise UserError(f"{machine} cannot load the training: {problem}", hint=_SAME)


_SAME = "install what it lacks, or define your own family in the script itself"


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else first_line(error)


def name_of(node: Mapping[str, Any]) -> str:
    """What a machine is called: the name it was given (`ray start --node-name`), else its host name."""
    given: str = node["NodeName"]
    # Ray calls a node without a name by its address.
    return str(node["NodeManagerHostname"]) if given in ("", node["NodeManagerAddress"]) else given


def name_of_this_node() -> str:
    """The name of the machine that runs this process, which Ray has started."""
    return name_of(this_node())


def this_node() -> Mapping[str, Any]:
    """The machine that runs this process, which Ray has started, as `ray.nodes` has it."""
    import ray

    here = ray.get_runtime_context().get_node_id()
    return next(node for node in ray.nodes() if node["NodeID"] == here)  # type: ignore[no-untyped-call]
