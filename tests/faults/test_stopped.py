"""A run that is stopped again and again, by signals and by the clock, and the numbers of one that was not."""

import os
import signal
import sys
import time

import pytest

from tests.faults.harm import end, numbers_of, start, to_the_end
from tests.runners.observing import alive, descendants, temporary_files, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")]


EPOCHS = 1000
"""So many that no training ends between two stops, on a quick machine either."""


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    runs = tmp_path_factory.mktemp("whole")
    to_the_end(runs, EPOCHS)
    return numbers_of(runs)


def written(runs):
    return {file for file in (runs / "small" / "checkpoints").glob("*/*") if file.name.isdecimal()}


def stopped(runs, number, times=1):
    """Signals a run once a training has written a checkpoint, and returns its status and the last line that it said."""
    before = written(runs)
    run = start(runs, EPOCHS)
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


def test_a_run_that_was_stopped_and_resumed_has_the_numbers_of_one_that_was_not(expected, tmp_path):
    how = "run the same command again to continue"
    for number, times, status, word in (
        (signal.SIGTERM, 1, 143, "terminated"),
        (signal.SIGINT, 1, 130, "interrupted"),
        (signal.SIGINT, 2, 130, ""),
        (signal.SIGKILL, 1, -9, ""),
    ):
        returned, line = stopped(tmp_path, number, times)
        assert returned == status
        if word:
            # Whether trainings have checkpoints by then is a matter of moments.
            assert line.startswith(f"{word}: finished trials are kept") and line.endswith(f"; {how}")
    to_the_end(tmp_path, EPOCHS)
    assert numbers_of(tmp_path) == expected
    assert not (tmp_path / "small" / "checkpoints").exists()


def test_where_its_hours_are_over_a_run_says_what_is_left_and_how_to_go_on(tmp_path):
    run = start(tmp_path, 10**6, 10 / 3600)
    said, _ = run.communicate(timeout=300)
    assert run.returncode == 1
    *_, last = said.splitlines()
    assert last.startswith("error: stopped after 0.00277778 hours, with 4 trainings and what follows from them to do")
    assert last.endswith("run the same command again to continue")
    assert "still to train: small at d 1.00, w 2.00, r 1.00, seeds 0, 1" in said
