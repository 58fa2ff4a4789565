"""Runs a plan on Ray Tune: the groups of a batch side by side, in processes that stay for the next batch."""

import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scaling_search.config import Workers
from scaling_search.data import ImageData
from scaling_search.errors import UserError, in_one_line
from scaling_search.runners.agenda import Agenda, OnOutcome, Records, Train
from scaling_search.runners.progress import Watcher
from scaling_search.runners.ray.session import ray_session
from scaling_search.search.plan import Plan, T


def run_on_ray(
    plan: Plan[T],
    train: Train[ImageData],
    data: ImageData,
    *,
    workers: Workers,
    finished: Records,
    on_outcome: OnOutcome,
    watchers: Sequence[Watcher] = (),
    worker_env: Mapping[str, str] | None = None,
) -> T:
    """Runs a plan as `plan.run_here` does, many trainings at a time, and returns the plan's result.

    A group of specs is one trial of Ray Tune, on the cores and accelerators that `workers` gives it. A spec whose
    process dies is tried once more and has crashed then. `train` must be importable where the workers are;
    `worker_env` is set for them before JAX starts. Nothing is started for a plan whose specs are all in `finished`.

    Raises UserError where Ray cannot be had, or has fewer CPUs, GPUs or TPUs than a trial asks for.
    """
    with Agenda(plan, finished=finished, on_outcome=on_outcome, watchers=watchers) as agenda:
        if not agenda.done:
            environment = worker_environment(workers, worker_env or {})
            with ray_session(workers.address, environment, _bytes_shared(data)) as folder:
                _tune(agenda, train, data, workers, folder)
        return agenda.result


def worker_environment(workers: Workers, worker_env: Mapping[str, str]) -> dict[str, str]:
    """The environment variables of a process that trains."""
    environment = {
        "OMP_NUM_THREADS": str(workers.cpus_per_trial),
        # Without these, Tune changes the folder, and a trial without GPU finds them all.
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
        **worker_env,
    }
    if "XLA_FLAGS" in worker_env:
        # The last of two contrary flags counts: the user's.
        environment["XLA_FLAGS"] = f"{worker_env['XLA_FLAGS']} {os.environ.get('XLA_FLAGS', '')}".strip()
    share = workers.gpus_per_trial or 0
    if 0 < share < 1:
        environment["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{0.9 * share:.3f}"
    return environment


def _bytes_shared(data: ImageData) -> int:
    buffers: list[pickle.PickleBuffer] = []
    rest = pickle.dumps(data, protocol=5, buffer_callback=buffers.append)
    return len(rest) + sum(buffer.raw().nbytes for buffer in buffers)


def _tune(agenda: Agenda[Any], train: Train[ImageData], data: ImageData, workers: Workers, folder: Path) -> None:
    import ray
    from ray import tune

    from scaling_search.runners.ray.tuning import Interrupted, KeepWarm, PlanSearcher
    from scaling_search.runners.ray.worker import Worker

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    demand = resources_per_trial(workers, nodes)
    slots = slots_of(nodes, demand)
    agenda.started(slots)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(slots)
    trainable = tune.with_parameters(Worker, train=train, data=data)
    raised: BaseException | None = None
    try:
        while not agenda.done:
            searcher = PlanSearcher(agenda, slots, workers.cpus_per_trial)
            try:
                tune.run(
                    trainable,
                    num_samples=-1,
                    search_alg=searcher,
                    scheduler=KeepWarm(agenda, searcher),
                    reuse_actors=True,
                    resources_per_trial=tune.PlacementGroupFactory([demand]),
                    storage_path=str(folder / "tune"),
                    trial_dirname_creator=lambda trial: trial.trial_id,
                    raise_on_failed_trial=False,
                    verbose=0,
                )
            except Exception as error:
                # Tune as a whole gives up where the memory monitor of a cluster kills a process.
                if not searcher.give_all_back(f"Ray Tune failed: {in_one_line(error)}"):
                    raise
    except Interrupted as interrupted:
        raised = interrupted.__cause__
    if raised is not None:
        raise raised


def resources_per_trial(workers: Workers, nodes: list[dict[str, float]]) -> dict[str, float]:
    """What a trial takes, by Ray's names. Raises UserError where no machine has as much."""

    def demand(kind: str, asked: float | None, flag: str) -> float:
        largest = max((node.get(kind, 0) for node in nodes), default=0)
        if asked is None:
            return 1 if largest >= 1 else 0
        if asked > largest:
            raise UserError(
                f"{asked:g} {kind}s a trial given",
                f"no machine has more than {largest:g}" if len(nodes) > 1 else f"this machine has {largest:g}",
                f"try --{flag} {largest:g}",
            )
        return asked

    return {
        "CPU": demand("CPU", workers.cpus_per_trial, "cpus-per-trial"),
        "GPU": demand("GPU", workers.gpus_per_trial, "gpus-per-trial"),
        "TPU": demand("TPU", workers.tpus_per_trial, "tpus-per-trial"),
    }


def slots_of(nodes: list[dict[str, float]], demand: Mapping[str, float]) -> int:
    """How many trials run at a time. Raises UserError where none can."""
    slots = sum(min(int(node.get(kind, 0) / need + 1e-6) for kind, need in demand.items() if need) for node in nodes)
    if not slots:
        wanted = " and ".join(f"{need:g} {kind}s" for kind, need in demand.items() if need)
        raise UserError(f"no machine has {wanted}, which a trial takes", hint="ask for less, or for --gpus-per-trial 0")
    return slots
