"""Processes of a run killed at random: nothing is lost."""

import sys

import pytest

from tests.faults import kills


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_a_run_whose_processes_are_killed_at_random_has_the_numbers_of_one_that_was_not(capsys):
    kills.main(["--smoke"])
    assert "3 kills" in capsys.readouterr().out
