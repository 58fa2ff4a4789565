"""A run that is stopped again and again, by signals, kills and the clock, and the numbers of one that was not."""

import os
import random
import signal
import sys
import time
from collections import Counter

import pytest

from scaling_search.experiments.given_networks import sweep
from scaling_search.runners.ray.cores import cores_available
from tests.faults.harm import end, numbers_of, start
from tests.faults.kills import one_run
from tests.faults.small_run import SmallFamily, config_of
from tests.runners.observing import alive, descendants, temporary_files, wait_until
from tests.training.conftest import barred_images

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("drawn_at_once"),
    pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc"),
]


EPOCHS = 320
"""So many that trainings outlast the stops, on a quick machine too."""
ONE_AT_A_TIME = cores_available()
"""Cores for each training. A second process would show no more, and take long to start."""


@pytest.fixture(scope="module")
def expected(tmp_path_factory, trained_here):
    """The numbers of a run in this process, where nothing befalls it."""
    runs = tmp_path_factory.mktemp("whole")
    sweep(config_of(runs, EPOCHS), family=SmallFamily(), data=barred_images(), progress=None)
    return numbers_of(runs)


def written(runs):
    return {file for file in (runs / "small" / "checkpoints").glob("*/*") if file.name.isdecimal()}


def stopped(runs, number, times=1):
    """Signals a run once a training has written a checkpoint, and returns its status and the last line that it said."""
    before = written(runs)
    run = start(runs, EPOCHS, ONE_AT_A_TIME)
    try:
        wait_until(lambda: written(runs) - before or run.poll() is not None, seconds=240)
        processes = descendants(run.pid)
        for _ in range(times):
            (os.killpg if number == signal.SIGINT else os.kill)(run.pid, number)
            time.sleep(0.2)
        said, _ = run.communicate(timeout=20)
        wait_until(lambda: not alive(processes), seconds=10)
        assert not alive(processes) and not temporary_files(run.pid)
    finally:
        end(run)
    return run.returncode, said.splitlines()[-1] if said else ""


def test_a_run_that_was_stopped_and_whose_processes_were_killed_has_the_numbers_of_one_that_was_not(expected, tmp_path):
    how = "run the same command again to continue"
    for number, times, status, word in (
        (signal.SIGTERM, 1, 143, "terminated"),
        (signal.SIGINT, 1, 130, "interrupted"),
        (signal.SIGINT, 2, 130, ""),
    ):
        returned, line = stopped(tmp_path, number, times)
        assert returned == status
        if word:
            # Whether trainings have checkpoints by then is a matter of moments.
            assert line.startswith(f"{word}: finished trials are kept") and line.endswith(f"; {how}")
    kinds, killed = ("driver", "worker", "raylet"), Counter()
    begun, _ = one_run(tmp_path, EPOCHS, 1, random.Random(0), kinds, killed, ONE_AT_A_TIME)
    assert begun > 1 and killed == Counter(kinds)
    assert numbers_of(tmp_path) == expected
    assert not (tmp_path / "small" / "checkpoints").exists()


def test_where_its_hours_are_over_a_run_says_what_is_left_and_how_to_go_on(tmp_path):
    run = start(tmp_path, 10**6, ONE_AT_A_TIME, 9 / 3600)
    said, _ = run.communicate(timeout=300)
    assert run.returncode == 1
    *_, last = said.splitlines()
    assert last.startswith("error: stopped after 0.0025 hours, with 4 trainings and what follows from them to do")
    assert last.endswith("run the same command again to continue")
    assert "still to train: small at d 1.00, w 2.00, r 1.00, seeds 0, 1" in said
