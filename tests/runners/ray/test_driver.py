import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from scaling_search.config import Workers
from scaling_search.runners.agenda import Agenda
from scaling_search.runners.local import run_here
from scaling_search.runners.ray.cores import cores_available
from scaling_search.runners.ray.driver import MEMORY_FRACTION, run_on_ray, worker_environment
from scaling_search.runners.ray.process import Job, run_tune
from scaling_search.runners.ray.trials import Trials
from scaling_search.runners.ray.tuning import DIED
from scaling_search.runners.tracking import Tracking
from scaling_search.trial import Outcome, to_record
from tests.runners.fake_training import DATA, Notes, seeds_of, train
from tests.runners.observing import alive, descendants, handlers, listening, screen, temporary_files
from tests.runners.ray.script import PYTHONPATH

LINUX = sys.platform == "linux"
CORES = cores_available()
ROUNDS = [[f"meet:{number}:{index}:{CORES}" for index in range(CORES)] for number in range(2)]
"""Two batches, of as many networks as can be trained at a time. Each waits for the others of its batch."""


# What a run of several batches leaves to be seen


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """A run with everything in it, and what was seen of it while it went on and afterwards."""
    marks = tmp_path_factory.mktemp("marks")
    rounds = [[spec for name in names for spec in seeds_of(name, 0)] for names in ROUNDS]
    old, new = seeds_of("plain", 0, 1)
    troubled = [*seeds_of("break", 0), *seeds_of("die_at_seed_1", 0, 1), *seeds_of("die_once", 0)]
    troubled += [spec for name in ("exit:124", "exit:137", "killed") for spec in seeds_of(name, 0)]

    def plan():
        yield rounds[0]
        yield rounds[1]
        yield [old, new, new]
        yield troubled
        return "the plan's result"

    notes = Notes()
    tracking = Tracking(("tensorboard",), tmp_path_factory.mktemp("run"))
    during = SimpleNamespace(listening=set(), processes=set(), forks=[])

    def record(spec, outcome):
        notes.record(spec, outcome)
        if LINUX and spec.network.family == "meet":
            during.processes |= descendants(os.getpid())
            during.listening |= listening(descendants(os.getpid()) | {os.getpid()})

    before = SimpleNamespace(environment=dict(os.environ), handlers=handlers())
    os.register_at_fork(before=lambda: during.forks.append(True))
    with screen() as shown:
        result = run_on_ray(
            plan(),
            train,
            DATA,
            workers=Workers(),
            finished={old.key: to_record(old, Outcome("ok", accuracy=0.25))},
            on_outcome=record,
            watchers=[notes],
            # With a temporary folder of its own, it does not share the cores with other runs on this machine.
            worker_env={"XLA_FLAGS": "--ours", "MARK": str(marks), "TMPDIR": str(marks)},
            tracking=tracking,
        )
    return SimpleNamespace(
        result=result,
        notes=notes,
        by_name=by_name(notes),
        tracked=[folder.name for folder in tracking.folder("tensorboard").iterdir()],
        during=during,
        before=before,
        after=SimpleNamespace(
            environment=dict(os.environ), handlers=handlers(), temporary=temporary_files(os.getpid())
        ),
        shown=shown,
    )


def test_the_plan_s_result_is_returned(seen):
    assert seen.result == "the plan's result"


def test_every_spec_gets_one_outcome_and_none_that_was_finished(seen):
    assert seen.notes.planned_batches == [(CORES, 0), (CORES, 0), (2, 1), (7, 0)]
    assert len(seen.notes.recorded) == 2 * CORES + 1 + 7
    assert ("plain", 0) not in seen.by_name


def test_each_training_is_tracked(seen):
    ended = [spec for spec, outcome in seen.notes.recorded.items() if "its process" not in (outcome.reason or "")]
    assert sorted(name.rpartition("-")[2] for name in seen.tracked) == sorted(key[:6] for key in ended)


def test_outcomes_are_those_of_a_run_in_one_process(seen):
    def plan():
        return (yield seeds_of("plain", 1))

    here = run_here(plan(), train, DATA, finished={}, on_outcome=lambda *_: None)
    assert [outcome.accuracy for outcome in here.values()] == [seen.by_name["plain", 1].accuracy]


def test_processes_stay_for_the_next_batch(seen):
    first, second = ({process(seen.by_name[name, 0])["pid"] for name in names} for names in ROUNDS)
    assert len(first) == CORES
    assert second == first


def test_each_process_keeps_to_a_core_of_its_own(seen):
    cores = [core for name in ROUNDS[0] for core in process(seen.by_name[name, 0])["cores"]]
    assert len(cores) == len(set(cores)) == (CORES if LINUX else 0)


def test_workers_get_their_environment_the_data_and_the_folder(seen):
    one = process(seen.by_name["plain", 1])
    assert one["environment"]["XLA_FLAGS"].split()[0] == "--ours"
    assert one["environment"]["OMP_NUM_THREADS"] == "1"
    assert one["pixels"] == DATA.images.sum()
    assert one["folder"] == str(Path.cwd())


def test_an_exception_in_training_is_a_crashed_outcome(seen):
    assert seen.by_name["break", 0] == Outcome("crashed", reason="ValueError: no way")


def test_a_process_that_dies_again_makes_its_spec_alone_a_crashed_one(seen):
    outcomes = [seen.by_name["die_at_seed_1", seed] for seed in (0, 1)]
    assert [outcome.status for outcome in outcomes] == ["ok", "crashed"]
    assert "died" in outcomes[1].reason


@pytest.mark.parametrize("name", ["exit:124", "exit:137", "killed"])
def test_however_a_process_ends_its_spec_has_crashed_with_the_reason(seen, name):
    assert seen.by_name[name, 0] == Outcome("crashed", reason=DIED)


def test_a_spec_whose_process_died_once_is_tried_again(seen):
    assert seen.by_name["die_once", 0].status == "ok"


def test_nothing_of_ray_s_is_shown(seen):
    assert seen.shown == {"stdout": "", "stderr": ""}


@pytest.mark.skipif(not LINUX, reason="it reads /proc")
def test_what_is_started_listens_on_loopback_only(seen):
    assert len(seen.during.processes) > CORES
    assert seen.during.listening
    assert {address for address in seen.during.listening if not address.startswith("127.")} == set()


@pytest.mark.skipif(not LINUX, reason="it reads /proc")
def test_no_process_is_left(seen):
    assert not alive(seen.during.processes)


def test_this_process_never_forks(seen):
    """JAX warns that its threads may deadlock where Python code runs after a fork."""
    assert not seen.during.forks


def test_this_process_does_without_ray():
    """So that a server of Ray's that dies does not end it."""
    code = "import sys, scaling_search.runners.ray.driver; sys.exit('ray' in sys.modules or 'jax' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": PYTHONPATH})


def test_no_file_is_left(seen):
    assert not seen.after.temporary


def test_the_environment_and_signal_handlers_are_as_before(seen):
    assert seen.after.environment == seen.before.environment
    assert seen.after.handlers == seen.before.handlers


def by_name(notes):
    return dict(zip(notes.order, notes.recorded.values(), strict=True))


def process(outcome):
    return json.loads(outcome.device)


# What ends a run


def test_what_was_being_trained_is_tried_once_more_where_tune_itself_fails(monkeypatch, tmp_path):
    """As where the memory monitor of a cluster kills a process. Tune is played here."""
    from ray import tune

    def fail(*_, search_alg, **options):
        search_alg.suggest("a trial")
        raise RuntimeError("Ray is at a loss")

    monkeypatch.setattr("ray.nodes", lambda: [{"Alive": True, "Resources": {"CPU": 2.0}}])
    monkeypatch.setattr(tune, "with_parameters", lambda *_, **parameters: None)
    monkeypatch.setattr(tune, "run", fail)
    monkeypatch.setenv("TUNE_MAX_PENDING_TRIALS_PG", "to be restored")

    def plan():
        return (yield seeds_of("plain", 0, 1))

    with Agenda(plan(), finished={}, on_outcome=lambda *_: None) as agenda:
        run_tune(Trials(agenda), Job(Workers(), {}, tmp_path, b"", b"", ()), DATA)
    assert {outcome.status for outcome in agenda.result.values()} == {"crashed"}
    assert {outcome.reason for outcome in agenda.result.values()} == {"Ray Tune failed: RuntimeError: Ray is at a loss"}


def test_a_plan_of_finished_specs_starts_nothing(monkeypatch):
    (spec,) = seeds_of("plain", 0)
    monkeypatch.setattr("scaling_search.runners.ray.driver.ray_session", None)

    def plan():
        return (yield [spec])

    record = to_record(spec, Outcome("ok", accuracy=0.25))
    assert run_on_ray(plan(), train, DATA, workers=Workers(), finished={spec.key: record}, on_outcome=None)


# What workers are given


def test_the_user_s_xla_flags_are_kept_and_come_last(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--theirs")
    assert worker_environment(Workers(), {"XLA_FLAGS": "--ours"})["XLA_FLAGS"] == "--ours --theirs"


def test_half_a_gpu_takes_less_than_half_of_its_memory_or_what_the_user_says(monkeypatch):
    monkeypatch.delenv(MEMORY_FRACTION, raising=False)
    assert worker_environment(Workers(gpus_per_trial=0.5), {})[MEMORY_FRACTION] == "0.450"
    assert MEMORY_FRACTION not in worker_environment(Workers(gpus_per_trial=1), {})
    monkeypatch.setenv(MEMORY_FRACTION, "0.05")
    assert worker_environment(Workers(gpus_per_trial=0.5), {})[MEMORY_FRACTION] == "0.05"
