"""What Ray Tune is told about a plan's trials, and which of their processes are ended."""

from types import SimpleNamespace

import pytest
from ray.tune.experiment import Trial

from scaling_search.runners.ray.tuning import Forget, KeepWarm, PlanSearcher
from scaling_search.runners.ray.worker import FOLLOWING, GROUP, LAST, NUMBER, OUTCOME
from scaling_search.trial import Outcome

DEMAND = {"CPU": 1, "GPU": 0, "TPU": 0}


class TrialOfTune:
    """A trial of Tune's, which counts how often it is looked at."""

    def __init__(self, trial_id, status):
        self.trial_id = trial_id
        self.status = status
        self.temporary_state = SimpleNamespace(ray_actor=None)
        self.looks = 0

    def is_finished(self):
        self.looks += 1
        return self.status == Trial.TERMINATED


class Controller:
    """Tune's controller as far as a scheduler uses it."""

    def __init__(self):
        self.stopped = []

    def stop_trial(self, trial):
        trial.status = Trial.TERMINATED
        self.stopped.append(trial.trial_id)


@pytest.fixture
def four_idle():
    """A scheduler with four trials that have trained their last spec, the trials that the plan has, a controller."""
    trials, controller = SimpleNamespace(done=False, most=None), Controller()
    scheduler = KeepWarm(PlanSearcher(trials, DEMAND))
    for name in "abcd":
        trial = TrialOfTune(name, Trial.RUNNING)
        scheduler.on_trial_add(controller, trial)
        scheduler.on_trial_result(controller, trial, {LAST: True})
    return scheduler, trials, controller


def test_processes_stay_while_nothing_waits_however_many_machines_have_joined(four_idle):
    scheduler, _, controller = four_idle
    assert scheduler.choose_trial_to_run(controller) is None
    assert controller.stopped == []


def test_where_memory_was_short_no_more_processes_stay_than_may_run(four_idle):
    scheduler, trials, controller = four_idle
    trials.most = 1
    scheduler.choose_trial_to_run(controller)
    assert controller.stopped == ["d", "c", "b"]


def test_all_processes_end_with_the_plan(four_idle):
    scheduler, trials, controller = four_idle
    trials.done = True
    scheduler.choose_trial_to_run(controller)
    assert sorted(controller.stopped) == ["a", "b", "c", "d"]


def test_trials_that_wait_are_run_in_order_and_each_takes_over_one_process(four_idle):
    scheduler, _, controller = four_idle
    waiting = [TrialOfTune(name, Trial.PENDING) for name in "xy"]
    for trial in waiting:
        scheduler.on_trial_add(controller, trial)
    for trial, stopped in zip(waiting, ("a", "ab"), strict=True):
        assert scheduler.choose_trial_to_run(controller) is trial
        assert controller.stopped == [*stopped]
        trial.temporary_state.ray_actor = "taken over, and not ready yet"
    assert scheduler.choose_trial_to_run(controller) is None
    assert controller.stopped == ["a", "b"]


def test_a_trial_whose_process_went_to_another_is_given_the_next(four_idle):
    """It may have nowhere else to run: idle processes hold all there is, and none of them would ever end."""
    scheduler, _, controller = four_idle
    waiting = [TrialOfTune(name, Trial.PENDING) for name in "xy"]
    for trial in waiting:
        scheduler.on_trial_add(controller, trial)
    scheduler.choose_trial_to_run(controller)
    waiting[1].temporary_state.ray_actor = "that of a, of which x was told"
    waiting[1].status = Trial.RUNNING
    assert scheduler.choose_trial_to_run(controller) is waiting[0]
    assert controller.stopped == ["a", "b"]


def test_a_trial_that_has_ended_is_not_looked_at_again(four_idle):
    scheduler, _, controller = four_idle
    ended = TrialOfTune("e", Trial.TERMINATED)
    scheduler.on_trial_add(controller, ended)
    for _ in range(5):
        scheduler.choose_trial_to_run(controller)
    assert ended.looks == 1


def test_only_what_was_not_trained_is_given_back():
    reported, back = [], []
    trials = SimpleNamespace(
        done=False,
        report=lambda trial_id, outcome: reported.append(trial_id),
        ended=lambda trial_id, reason: back.append(trial_id),
    )
    searcher = PlanSearcher(trials, DEMAND)
    for name, last in (("whole", True), ("half", False)):
        searcher.on_trial_result(name, {OUTCOME: Outcome("ok"), LAST: last})
        searcher.on_trial_complete(name)
    assert reported == ["whole", "half"] and back == ["half"]


def test_tune_keeps_neither_outcomes_nor_specs():
    trial, result = SimpleNamespace(config={GROUP: (1, 2)}, evaluated_params={GROUP: (1, 2)}), {OUTCOME: 1, NUMBER: 0}
    Forget().on_trial_result(1, [trial], trial, result)
    Forget().on_trial_complete(1, [trial], trial)
    assert result == {NUMBER: 0} and trial.config == trial.evaluated_params == {}


@pytest.mark.parametrize(
    ("demand", "looks_ahead", "told"),
    [
        ({"CPU": 2, "GPU": 0, "TPU": 0}, True, True),
        ({"CPU": 2, "GPU": 0, "TPU": 0}, False, False),
        ({"CPU": 1, "GPU": 0, "TPU": 0}, True, False),
        ({"CPU": 4, "GPU": 1, "TPU": 0}, True, False),
    ],
)
def test_a_process_with_a_core_to_spare_is_told_what_follows(demand, looks_ahead, told):
    trials = SimpleNamespace(done=False, suggest=lambda trial_id: ("a group",), following=lambda: "what follows")
    config = PlanSearcher(trials, demand, looks_ahead=looks_ahead).suggest("trial")
    assert config[GROUP] == ("a group",)
    assert config.get(FOLLOWING) == ("what follows" if told else None)
    assert (FOLLOWING in config) == told
