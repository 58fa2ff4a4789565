"""What is done where a machine is out of memory: half as many trainings at a time."""

import os
import sys
from pathlib import Path

import pytest

from scaling_search.config import Workers
from scaling_search.runners.agenda import Agenda
from scaling_search.runners.ray import driver
from scaling_search.runners.ray.cores import cores_available
from scaling_search.runners.ray.memory import kills_for_memory
from scaling_search.runners.ray.trials import NO_MEMORY, Trials
from scaling_search.trial import Outcome
from tests.runners.fake_training import DATA, seeds_of, train


def one_batch(specs):
    outcomes = yield specs
    return [outcomes[spec.key] for spec in specs]


def trials_of(specs, slots, kills, notes):
    agenda = Agenda(one_batch(specs), finished={}, on_outcome=lambda *_: None)
    agenda.__enter__()
    trials = Trials(agenda, notes.append, lambda: kills[0])
    trials.started(slots, False)
    return agenda, trials


def test_half_as_many_run_at_a_time_where_one_was_killed_for_memory():
    kills, notes = [7], []
    _, trials = trials_of([spec for name in "abcdef" for spec in seeds_of(name, 0)], 4, kills, notes)
    assert all(trials.suggest(str(number)) for number in range(4))
    kills[0] += 1
    trials.ended("0", "died")
    assert trials.slots == 2 and notes == ["this machine was out of memory: from now on, 2 trainings at a time"]
    assert trials.suggest("4") is None
    for number in (1, 2):
        trials.report(str(number), Outcome("ok"))
    assert trials.suggest("4") and trials.suggest("5") is None
    trials.started(4, False)
    assert trials.slots == 2


def test_a_training_that_memory_does_not_suffice_for_alone_has_crashed_with_that_reason():
    kills, notes = [0], []
    agenda, trials = trials_of(seeds_of("a", 0), 1, kills, notes)
    for number in range(2):
        assert trials.suggest(str(number))
        kills[0] += 1
        trials.ended(str(number), "died")
    assert agenda.result == [Outcome("crashed", reason=NO_MEMORY)] and notes == []


def test_other_deaths_leave_the_number_as_it_is():
    agenda, trials = trials_of(seeds_of("a", 0), 4, [3], [])
    for number in range(2):
        trials.suggest(str(number))
        trials.ended(str(number), "died")
    assert trials.slots == 4 and agenda.result == [Outcome("crashed", reason="died")]


def test_the_kernels_count_is_read():
    assert kills_for_memory() >= 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux" or cores_available() < 2, reason="two must run at a time")
def test_trainings_that_do_not_fit_side_by_side_are_trained_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setenv("MARK", str(tmp_path))
    kills, notes = tmp_path / "kills", []
    monkeypatch.setattr(driver, "Trials", lambda *about: Trials(*about, lambda: len([*kills.glob("*")])))
    kills.mkdir()
    specs = [spec for name in "abcd" for spec in seeds_of(f"greedy:{name}", 0)]
    outcomes = driver.run_on_ray(
        one_batch(specs),
        train,
        DATA,
        workers=Workers(),
        finished={},
        on_outcome=lambda *_: None,
        worker_env={"MARK": os.environ["MARK"]},
        note=notes.append,
    )
    assert [outcome.status for outcome in outcomes] == ["ok"] * 4
    assert notes[-1] == "this machine was out of memory: from now on, one training at a time"
    assert not [*Path(tmp_path).glob("greedy-*")]
