"""A process with Ray that is begun before there is anything to train."""

import os
import sys

import pytest

from scaling_search.config import Workers
from scaling_search.runners.ray import driver, session
from scaling_search.runners.ray.driver import begun_early, run_on_ray
from tests.runners.fake_training import DATA, Notes, seeds_of, train
from tests.runners.observing import alive, descendants, listening, temporary_files, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")


def plan():
    return (yield seeds_of("plain", 0))


def trained(early, environment, notes, **more):
    given = {"workers": Workers(), "finished": {}, "on_outcome": notes.record, "worker_env": environment}
    run_on_ray(plan(), train, DATA, early=early, **given, **more)


def loads_ray(pid):
    with open(f"/proc/{pid}/maps") as maps:
        return "_raylet" in maps.read()


def test_it_loads_ray_opens_no_port_and_ends_with_the_body_where_nothing_is_trained():
    with begun_early(Workers(), {}):
        processes = descendants(os.getpid()) - {os.getpid()}
        wait_until(lambda: any(map(loads_ray, processes)), seconds=60)
        assert any(map(loads_ray, processes))
        assert not listening(processes)
        assert len(temporary_files(os.getpid())) == 1
    assert (alive(processes), temporary_files(os.getpid())) == (set(), [])


def test_an_error_in_the_body_ends_it():
    with pytest.raises(KeyError), begun_early(Workers(), {}):
        processes = descendants(os.getpid()) - {os.getpid()}
        raise KeyError
    assert (alive(processes), temporary_files(os.getpid())) == (set(), [])


def test_it_is_the_one_that_trains(monkeypatch, tmp_path):
    notes = Notes()
    environment = {"MARK": "early", "TMPDIR": str(tmp_path)}
    with begun_early(Workers(), environment) as early:
        processes = descendants(os.getpid()) - {os.getpid()}
        monkeypatch.setattr(driver, "ray_session", None)
        trained(early, environment, notes)
        assert not alive(processes)
    assert [outcome.status for outcome in notes.recorded.values()] == ["ok"]


def test_where_it_has_died_another_is_started(monkeypatch, tmp_path):
    notes, environment = Notes(), {"MARK": "early", "TMPDIR": str(tmp_path)}
    code = session._CODE
    monkeypatch.setattr(session, "_CODE", "raise SystemExit(3)")
    with begun_early(Workers(), environment) as early:
        monkeypatch.setattr(session, "_CODE", code)
        said = []
        trained(early, environment, notes, note=said.append)
    assert [outcome.status for outcome in notes.recorded.values()] == ["ok"]
    assert len(said) == 1 and "exited with status 3" in said[0]
    assert not temporary_files(os.getpid())
