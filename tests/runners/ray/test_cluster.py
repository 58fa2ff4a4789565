"""Runs on a Ray cluster of several nodes, which are all on this machine, with GPUs that are made up."""

import json
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from scaling_search.config import Workers
from scaling_search.errors import UserError
from scaling_search.runners.local import run_here
from scaling_search.runners.ray import driver
from scaling_search.runners.ray.driver import run_on_ray
from tests.runners.cluster import TOKEN, Nodes
from tests.runners.fake_training import DATA, Notes, seeds_of, train
from tests.runners.observing import screen, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Ray's nodes share a machine on Linux alone")


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    """A head with a CPU, `gpus` with two GPUs, and `old` without GPUs but with another JAX."""
    other = tmp_path_factory.mktemp("other")
    (other / "jax-0.1.0.dist-info").mkdir()
    (other / "jax-0.1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: jax\nVersion: 0.1.0\n")
    with Nodes() as nodes, pytest.MonkeyPatch.context() as patch:
        for name, value in TOKEN.items():
            patch.setenv(name, value)
        # Machines that run tests are busy.
        patch.setattr(driver, "CONNECT_SECONDS", 120)
        nodes.add("head", num_cpus=1)
        nodes.add("gpus", num_cpus=3, num_gpus=2)
        nodes.address = nodes.add("old", num_cpus=1, env_vars={"PYTHONPATH": str(other)})
        yield nodes


def run(nodes, plan, marks, **workers):
    """The outcomes that a run leaves, and what was seen of it."""
    notes = Notes()
    with screen() as shown:
        run_on_ray(
            plan,
            train,
            DATA,
            workers=Workers(address=nodes.address, **workers),
            finished={},
            on_outcome=notes.record,
            watchers=[notes],
            worker_env={"MARK": str(marks), "TMPDIR": str(marks), "JAX_COMPILATION_CACHE_DIR": "the driver's own"},
        )
    return SimpleNamespace(
        notes=notes,
        outcomes=dict(zip(notes.order, notes.recorded.values(), strict=True)),
        processes=[json.loads(outcome.device) for outcome in notes.recorded.values()],
        shown=shown,
    )


def meeting(name, count):
    """Specs that are trained at the same time or not at all."""
    return [spec for index in range(count) for spec in seeds_of(f"meet:{name}:{index}:{count}", 0)]


def accuracies_here(specs):
    def plan():
        return (yield specs)

    outcomes = run_here(plan(), lambda group, data: train(group, data), DATA, finished={}, on_outcome=lambda *_: None)
    return {key: outcome.accuracy for key, outcome in outcomes.items()}


@pytest.fixture(scope="module")
def on_gpus(nodes, tmp_path_factory):
    """Three trials that are trained at the same time, with half a GPU each."""

    def plan():
        yield meeting("gpus", 3)

    return run(nodes, plan(), tmp_path_factory.mktemp("marks"), gpus_per_trial=0.5)


def test_trials_that_take_gpus_run_where_they_are_and_their_outcomes_say_so(on_gpus):
    assert on_gpus.notes.slots == 3
    assert {outcome.machine for outcome in on_gpus.outcomes.values()} == {"gpus"}


def test_no_gpu_is_given_to_more_trials_than_its_fraction_allows(on_gpus):
    given = [process["environment"]["CUDA_VISIBLE_DEVICES"] for process in on_gpus.processes]
    assert set(given) == {"0", "1"}
    assert max(given.count(gpu) for gpu in given) == 2


def test_workers_run_the_code_of_the_driver(on_gpus):
    import scaling_search

    for process in on_gpus.processes:
        package = Path(process["code"]).parent
        assert package != Path(scaling_search.__file__).parent


def test_compiled_programs_are_kept_where_the_machine_keeps_them(on_gpus):
    kept = {process["environment"]["JAX_COMPILATION_CACHE_DIR"] for process in on_gpus.processes}
    assert len(kept) == 1 and "scaling-search/xla" in kept.pop()


def test_nothing_is_shown(on_gpus):
    assert on_gpus.shown == {"stdout": "", "stderr": ""}


def test_a_machine_with_other_versions_is_refused_before_anything_is_trained(nodes, tmp_path):
    def plan():
        yield seeds_of("plain", 0)

    with pytest.raises(UserError, match=r"^old has jax 0\.1\.0; the machine that the run was started on has jax"):
        run(nodes, plan(), tmp_path, gpus_per_trial=0)


@pytest.mark.slow
def test_a_run_goes_on_where_machines_join_and_die(nodes, tmp_path):
    nodes.kill("old")
    first, second = meeting("first", 4), meeting("second", 5)
    third = [spec for index in range(5) for spec in seeds_of(f"hang_on_spot:{index}", 0)]

    def kill_once_it_hangs():
        wait_until((tmp_path / "hangs").exists, seconds=60)
        nodes.kill("spot")

    killer = threading.Thread(target=kill_once_it_hangs)

    def plan():
        yield first
        nodes.add("spot", num_cpus=1, env_vars={"SPOT": "1"})
        yield second
        killer.start()
        yield third

    seen = run(nodes, plan(), tmp_path, gpus_per_trial=0)
    killer.join()
    machines = {name: outcome.machine for (name, _), outcome in seen.outcomes.items()}
    assert {machines[spec.network.fingerprint] for spec in first} == {"head", "gpus"}
    assert {machines[spec.network.fingerprint] for spec in second} == {"head", "gpus", "spot"}
    assert {machines[spec.network.fingerprint] for spec in third} == {"head", "gpus"}
    recorded = {key: outcome.accuracy for key, outcome in seen.notes.recorded.items()}
    assert recorded == accuracies_here([*first, *second, *third])
    assert {process["environment"]["CUDA_VISIBLE_DEVICES"] for process in seen.processes} <= {"", None}
    assert {process["environment"]["JAX_PLATFORMS"] for process in seen.processes} == {"cpu"}
