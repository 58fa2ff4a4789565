"""The process that has Ray: it runs Ray Tune for a plan that another process goes through.

Ray ends the process it is used in when its own servers die, starts processes in ways that must not be mixed with JAX's
threads, handles signals, sets environment variables and writes to the screen. So it has a process of its own, without
JAX. Started by `driver`, which it asks over a pipe what to train, as `tuning.TrialsApart`.
"""

import os
import pickle
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from scaling_search.config import Workers
from scaling_search.data import ImageData
from scaling_search.errors import UserError, in_one_line
from scaling_search.runners.agenda import Group
from scaling_search.runners.ray.capacity import (
    SLICE,
    refuse_part_of_slice,
    resources_per_trial,
    slice_for,
    slots_of,
    slots_on,
)
from scaling_search.runners.ray.cores import cores_available
from scaling_search.runners.ray.nodes import origin, refuse_unfit
from scaling_search.runners.ray.own_code import runtime_environment
from scaling_search.runners.ray.private import inherited_environment, init_on_loopback, version_mismatch
from scaling_search.runners.ray.trials import Trials
from scaling_search.runners.tracking import Tracking
from scaling_search.trial import Outcome, Spec
from scaling_search.uncollected import uncollected

CONNECTING, CONNECTED, REFUSED, FINISHED = "connecting", "connected", "refused", "finished"
"""What this process says of itself; all else it sends is a call of `trials.Trials`, as name and arguments."""
SPARE_STORE_BYTES = 200 * 2**20

_QUIET: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}


@dataclass(frozen=True)
class Job:
    """What to train with, as the first message has it; the data's buffers follow it, one message each."""

    workers: Workers
    worker_env: dict[str, str]
    folder: Path
    """For what nobody needs afterwards."""
    train: bytes
    """A pickled `agenda.Train`."""
    data: bytes
    """Pickled but for its buffers."""
    buffer_sizes: tuple[int, ...]
    """In bytes."""
    tracking: Tracking | None = None
    """What to tell of each training, if anything."""
    looks_ahead: bool = False
    """Whether `train` takes an `ahead`, as `training.fit.train_group` does."""


class RemoteTrials:
    """`trials.Trials` of the process at the other end."""

    def __init__(self, channel: Connection) -> None:
        self.done = False
        self.most: int | None = None
        self._channel = channel

    def _call(self, name: str, *arguments: Any) -> Any:
        self._channel.send((name, *arguments))
        result, self.done, self.most = self._channel.recv()
        return result

    def started(self, slots: int, rates_together: bool) -> None:
        """Trials run from now on, `slots` at a time; whether one may train at several learning rates."""
        self._call("started", slots, rates_together)

    def suggest(self, trial_id: str) -> Group | None:
        """What a new trial is to train, or None while there is nothing."""
        group: Group | None = self._call("suggest", trial_id)
        return group

    def following(self) -> Spec | None:
        """What the trial that was given the last group will probably train after it."""
        spec: Spec | None = self._call("following")
        return spec

    def report(self, trial_id: str, outcome: Outcome) -> None:
        """Hands over the outcome of the trial's next spec."""
        self._call("report", trial_id, outcome)

    def ended(self, trial_id: str, reason: str) -> None:
        """Gives back what a trial has not trained."""
        self._call("ended", trial_id, reason)

    def node_died(self, trial_id: str, reason: str) -> None:
        """Gives back what a trial has not trained, as its machine has gone."""
        self._call("node_died", trial_id, reason)

    def note(self, line: str) -> None:
        """Has a person be told something."""
        self._call("note", line)

    def all_ended(self, reason: str) -> bool:
        """Gives back what no trial has trained. Says whether there was anything."""
        return bool(self._call("all_ended", reason))


def main(channel: Connection) -> None:
    """Carries out the job that comes through the channel."""
    # Ray Tune is loaded while the job is on its way.
    with uncollected():
        import ray

        import_module("scaling_search.runners.ray.tuning")
    job: Job = channel.recv()
    # Taken out of the list below, so that the images' memory is free once Ray's object store has them.
    data: list[ImageData] = [pickle.loads(job.data, buffers=[channel.recv_bytes() for _ in job.buffer_sizes])]
    try:
        if (address := job.workers.address) is None:
            _start(job)
        else:
            environment = runtime_environment(job.worker_env, job.folder / "code")
            channel.send((CONNECTING,))
            _connect(address, environment)
            channel.send((CONNECTED,))
        with inherited_environment() if address is None else nullcontext():
            run_tune(RemoteTrials(channel), job, data.pop())
        ray.shutdown()
    except UserError as error:
        channel.send((REFUSED, str(error)))
    else:
        channel.send((FINISHED,))


def _start(job: Job) -> None:
    try:
        init_on_loopback(
            job.folder,
            num_cpus=cores_available(),
            object_store_memory=sum(job.buffer_sizes) + len(job.data) + SPARE_STORE_BYTES,
            include_dashboard=False,
            **_QUIET,
        )
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"Ray cannot be started: {_last_line(error)}",
            "finished trials are kept",
            "run the same command again to go on",
        ) from error


def _connect(address: str, environment: dict[str, Any]) -> None:
    import ray

    try:
        if "://" in address:
            raise ValueError("an address is auto or HOST:PORT")
        ray.init(address, runtime_env=environment, **_QUIET)
    except Exception as error:
        if (mismatch := version_mismatch(str(error))) is not None:
            raise UserError(
                f"the Ray cluster at {address!r} {mismatch}", hint="install the same versions on every machine"
            ) from error
        raise unreachable(address, _last_line(error)) from error


def unreachable(address: str, reason: str) -> UserError:
    """That a cluster cannot be reached."""
    return UserError(
        f"the Ray cluster at {address!r} cannot be reached: {reason}",
        hint="start one with `ray start --head`, or leave --address out to run on this machine alone",
    )


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def run_tune(trials: RemoteTrials | Trials, job: Job, data: ImageData) -> None:
    """Runs Tune, on the Ray that this process has, until the plan is done."""
    import ray
    from ray import tune

    from scaling_search.runners.ray.hosts import Conductor, bundles
    from scaling_search.runners.ray.trackers import LogTrainings
    from scaling_search.runners.ray.tuning import Forget, KeepWarm, PlanSearcher
    from scaling_search.runners.ray.worker import Worker

    nodes = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    resources = [node["Resources"] for node in nodes]
    demand = resources_per_trial(job.workers, resources)
    hosts = job.workers.hosts_per_trial
    if hosts == 1:
        refuse_part_of_slice(nodes, demand)
    if (slice_name := slice_for(nodes, demand, hosts)) is not None:
        nodes = [node for node in nodes if node["Labels"].get(SLICE) == slice_name]
    slots = slots_of([node["Resources"] for node in nodes], demand, hosts)
    if job.workers.address is not None:
        refuse_unfit([node for node in nodes if slots_on(node["Resources"], demand)], job.train)
    # One program for all rates is compiled once; a CPU trains no faster with it.
    trials.started(slots, rates_together=demand["GPU"] > 0 or demand["TPU"] > 0)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(slots)
    whence = None if job.workers.address is None else origin()
    if hosts == 1:
        trainable = tune.with_parameters(Worker, train=job.train, data=data, origin=whence)
        placement = tune.PlacementGroupFactory([demand])
    else:
        trainable = tune.with_parameters(
            Conductor, train=job.train, images=[ray.put(data)], origin=whence, hosts=hosts, demand=demand
        )
        placement = bundles(demand, hosts, slice_name)
    del data
    while not trials.done:
        searcher = PlanSearcher(trials, demand, looks_ahead=job.looks_ahead and hosts == 1)
        try:
            tune.run(
                trainable,
                num_samples=-1,
                search_alg=searcher,
                scheduler=KeepWarm(searcher),
                callbacks=[*([LogTrainings(job.tracking, trials.note)] if job.tracking else []), Forget()],
                reuse_actors=True,
                resources_per_trial=placement,
                storage_path=str(job.folder / "tune"),
                trial_dirname_creator=lambda trial: trial.trial_id,
                raise_on_failed_trial=False,
                verbose=0,
            )
        except (EOFError, BrokenPipeError):
            # The other process has gone.
            raise
        except Exception as error:
            # Tune as a whole gives up where the memory monitor of a cluster kills a process.
            if not trials.all_ended(f"Ray Tune failed: {in_one_line(error)}"):
                raise
        if searcher.refusal is not None:
            raise UserError(searcher.refusal, "finished trials are kept", "run the same command again to go on")
