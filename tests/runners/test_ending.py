"""How runs are told to end, and what they end with."""

import os
import signal
import time

import pytest

from scaling_search.errors import OutOfTimeError, Terminated
from scaling_search.runners import ending
from scaling_search.runners.ending import Ending
from scaling_search.runners.local import run_here
from scaling_search.training.checkpoints import Checkpoints
from scaling_search.trial import Outcome
from tests.runners.fake_training import DATA, seeds_of
from tests.runners.observing import handlers


class FakeTrials:
    """Two networks that are not trained yet, of which one is being trained."""

    busy = True
    stopped = False
    left = (*seeds_of("a", 0, 1), *seeds_of("b", 0))

    def stop(self):
        self.stopped = True


@pytest.fixture(autouse=True)
def usual_handlers():
    """Ray leaves one of its own in a process that has had it."""
    found = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in found.items():
        signal.signal(number, handler)


@pytest.fixture
def trials():
    trials = FakeTrials()
    trials.left = lambda: FakeTrials.left
    return trials


@pytest.fixture
def checkpoints(tmp_path):
    (tmp_path / "held" / "120").mkdir(parents=True)
    (tmp_path / "begun" / "60.orbax-checkpoint-tmp").mkdir(parents=True)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.go_on()
    return checkpoints


@pytest.mark.parametrize(
    ("number", "error", "line"),
    [(signal.SIGINT, KeyboardInterrupt, "interrupted"), (signal.SIGTERM, Terminated, "terminated")],
)
def test_a_signal_has_trainings_end_and_the_run_say_how_to_go_on(number, error, line, trials, checkpoints):
    notes = []
    before = handlers()
    with Ending(checkpoints, notes.append).on_signals():
        pass
    assert handlers() == before
    end = Ending(checkpoints, notes.append)
    with end.on_signals():
        end.check(trials)
        assert not checkpoints.stop_asked()
        os.kill(os.getpid(), number)
        end.check(trials)
        end.check(trials)
        assert checkpoints.stop_asked() and trials.stopped
        assert len(notes) == 1 and notes[0].startswith(f"{line}: long trainings write a checkpoint")
        trials.busy = False
        with pytest.raises(error) as raised:
            end.check(trials)
    said = raised.value.line if error is Terminated else str(raised.value)
    kept = "finished trials are kept, and 1 other goes on from a checkpoint"
    assert said == f"{line}: {kept}; run the same command again to continue"
    assert error is not Terminated or raised.value.code == 143


def test_a_second_interrupt_ends_the_run_at_once(trials, checkpoints):
    with Ending(checkpoints, print).on_signals():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_trainings_that_do_not_end_are_not_waited_for(trials, checkpoints, monkeypatch):
    monkeypatch.setattr(ending, "GRACE_SECONDS", -1)
    end = Ending(checkpoints, print)
    with end.on_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Terminated):
            end.check(trials)


def test_without_checkpoints_signals_are_left_alone():
    before = handlers()
    with Ending(None, print).on_signals():
        assert handlers() == before


def test_where_its_hours_are_over_a_run_says_what_is_left(trials, checkpoints):
    notes = []
    end = Ending(checkpoints, notes.append, max_hours=1e-9)
    time.sleep(0.01)
    end.check(trials)
    trials.busy = False
    with pytest.raises(OutOfTimeError, match="with 3 trainings and what follows from them to do; finished trials are"):
        end.check(trials)
    assert notes[1:] == [
        "still to train: a at d 1.00, w 1.00, r 1.00, seeds 0, 1",
        "still to train: b at d 1.00, w 1.00, r 1.00, seeds 0",
    ]


def test_what_has_stopped_is_no_outcome():
    def plan():
        yield seeds_of("a", 0)

    def stopped(specs, data):
        yield Outcome("stopped")

    recorded = []
    with pytest.raises(Exception, match="the run was stopped; finished trials are kept"):
        run_here(plan(), stopped, DATA, finished={}, on_outcome=lambda *one: recorded.append(one))
    assert recorded == []
