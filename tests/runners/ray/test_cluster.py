"""Runs on a Ray cluster of several nodes, which are all on this machine, with GPUs that are made up."""

import contextlib
import json
import os
import pickle
import random
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from scaling_search.config import Workers
from scaling_search.errors import UserError
from scaling_search.runners.agenda import Agenda
from scaling_search.runners.ray import driver, nodes, own_code, private
from scaling_search.runners.ray.capacity import refuse_part_of_slice, resources_per_trial, slots_of
from scaling_search.runners.ray.driver import run_on_ray
from scaling_search.runners.ray.trials import Trials
from scaling_search.trial import Outcome, outcome_from_dict, to_record
from tests.runners.cluster import ENVIRONMENT, Nodes
from tests.runners.fake_training import DATA, Notes, accuracy_of, seeds_of, train
from tests.runners.observing import screen, wait_until

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A head with a CPU and `gpus` with two GPUs. In the folder `others` is a package of which the head has another."""
    if sys.platform != "linux":
        pytest.skip("Ray's nodes share a machine on Linux alone")
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        # Tests share one, the nodes too if they had it.
        patch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
        cluster = stack.enter_context(Nodes())
        # Machines that run tests are busy.
        patch.setattr(driver, "CONNECT_SECONDS", 120)
        cluster.others = tmp_path_factory.mktemp("others")
        cluster.add("head", num_cpus=1, env_vars={"PYTHONPATH": str(cluster.others)})
        cluster.address = cluster.add("gpus", num_cpus=3, num_gpus=2)
        yield cluster


def run(cluster, plan, marks, **workers):
    """The outcomes that a run leaves, and what was seen of it."""
    notes = Notes()
    with screen() as shown:
        run_on_ray(
            plan,
            train,
            DATA,
            workers=Workers(address=cluster.address, **workers),
            finished={},
            on_outcome=notes.record,
            watchers=[notes],
            worker_env={"MARK": str(marks), "TMPDIR": str(marks), "JAX_COMPILATION_CACHE_DIR": "the driver's own"},
        )
    return SimpleNamespace(
        notes=notes,
        outcomes=dict(zip(notes.order, notes.recorded.values(), strict=True)),
        reasons={outcome.reason for outcome in notes.recorded.values()},
        processes=[json.loads(outcome.device) for outcome in notes.recorded.values() if outcome.status == "ok"],
        shown=shown,
    )


def meeting(name, count):
    """Specs that are trained at the same time or not at all."""
    return [spec for index in range(count) for spec in seeds_of(f"meet:{name}:{index}:{count}", 0)]


@pytest.fixture(scope="module")
def on_gpus(cluster, tmp_path_factory):
    """Three trials that are trained at the same time, with half a GPU each."""

    def plan():
        yield meeting("gpus", 3)

    return run(cluster, plan(), tmp_path_factory.mktemp("marks"), gpus_per_trial=0.5)


def test_trials_that_take_gpus_run_where_they_are_and_their_outcomes_say_so(on_gpus):
    assert on_gpus.reasons == {None}
    assert on_gpus.notes.slots == 3
    assert {outcome.machine for outcome in on_gpus.outcomes.values()} == {"gpus"}


def test_no_gpu_is_given_to_more_trials_than_its_fraction_allows(on_gpus):
    given = [process["environment"]["CUDA_VISIBLE_DEVICES"] for process in on_gpus.processes]
    assert set(given) == {"0", "1"}
    assert max(given.count(gpu) for gpu in given) == 2


def test_workers_run_the_code_that_the_driver_sent(on_gpus):
    (code,) = {process["code"] for process in on_gpus.processes}
    assert "working_dir_files" in code
    assert {process["folder"] for process in on_gpus.processes} == {str(Path.cwd())}


def test_compiled_programs_are_kept_where_the_machine_keeps_them(on_gpus):
    kept = {process["environment"]["JAX_COMPILATION_CACHE_DIR"] for process in on_gpus.processes}
    assert len(kept) == 1 and "scaling-search/xla" in kept.pop()


def test_nothing_is_shown(on_gpus):
    assert on_gpus.shown == {"stdout": "", "stderr": ""}


@pytest.mark.slow
def test_a_machine_with_other_versions_is_refused_before_anything_is_trained(cluster, tmp_path):
    def plan():
        yield seeds_of("plain", 0)

    other = cluster.others / "jax-0.1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: jax\nVersion: 0.1.0\n")
    try:
        with pytest.raises(UserError, match=r"^head has jax 0\.1\.0; the machine that the run was started on has jax"):
            run(cluster, plan(), tmp_path, gpus_per_trial=0)
    finally:
        shutil.rmtree(other)


@pytest.mark.slow
def test_a_run_goes_on_where_machines_join_and_one_of_them_dies(cluster, tmp_path):
    first, second = meeting("first", 4), meeting("second", 6)
    joining = ["one", "other"]
    victim = random.choice(joining)
    third = [spec for index in range(6) for spec in seeds_of(f"hang_on_spot:{index}", 0)]

    def kill_once_it_hangs():
        wait_until((tmp_path / "hangs").exists, seconds=60)
        cluster.kill(victim)

    killer = threading.Thread(target=kill_once_it_hangs)

    def plan():
        yield first
        for name in joining:
            cluster.add(name, num_cpus=1, env_vars={"SPOT": "1"} if name == victim else {})
        yield second
        killer.start()
        yield third

    seen = run(cluster, plan(), tmp_path, gpus_per_trial=0)
    killer.join()
    joining.remove(victim)
    cluster.kill(*joining)
    assert seen.reasons == {None}
    machines = {name: outcome.machine for (name, _), outcome in seen.outcomes.items()}
    assert {machines[spec.network.fingerprint] for spec in first} == {"head", "gpus"}
    assert {machines[spec.network.fingerprint] for spec in second} == {"head", "gpus", victim, *joining}
    assert {machines[spec.network.fingerprint] for spec in third} <= {"head", "gpus", *joining}
    recorded = {key: outcome.accuracy for key, outcome in seen.notes.recorded.items()}
    assert recorded == {spec.key: accuracy_of(spec) for spec in (*first, *second, *third)}
    assert {process["environment"]["CUDA_VISIBLE_DEVICES"] for process in seen.processes} <= {"", None}
    assert {process["environment"]["JAX_PLATFORMS"] for process in seen.processes} == {"cpu"}


# What Ray is asked for


MIXED = [{"CPU": 8.0}, {"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0, "TPU": 4.0}]


def test_a_run_trains_on_one_kind_of_accelerator():
    with pytest.raises(UserError, match=r"the cluster has GPUs and TPUs; .*; try --tpus-per-trial 0"):
        resources_per_trial(Workers(), MIXED)
    assert resources_per_trial(Workers(gpus_per_trial=0.5), MIXED) == {"CPU": 1, "GPU": 0.5, "TPU": 0}
    assert resources_per_trial(Workers(gpus_per_trial=0), MIXED) == {"CPU": 1, "GPU": 0, "TPU": 1}
    assert resources_per_trial(Workers(tpus_per_trial=4), MIXED) == {"CPU": 1, "GPU": 0, "TPU": 4}
    assert resources_per_trial(Workers(gpus_per_trial=0, tpus_per_trial=0), MIXED) == {"CPU": 1, "GPU": 0, "TPU": 0}


@pytest.mark.parametrize(
    ("workers", "message"),
    [
        (Workers(tpus_per_trial=3), "--tpus-per-trial 3 given; it must be one of 0, 1, 2, 4, 8"),
        (
            Workers(tpus_per_trial=8),
            "--tpus-per-trial 8 exceeds any machine's 4 TPUs; a trial runs on one machine; try --tpus-per-trial 4",
        ),
    ],
)
def test_what_no_process_can_have_is_refused(workers, message):
    with pytest.raises(UserError) as raised:
        resources_per_trial(workers, MIXED)
    assert str(raised.value).startswith(message)


def test_a_fraction_is_of_one_gpu():
    assert slots_of([{"CPU": 8.0, "GPU": 2.0}], {"CPU": 1, "GPU": 0.4}) == 4
    assert slots_of([{"CPU": 8.0, "GPU": 2.0}], {"CPU": 1, "GPU": 0.6}) == 2


def test_a_trial_may_not_have_all_chips_of_a_host_whose_slice_has_more():
    host = {"Resources": {"CPU": 8.0, "TPU": 4.0}, "Labels": {"ray.io/tpu-topology": "4x4"}}
    with pytest.raises(
        UserError, match=r"4 is all that a machine of a slice of 4x4 chips has; .*; try --tpus-per-trial 2"
    ):
        refuse_part_of_slice([host], {"TPU": 4})
    refuse_part_of_slice([host], {"TPU": 2})
    refuse_part_of_slice([host], {"TPU": 0})
    refuse_part_of_slice([{**host, "Labels": {"ray.io/tpu-topology": "2x2"}}], {"TPU": 4})
    refuse_part_of_slice([{**host, "Labels": {}}], {"TPU": 4})


# Code and versions


def test_a_machine_without_scaling_search_runs_what_is_sent_and_finds_the_families_by_name(tmp_path):
    code = """
import sys
from importlib import metadata
sys.path[:] = [sys.argv[1], *(place for place in sys.path if "site-packages" not in place)]
sys.meta_path[:] = [finder for finder in sys.meta_path if not type(finder).__module__.startswith("__editable__")]
import scaling_search, scaling_search.analysis.reference, scaling_search.baselines
names = {entry.name for entry in metadata.entry_points(group="scaling_search.families")}
assert {"efficientnet_tiny", "resnet50"} <= names, names
print(scaling_search.__file__, metadata.version("scaling-search"))
"""
    place = own_code.staged(tmp_path / "code")
    assert not list(place.rglob("__pycache__"))
    command = [sys.executable, "-P", "-c", code, str(place)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout.startswith(f"{place}/scaling_search/__init__.py")
    assert not [file for file in place.rglob("*") if file.is_symlink()]


def test_a_user_s_folders_are_looked_in_last_and_an_installation_s_never(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path, str(tmp_path / "missing")])
    environment = own_code.runtime_environment({"MARK": "x"}, tmp_path / "code")
    places = environment["env_vars"]["PYTHONPATH"].split(os.pathsep)
    assert places[0] == str(tmp_path)
    assert not [place for place in places if "site-packages" in place or "missing" in place]
    assert environment["env_vars"]["MARK"] == "x"
    assert environment["working_dir"] == str(tmp_path / "code")


def test_other_versions_are_named_with_what_there_should_be():
    ours = {"Python": "3.12", "ray": "2.60.0", "jax": "0.12.1", "flax": "0.13.0"}
    nodes.refuse_other_versions("gpu-3", ours, ours)
    with pytest.raises(UserError, match=r"^gpu-3 has jax 0\.11\.2, flax none; .* has jax 0\.12\.1, flax 0\.13\.0; "):
        nodes.refuse_other_versions("gpu-3", {**ours, "jax": "0.11.2", "flax": "none"}, ours)
    assert set(nodes.installed()) == {"Python", *nodes.COMPARED} and "none" not in nodes.installed().values()


def test_a_machine_says_why_it_cannot_load_a_training(tmp_path, monkeypatch):
    (tmp_path / "of_the_user.py").write_text("def train(group, data): yield")
    monkeypatch.syspath_prepend(str(tmp_path))
    import of_the_user

    pickled = pickle.dumps(of_the_user.train)
    assert nodes.examine(pickled) == (nodes.installed(), None)
    monkeypatch.delitem(sys.modules, "of_the_user")
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place != str(tmp_path)])
    assert nodes.examine(pickled) == (nodes.installed(), "ModuleNotFoundError: No module named 'of_the_user'")


def test_a_machine_that_joins_late_with_other_versions_is_given_nothing_more():
    from ray.exceptions import ActorDiedError, RayTaskError

    from scaling_search.runners.ray.tuning import PlanSearcher

    lost = []
    trials = SimpleNamespace(done=False, ended=lambda trial_id, reason: lost.append((trial_id, reason)))
    searcher = PlanSearcher(trials, {"CPU": 1, "GPU": 0, "TPU": 0})
    try:
        nodes.refuse_other_versions("late", {"jax": "0.1.0"}, {"jax": "0.2.0"})
    except UserError as error:
        trace = f"Traceback (most recent call last):\n{type(error).__module__}.{type(error).__qualname__}: {error}"
        searcher.died("a", str(ActorDiedError(RayTaskError("Worker.__init__", trace, error))))
    searcher.on_trial_complete("a", error=True)
    assert [trial_id for trial_id, _ in lost] == ["a"]
    assert searcher.refusal.startswith("late has jax 0.1.0; ")
    assert searcher.suggest("b") == PlanSearcher.FINISHED


def test_a_spec_whose_machine_dies_is_tried_more_often_than_one_whose_process_does():
    (spec,) = seeds_of("plain", 0)

    def plan():
        return (yield [spec])

    def tries(lose):
        with Agenda(plan(), finished={}, on_outcome=lambda *_: None) as agenda:
            trials, count = Trials(agenda), 0
            while not agenda.done:
                trials.suggest("a trial")
                getattr(trials, lose)("a trial", "gone")
                count += 1
            assert {outcome.reason for outcome in agenda.result.values()} == {"gone"}
        return count

    assert (tries("ended"), tries("node_died")) == (2, 5)


def test_a_machine_is_called_by_the_name_it_was_given_else_by_its_host_name():
    node = {"NodeName": "10.0.0.2", "NodeManagerAddress": "10.0.0.2", "NodeManagerHostname": "gpu-3"}
    assert nodes.name_of(node) == "gpu-3"
    assert nodes.name_of({**node, "NodeName": "the new one"}) == "the new one"


def test_a_cluster_with_another_python_or_ray_is_named_in_a_line():
    from ray._private.utils import check_version_info

    with pytest.raises(RuntimeError) as raised:
        check_version_info({"ray_version": "2.59.0", "python_version": "3.10.4"}, "here")
    assert private.version_mismatch(str(raised.value)).startswith(
        "has Ray 2.59.0 and Python 3.10.4, and this machine Ray"
    )
    assert private.version_mismatch("connection refused") is None


# The record


def test_where_a_trial_ran_is_in_its_record_and_does_not_name_it():
    (spec,) = seeds_of("plain", 0)
    here, there = (to_record(spec, Outcome("ok", accuracy=0.5, machine=machine)) for machine in ("here", "there"))
    assert here["key"] == there["key"]
    assert outcome_from_dict(there["outcome"]).machine == "there"


def test_records_of_versions_that_did_not_say_where_still_open():
    (spec,) = seeds_of("plain", 0)
    outcome = Outcome("ok", accuracy=0.5)
    old = to_record(spec, outcome)["outcome"]
    del old["machine"]
    assert outcome_from_dict(old) == outcome


# The files for Ray's cluster launcher


@pytest.mark.parametrize("name", ["gpu", "tpu"])
def test_cluster_files_keep_to_ray_s_schema_and_are_shown_as_they_are(name):
    import yaml
    from ray.autoscaler._private.util import prepare_config, validate_config

    text = (ROOT / "docs/clusters" / f"{name}.yaml").read_text()
    config = prepare_config(yaml.safe_load(text))
    validate_config(config)
    assert f"```yaml\n{text}```" in (ROOT / "docs/cluster.md").read_text()
    head, worker = (config["available_node_types"][kind] for kind in config["available_node_types"])
    assert head["resources"]["CPU"] == 0
    assert 0 < worker["min_workers"] <= config["max_workers"]
    assert worker["resources"][name.upper()] > 0
