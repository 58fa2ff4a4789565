"""What a trial takes of a cluster's machines, and how many trials they can run at a time."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from scaling_search.config import Workers
from scaling_search.errors import UserError

TOPOLOGY = "ray.io/tpu-topology"
"""Ray's label of a machine in a TPU slice: the chips of the whole slice, as "4x4"."""
SLICE = "ray.io/tpu-slice-name"
"""Ray's label of a machine in a TPU slice: which one."""
CHIPS = (0, 1, 2, 4, 8)
"""TPU chips that Ray can give a process of its own."""


def resources_per_trial(workers: Workers, nodes: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """What a trial takes of a machine, by Ray's names: a CPU, and one GPU or TPU chip where there are any, unless told
    otherwise; all chips of it where it takes several machines.

    Raises UserError where no machine has as much, or Ray has no such part of it, and where there are GPUs and TPUs and
    neither was chosen.
    """
    largest = {kind: max((node.get(kind, 0) for node in nodes), default=0) for kind in ("CPU", "GPU", "TPU")}
    asked = {"CPU": workers.cpus_per_trial, "GPU": workers.gpus_per_trial, "TPU": workers.tpus_per_trial}
    if workers.tpus_per_trial not in (None, *CHIPS):
        raise UserError(
            f"--tpus-per-trial {workers.tpus_per_trial} given", f"it must be one of {', '.join(map(str, CHIPS))}"
        )
    for kind, amount in asked.items():
        if amount is not None and amount > largest[kind]:
            flag = f"--{kind.lower()}s-per-trial"
            several = len(nodes) > 1
            raise UserError(
                f"{flag} {amount:g} exceeds {'any' if several else 'this'} machine's {largest[kind]:g} {kind}s",
                "a trial runs on one machine" if several and workers.hosts_per_trial == 1 else "",
                f"try {flag} {largest[kind]:g}",
            )
    chosen = any(asked[kind] for kind in ("GPU", "TPU"))
    by_default = [kind for kind in ("GPU", "TPU") if not chosen and asked[kind] is None and largest[kind] >= 1]
    if len(by_default) > 1:
        raise UserError(
            "the cluster has GPUs and TPUs",
            "a run trains on one kind, as numbers depend on it",
            "try --tpus-per-trial 0 or --gpus-per-trial 0",
        )
    amount_by_default = {"GPU": 1, "TPU": largest["TPU"] if workers.hosts_per_trial > 1 else 1}
    return {kind: amount_by_default[kind] if kind in by_default else amount or 0 for kind, amount in asked.items()}


def slots_of(nodes: Sequence[Mapping[str, float]], demand: Mapping[str, float], hosts: int = 1) -> int:
    """How many trials run at a time, each on so many machines. Raises UserError where none can."""
    room = [slots for node in nodes if (slots := slots_on(node, demand))]
    wanted = " and ".join(f"{need:g} {kind}s" for kind, need in demand.items() if need)
    if not room:
        raise UserError(f"no machine has the {wanted} that a trial takes", hint="ask for less, or --gpus-per-trial 0")
    if len(room) < hosts:
        have = f"{len(room)} machine{'s' * (len(room) > 1)} with {wanted}"
        raise UserError(
            f"--hosts-per-trial {hosts} given",
            f"there {'are' if len(room) > 1 else 'is'} {have}",
            f"try --hosts-per-trial {len(room)}" if len(room) > 1 else "--address names a cluster of several",
        )
    # A machine has one host of a trial at most.
    at_once = sum(room) // hosts
    while sum(min(slots, at_once) for slots in room) < at_once * hosts:
        at_once -= 1
    return at_once


def slots_on(node: Mapping[str, float], demand: Mapping[str, float]) -> int:
    """How many trials a machine runs at a time."""
    return min(_times(node.get(kind, 0), need) for kind, need in demand.items() if need)


def _times(amount: float, need: float) -> int:
    if need >= 1:
        return int(amount / need + 1e-6)
    # A fraction is of one GPU, never of parts of two.
    return int(amount) * int(1 / need + 1e-6)


def refuse_part_of_slice(nodes: Sequence[Mapping[str, Any]], demand: Mapping[str, float]) -> None:
    """Raises UserError where a trial would have every TPU chip of a machine whose slice has further machines.

    Ray then leaves the process with the slice's settings, and JAX waits for the other machines, which never come.
    `nodes` are as `ray.nodes` has them.
    """
    for node in nodes:
        chips, topology = node["Resources"].get("TPU", 0), node.get("Labels", {}).get(TOPOLOGY)
        if topology and demand["TPU"] == chips < prod(map(int, topology.split("x"))):
            raise UserError(
                f"--tpus-per-trial {chips:g} is all that a machine of a slice of {topology} chips has",
                "a trial runs on one machine, and JAX would wait for the others of the slice",
                f"try --tpus-per-trial {chips / 2:g}, or --hosts-per-trial",
            )


def slice_for(nodes: Sequence[Mapping[str, Any]], demand: Mapping[str, float], hosts: int) -> str | None:
    """The TPU slice that trials on several machines run on, or None where they run on no TPUs.

    A trial takes all of a slice, as chips of two slices, or of a part of one, have no connection that JAX could use.
    Of several slices it is the first by name. Raises UserError where none is of so many machines. `nodes` are as
    `ray.nodes` has them.
    """
    if hosts == 1 or not demand["TPU"]:
        return None
    slices: dict[str, list[Mapping[str, Any]]] = {}
    for node in nodes:
        if SLICE in node.get("Labels", {}) and TOPOLOGY in node["Labels"]:
            slices.setdefault(node["Labels"][SLICE], []).append(node)
    whole = {
        name: prod(map(int, machines[0]["Labels"][TOPOLOGY].split("x"))) for name, machines in sorted(slices.items())
    }
    for name, chips in whole.items():
        if len(slices[name]) == hosts and demand["TPU"] * hosts == chips:
            return name
    there = ", ".join(f"{name} with {chips} chips on {len(slices[name])} hosts" for name, chips in whole.items())
    raise UserError(
        f"no TPU slice has {demand['TPU']:g} chips on each of {hosts} hosts",
        f"there {'are' if len(whole) > 1 else 'is'} {there or 'none'}",
        "a trial on several hosts takes all of a slice",
    )
