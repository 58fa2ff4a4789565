"""The life cycle of every kind of run: open, lock, train, judge, write results."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from scaling_search.config import Experiment, Workers
from scaling_search.errors import UserError
from scaling_search.experiments.beforehand import LoadsJudges
from scaling_search.experiments.images import Images, open_images
from scaling_search.experiments.keeping import Pruner, adopt, settle
from scaling_search.experiments.outputs import write_outputs
from scaling_search.family import Family, load_family
from scaling_search.places import Remote
from scaling_search.recipe import images_per_host
from scaling_search.recorded import RecordedTable, open_trials
from scaling_search.runners.display import ProgressSetting, display_for
from scaling_search.runners.progress import Progress, Watcher
from scaling_search.runners.tracking import Tracking, check_trackers
from scaling_search.search.plan import Plan
from scaling_search.store import RunDirectory, continue_run, finished_records, start_run
from scaling_search.training.checkpoints import Checkpoints
from scaling_search.trial import Outcome, Spec, to_record

if TYPE_CHECKING:
    from scaling_search.analysis.of_run import Findings
    from scaling_search.data import ImageData
    from scaling_search.runners.ray.session import Begun
    from scaling_search.search.growing import Latencies

E = TypeVar("E", bound=Experiment)
Course: TypeAlias = Callable[[RunDirectory, str, Progress], Plan[None]]
"""(directory, images, progress) -> the plan of a run. It writes its documents to the directory, names the images in its
specs as the run does, and speaks through the progress."""


@dataclass(frozen=True, eq=False)
class Study:
    """A run that is set up: everything that can be checked before training has been."""

    config: Experiment
    images: Images
    course: Course
    family: Family | None = None
    """The network family if it was passed as an object, for the processes that train."""
    given: tuple[str, ...] = ()
    """What was passed as an object: "family", "data"."""

    @property
    def keeps_weights(self) -> bool:
        """Whether there are trainings whose weights are kept."""
        return self.config.keep != "none" and not isinstance(self.images.source, RecordedTable)


@dataclass(frozen=True, eq=False)
class Materials:
    """What a study is about: the config as it will be kept, its family and its images."""

    config: Any
    family: Family
    images: Images
    own_family: Family | None
    given: tuple[str, ...]
    latencies: "Latencies | None" = None
    """What measures networks, where the config matches their latencies and there is a run to keep these."""

    def study(self, course: Course) -> Study:
        """These, on the given course."""
        return Study(self.config, self.images, course, self.own_family, self.given)


def carry_out(
    config: Experiment,
    set_up: Callable[[], Study],
    *,
    directory: RunDirectory | None = None,
    workers: Workers | None = None,
    progress: ProgressSetting = "auto",
    watchers: Sequence[Watcher] = (),
) -> "Findings":
    """Sets up the study of a config, trains what it asks for and its run does not have, and writes tables and pictures.

    `directory` is that of a run to continue; by default it follows from the config. Raises what `set_up` does, and
    UserError where the run exists with another config, another process works on it, or it cannot be written.
    """
    workers = workers or Workers()
    with _ray_early(config, workers) as early:
        return _carried_out(set_up(), early, directory=directory, workers=workers, progress=progress, watchers=watchers)


def _ray_early(config: Experiment, workers: Workers) -> "AbstractContextManager[Begun | None]":
    """Begins what trains, where anything may be trained, so that it is ready by the time a study is set up."""
    if config.replay is not None:
        return nullcontext()
    from scaling_search.runners.ray.driver import begun_early
    from scaling_search.training.environment import training_environment

    return begun_early(workers, training_environment())


def _carried_out(
    study: Study,
    early: "Begun | None",
    *,
    directory: RunDirectory | None,
    workers: Workers,
    progress: ProgressSetting,
    watchers: Sequence[Watcher],
) -> "Findings":
    from scaling_search.analysis.frames import load_run
    from scaling_search.analysis.of_run import findings_of

    config = study.config
    images_per_host(config.recipe.batch_size, workers.hosts_per_trial)
    check_trackers(config.log)
    reused = [open_trials(path) for path in config.reuse]
    if directory is None:
        images = study.images
        directory = start_run(config, images.identity, workers, given=study.given, counts=images.counts)
    else:
        continue_run(directory, config, study.images.identity)
    if config.log and isinstance(directory.path, Remote):
        raise UserError(
            f"--log {config.log[0]} given for a run in {directory.path}",
            "trackers write to a folder of this machine",
            "leave it out, or give --runs FOLDER",
        )
    with directory.locked() as check_lock, display_for(progress) as display:
        plan = study.course(directory, directory.images, display)
        try:
            _train(
                plan,
                study,
                directory,
                check_lock,
                early,
                reused=reused,
                workers=workers,
                display=display,
                watchers=watchers,
            )
        finally:
            Checkpoints(directory.checkpoints_folder).settle()
        findings = findings_of(load_run(directory.path))
        if study.keeps_weights:
            for line in settle(directory, config, findings):
                display.note(line)
        for file in write_outputs(directory, findings):
            display.note(f"wrote {file}")
    return findings


def _train(
    plan: Plan[None],
    study: Study,
    directory: RunDirectory,
    check_lock: Callable[[], None],
    early: "Begun | None",
    *,
    reused: Sequence[RunDirectory | RecordedTable],
    workers: Workers,
    display: Progress,
    watchers: Sequence[Watcher],
) -> None:
    """Trains what the plan asks for and neither `directory` nor a `reused` run has; `directory` gets all of it.

    `check_lock` raises UserError where another process may have taken the run over.
    """
    watchers = (display, *watchers)
    source = study.images.source
    replayed = [source] if isinstance(source, RecordedTable) else []
    finished = finished_records([directory, *reused, *replayed])
    plan = _adopting(plan, finished, directory, reused if study.keeps_weights else ())
    tracking = None
    if study.config.log and isinstance(directory.path, Path):
        tracking = Tracking(study.config.log, directory.path.resolve())
    checkpoints = Checkpoints(
        directory.checkpoints_folder.resolve(),
        every=60 * workers.checkpoint_every,
        curves=tracking.curves if tracking else None,
    )

    def record(spec: Spec, outcome: Outcome) -> None:
        directory.write_record(to_record(spec, outcome))
        check_lock()
        if outcome.status != "crashed":
            checkpoints.remove(spec.key)

    if isinstance(source, RecordedTable):
        from scaling_search.runners.local import run_here
        from scaling_search.runners.replay import missing_outcomes

        run_here(plan, missing_outcomes, source, finished=finished, on_outcome=record, watchers=watchers)
        return

    from scaling_search.runners.ray.driver import run_on_ray
    from scaling_search.training.environment import training_environment, trim_cache
    from scaling_search.training.fit import train_group
    from scaling_search.training.kept import Keep

    environment = training_environment()
    trim_cache(Path(environment["JAX_COMPILATION_CACHE_DIR"]))
    keep = None
    if study.keeps_weights:
        directory.make_folder(directory.weights_folder)
        keep = Keep(directory.weights_folder.resolve(), source.classes, study.config.recipe, study.config.probe_seeds)
        if study.config.keep == "best":
            watchers = (*watchers, Pruner(keep))
    watchers = (*watchers, LoadsJudges())
    directory.make_folder(directory.checkpoints_folder)
    checkpoints.go_on()
    display.checkpoints(checkpoints.size)
    run_on_ray(
        plan,
        partial(train_group, family=study.family, keep=keep, checkpoints=checkpoints),
        source,
        workers=workers,
        finished=finished,
        on_outcome=record,
        watchers=watchers,
        worker_env=environment,
        note=display.note,
        tracking=tracking,
        checkpoints=checkpoints,
        looks_ahead=True,
        early=early,
    )


def _adopting(
    plan: Plan[None],
    finished: dict[str, dict[str, Any]],
    directory: RunDirectory,
    with_weights_of: Sequence[RunDirectory | RecordedTable],
) -> Plan[None]:
    """The plan; before its specs are looked up, records of other runs are copied to the run's own, with weights."""
    kept_here = set(finished_records([directory]))
    outcomes = None
    with closing(plan):
        while True:
            try:
                specs = next(plan) if outcomes is None else plan.send(outcomes)
            except StopIteration:
                return
            for spec in specs:
                if spec.key in finished and spec.key not in kept_here:
                    adopt(directory, spec.key, with_weights_of)
                    directory.write_record(finished[spec.key])
                    kept_here.add(spec.key)
            outcomes = yield specs


def materials_of(config: Any, family: Family | None, data: "ImageData | None") -> Materials:
    """The family and the images of a run, by its config or as given. Raises UserError if they cannot be loaded."""
    if family is not None:
        config = replace(config, family=family.name, family_options=())
    given = tuple(name for name, thing in (("family", family), ("data", data)) if thing is not None)
    named = load_family(config.family, config.family_options) if family is None else family
    config, images = with_images(config, data)
    return Materials(config, named, images, family, given)


def with_images(config: E, data: "ImageData | None") -> tuple[E, Images]:
    """The config as it will be kept, with the split of its images, and these, by their name or as given.

    Raises UserError where they cannot be loaded.
    """
    if data is not None:
        config = replace(config, data=data.name)
    images = open_images(config, data)
    return replace(config, split=images.split), images
