"""What a trial takes of a cluster's machines, and how many trials they can run at a time."""

from collections.abc import Mapping

from scaling_search.config import Workers
from scaling_search.errors import UserError


def resources_per_trial(workers: Workers, nodes: list[dict[str, float]]) -> dict[str, float]:
    """What a trial takes, by Ray's names. Raises UserError where no machine has as much."""

    def demand(kind: str, asked: float | None) -> float:
        largest = max((node.get(kind, 0) for node in nodes), default=0)
        if asked is None:
            return 1 if largest >= 1 else 0
        if asked > largest:
            flag = f"--{kind.lower()}s-per-trial"
            whose = "any machine's" if len(nodes) > 1 else "this machine's"
            raise UserError(f"{flag} {asked:g} exceeds {whose} {largest:g} {kind}s", hint=f"try {flag} {largest:g}")
        return asked

    return {
        "CPU": demand("CPU", workers.cpus_per_trial),
        "GPU": demand("GPU", workers.gpus_per_trial),
        "TPU": demand("TPU", workers.tpus_per_trial),
    }


def slots_of(nodes: list[dict[str, float]], demand: Mapping[str, float]) -> int:
    """How many trials run at a time. Raises UserError where none can."""
    slots = sum(min(int(node.get(kind, 0) / need + 1e-6) for kind, need in demand.items() if need) for node in nodes)
    if not slots:
        wanted = " and ".join(f"{need:g} {kind}s" for kind, need in demand.items() if need)
        raise UserError(f"no machine has the {wanted} that a trial takes", hint="ask for less, or --gpus-per-trial 0")
    return slots
