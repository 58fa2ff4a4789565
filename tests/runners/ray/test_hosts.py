"""Trials on several hosts, which are nodes of a cluster on this machine."""

import contextlib
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ray.exceptions import RayActorError, RayTaskError

from scaling_search.config import Workers
from scaling_search.errors import UserError
from scaling_search.runners.ray import driver, hosts
from scaling_search.runners.ray.capacity import refuse_part_of_slice, resources_per_trial, slice_for, slots_of
from scaling_search.runners.ray.driver import run_on_ray
from scaling_search.runners.ray.tuning import PlanSearcher
from scaling_search.trial import Outcome
from tests.runners.cluster import ENVIRONMENT, Nodes
from tests.runners.fake_training import Notes, accuracy_of, seeds_of
from tests.training.conftest import barred_images
from tests.training.test_epochs import CONFIG, losses, specs_and_build


def train(group, data):
    """Trains networks that there are; of others, the name says what happens on the second host."""
    import jax

    from scaling_search.training.fit import train_group
    from scaling_search.training.hosts import any_of_them

    if group[0].network.family == CONFIG.family:
        yield from train_group(group, data)
        return
    for spec in group:
        first_time = Path(os.environ["MARK"]) / f"{spec.key}-{jax.process_index()}"
        match spec.network.family:
            case "raise":
                raise ValueError("no way")
            case "die" if not first_time.exists():
                first_time.touch()
                (Path(os.environ["MARK"]) / f"pid-{os.getpid()}").touch()
                any_of_them(True)
                if jax.process_index() == 1:
                    os._exit(1)
                any_of_them(True)
        yield Outcome("ok", accuracy=accuracy_of(spec), device=json.dumps([jax.process_index(), jax.process_count()]))


def alive(pid):
    with contextlib.suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Ray's nodes share a machine on Linux alone")
def test_two_nodes_train_each_trial_together_and_a_dead_host_loses_nothing(tmp_path, monkeypatch, images):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(driver, "CONNECT_SECONDS", 120)
    real, dies, raises = specs_and_build(images)[0][:1], seeds_of("die", 0), seeds_of("raise", 0)

    def plan():
        yield real
        yield dies
        yield raises

    notes = Notes()
    with Nodes() as cluster:
        cluster.add("one", num_cpus=1)
        address = cluster.add("two", num_cpus=1)
        run_on_ray(
            plan(),
            train,
            images,
            workers=Workers(address=address, hosts_per_trial=2),
            finished={},
            on_outcome=notes.record,
            watchers=[notes],
            worker_env={"MARK": str(tmp_path), "TMPDIR": str(tmp_path)},
        )
        left = [pid for file in tmp_path.glob("pid-*") if alive(pid := file.name.removeprefix("pid-"))]
    trained, died, raised = (notes.recorded[spec.key] for (spec,) in (real, dies, raises))
    assert notes.slots == 1
    assert trained.reason is None and set(trained.machine.split(", ")) == {"one", "two"}
    from scaling_search.training.fit import train_group

    np.testing.assert_allclose(losses([trained]), losses(list(train_group(real, images))), rtol=1e-4)
    assert (died.status, died.accuracy, json.loads(died.device)) == ("ok", accuracy_of(dies[0]), [0, 2])
    assert len(list(tmp_path.glob("pid-*"))) == 2 and not left
    assert (raised.status, raised.reason) == ("crashed", "ValueError: no way")


@pytest.fixture(scope="module")
def images():
    return barred_images()


# What it means that one has failed


@pytest.fixture
def said(monkeypatch):
    """Gives two hosts the answers in a list: what they return or raise, or None where they are not done."""
    answers = []

    def wait(asked, num_returns=1, timeout=None):
        done = [one for one in asked if answers[one] is not None][:num_returns]
        return done, [one for one in asked if one not in done]

    def get(asked):
        found = [answers[one] for one in (asked if isinstance(asked, list) else [asked])]
        for answer in found:
            if isinstance(answer, Exception):
                raise answer
        return found

    monkeypatch.setattr(hosts, "ray", SimpleNamespace(wait=wait, get=get))
    return answers


def failure(error):
    return RayTaskError("outcome", "traceback", error)


@pytest.mark.parametrize(
    ("answers", "raised", "message"),
    [
        ([failure(ValueError("no way")), failure(ValueError("no way"))], ValueError, "^no way$"),
        ([failure(ValueError("gone")), RayActorError()], RayActorError, "before finishing"),
        ([RayActorError(), None], RayActorError, "before finishing"),
        ([failure(ValueError("odd")), None], hosts.HostLostError, "^a host of several failed alone: ValueError: odd$"),
        (["done", failure(ValueError("odd"))], hosts.HostLostError, "failed alone: ValueError: odd"),
        (["done", None], hosts.HostLostError, "^a host of several was not done 600 seconds after another$"),
    ],
)
def test_what_all_raise_is_the_training_s_and_else_a_host_is_lost(said, answers, raised, message):
    said[:] = answers
    with pytest.raises(raised, match=message):
        hosts.Hosts._answers(object.__new__(hosts.Hosts), [0, 1])


def test_a_trial_whose_host_is_lost_is_given_back_with_the_reason():
    lost = []
    trials = SimpleNamespace(done=False, ended=lambda trial_id, reason: lost.append(reason))
    searcher = PlanSearcher(trials, {"CPU": 1, "GPU": 0, "TPU": 0})
    text = f"Traceback:\n{hosts.HostLostError.__module__}.HostLostError: a host of several was late\n\n"
    searcher.died("a", text)
    searcher.on_trial_complete("a", error=True)
    assert lost == ["a host of several was late"]


# What Ray is asked for


def hosts_of(name, count, chips=4.0, topology="4x4"):
    labels = {"ray.io/tpu-slice-name": name, "ray.io/tpu-topology": topology}
    return [{"Resources": {"CPU": 8.0, "TPU": chips}, "Labels": labels} for _ in range(count)]


def test_a_machine_has_one_host_of_a_trial_at_most():
    demand = {"CPU": 1, "GPU": 0, "TPU": 0}
    room = [{"CPU": float(cores)} for cores in (8, 2, 1)]
    assert [slots_of(room, demand, count) for count in (1, 2, 3)] == [11, 3, 1]
    assert slots_of([{"CPU": 2.0}] * 4, demand, 2) == 4


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (2, "--hosts-per-trial 3 given; there are 2 machines with 1 CPUs; try --hosts-per-trial 2"),
        (1, "--hosts-per-trial 3 given; there is 1 machine with 1 CPUs; --address names a cluster of several"),
    ],
)
def test_more_hosts_than_machines_are_refused(nodes, message):
    with pytest.raises(UserError) as raised:
        slots_of([{"CPU": 8.0}] * nodes, {"CPU": 1}, 3)
    assert str(raised.value) == message


def test_on_several_hosts_a_trial_takes_all_of_a_slice():
    nodes = [{"Resources": {"CPU": 4.0}, "Labels": {}}, *hosts_of("b", 4), *hosts_of("a", 2, topology="2x4")]
    demand = resources_per_trial(Workers(hosts_per_trial=4), [node["Resources"] for node in nodes])
    assert demand == {"CPU": 1, "GPU": 0, "TPU": 4}
    assert slice_for(nodes, demand, 4) == "b"
    assert slice_for(nodes, demand, 2) == "a"
    assert slice_for(nodes, demand, 1) is None
    assert slice_for(nodes, {"CPU": 1, "TPU": 0}, 4) is None
    for count, chips in ((3, 4), (4, 2)):
        with pytest.raises(UserError, match=r"there are a with 8 chips on 2 hosts, b with 16 chips on 4 hosts; "):
            slice_for(nodes, {"CPU": 1, "TPU": chips}, count)
    with pytest.raises(UserError, match=r"^no TPU slice has 4 chips on each of 4 hosts; there is none; "):
        slice_for(nodes[:1], demand, 4)
    with pytest.raises(UserError, match=r"or --hosts-per-trial$"):
        refuse_part_of_slice(nodes, demand)


def test_the_bundles_of_a_trial_are_on_machines_of_its_slice_and_its_own_process_takes_nothing():
    placement = hosts.bundles({"CPU": 1, "GPU": 0, "TPU": 4}, 2, "a")
    assert placement.head_bundle_is_empty and placement.strategy == "STRICT_SPREAD"
    assert placement.bundles == [{"CPU": 1, "TPU": 4}] * 2
    assert placement._bound.kwargs == {"bundle_label_selector": [{"ray.io/tpu-slice-name": "a"}] * 2}
    assert hosts.bundles({"CPU": 1}, 2, None)._bound.kwargs == {}


def test_a_batch_must_be_as_many_images_for_each_host():
    from scaling_search.recipe import images_per_host

    assert images_per_host(16, 4) == 4
    with pytest.raises(UserError, match=r"^3 hosts cannot share out a batch of 16 .*; try --recipe.batch-size 18$"):
        images_per_host(16, 3)
    with pytest.raises(UserError, match="hosts_per_trial 0 given"):
        Workers(hosts_per_trial=0)
