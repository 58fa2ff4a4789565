"""Runs a plan on Ray Tune: the groups of a batch side by side, in processes that stay for the next batch."""

import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

import cloudpickle

from scaling_search.config import Workers
from scaling_search.data import ImageData
from scaling_search.errors import UserError
from scaling_search.runners.agenda import Agenda, OnOutcome, Records, Train
from scaling_search.runners.ending import Ending
from scaling_search.runners.progress import Watcher
from scaling_search.runners.ray.process import CONNECTED, CONNECTING, FINISHED, REFUSED, Job, unreachable
from scaling_search.runners.ray.session import Begun, RaySession, ray_session, terminated_by_exception
from scaling_search.runners.ray.trials import Trials
from scaling_search.runners.tracking import Tracking
from scaling_search.search.plan import Plan, T
from scaling_search.training.checkpoints import Checkpoints
from scaling_search.training.environment import with_users_flags

CONNECT_SECONDS = 30
MEMORY_FRACTION = "XLA_PYTHON_CLIENT_MEM_FRACTION"
LOOK_SECONDS = 0.5
"""How often the driver looks whether the run is to end."""


class RayDiedError(Exception):
    """The process that has Ray has ended before its time; the message says how."""


@contextmanager
def begun_early(workers: Workers, worker_env: Mapping[str, str]) -> Iterator[Begun]:
    """Has a process load Ray Tune, which takes a second, for a `run_on_ray` in the body with the same arguments."""
    with ExitStack() as end:
        session = end.enter_context(ray_session(workers, worker_environment(workers, worker_env)))
        yield Begun(session, end)


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
    note: Callable[[str], None] = lambda line: None,
    tracking: Tracking | None = None,
    checkpoints: Checkpoints | None = None,
    looks_ahead: bool = False,
    early: Begun | None = None,
) -> T:
    """Runs a plan as `local.run_here` does, many trainings at a time, and returns the plan's result.

    A group of specs is one trial of Ray Tune, on the cores and accelerators that `workers` gives it. A spec whose
    process dies is tried once more and has crashed then; where its machine goes, up to four times more. `train` is
    pickled for the workers, by value where it is defined in a script or a notebook; `worker_env` is set for them before
    JAX starts. Nothing is started for a plan whose specs are all in `finished`, nor is again what is begun `early`.
    Where Ray itself dies it is started again, which `note` is told. Trainings are also written to the trackers of
    `tracking`. Where `train` writes `checkpoints`, Ctrl-C and SIGTERM let it write them first: see `Ending`, also for
    what is raised then. Where it `looks_ahead`, taking an `ahead` as `training.fit.train_group` does, the next training
    is made ready while one trains, if a trial has several cores and no accelerator.

    Raises UserError where Ray cannot be had, has fewer CPUs, GPUs or TPUs than a trial asks for, or dies twice without
    an outcome in between, and where a machine of a cluster has other versions or cannot load `train`.
    """
    ending = Ending(checkpoints, note, workers.max_hours)
    with ending.on_signals(), Agenda(plan, finished=finished, on_outcome=on_outcome, watchers=watchers) as agenda:
        trials = Trials(agenda, note)
        reported = -1
        while not agenda.done:
            try:
                environment = worker_environment(workers, worker_env or {})
                session, early = early.taken_over() if early else ray_session(workers, environment), None
                _run_once(session, trials, train, data, workers, environment, looks_ahead, tracking, ending)
            except RayDiedError as death:
                if trials.reported == reported:
                    raise UserError(
                        f"Ray died twice: {death}", "finished trials are kept", "run the same command again to go on"
                    ) from None
                reported = trials.reported
                note(f"Ray died and is started again: {death}")
                trials.ray_died(f"Ray died: {death}")
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
        environment = with_users_flags(environment)
    if workers.address is not None and "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        # Each machine has its own, by its kind of CPU and where its user may write.
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    share = workers.gpus_per_trial or 0
    if 0 < share < 1:
        # Less, where others use the device too: the user's to say.
        environment[MEMORY_FRACTION] = os.environ.get(MEMORY_FRACTION, f"{0.9 * share:.3f}")
    return environment


def _run_once(
    begun: AbstractContextManager[RaySession],
    trials: Trials,
    train: Train[ImageData],
    data: ImageData,
    workers: Workers,
    environment: dict[str, str],
    looks_ahead: bool,
    tracking: Tracking | None,
    ending: Ending,
) -> None:
    """Has a process with Ray train until the plan is done. Raises RayDiedError where it ends before."""
    with terminated_by_exception(), begun as session:
        try:
            _send_job(session, train, data, workers, environment, looks_ahead, tracking)
            _serve(session, trials, workers.address, ending)
        except (EOFError, ConnectionError) as error:
            raise RayDiedError(session.last_words()) from error


def _send_job(
    session: RaySession,
    train: Train[ImageData],
    data: ImageData,
    workers: Workers,
    environment: dict[str, str],
    looks_ahead: bool,
    tracking: Tracking | None,
) -> None:
    buffers: list[pickle.PickleBuffer] = []
    head = cloudpickle.dumps(data, protocol=5, buffer_callback=buffers.append)
    views = [buffer.raw() for buffer in buffers]
    sizes = tuple(view.nbytes for view in views)
    pickled = cloudpickle.dumps(train)
    session.channel.send(Job(workers, environment, session.folder, pickled, head, sizes, tracking, looks_ahead))
    for view in views:
        session.channel.send_bytes(view)


def _serve(session: RaySession, trials: Trials, address: str | None, ending: Ending) -> None:
    """Answers what the process asks of `trials` until it has finished, or the run is to end."""
    while True:
        ending.check(trials)
        if not session.channel.poll(LOOK_SECONDS):
            continue
        name, *arguments = session.channel.recv()
        if name == FINISHED:
            return
        if name == REFUSED:
            raise UserError(*arguments)
        if name == CONNECTED:
            continue
        if name != CONNECTING:
            session.channel.send((getattr(trials, name)(*arguments), trials.done, trials.most))
        elif address and not session.channel.poll(CONNECT_SECONDS):
            raise unreachable(address, f"it did not answer for {CONNECT_SECONDS} seconds")
