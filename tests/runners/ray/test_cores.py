import os
import subprocess
import sys

import pytest

from scaling_search.runners.ray.cores import cores_available, keep_to_own_cores

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has affinities")
ALLOWED = os.sched_getaffinity(0) if sys.platform == "linux" else set()


@pytest.fixture(autouse=True)
def affinity_restored():
    yield
    os.sched_setaffinity(0, ALLOWED)


@pytest.fixture
def other_process(tmp_path):
    """Starts a process that claims cores in the same folder, and says which it keeps to."""
    processes = []

    def start(count):
        code = (
            "import os, pathlib, sys; from scaling_search.runners.ray.cores import keep_to_own_cores\n"
            "claims = keep_to_own_cores(int(sys.argv[1]), pathlib.Path(sys.argv[2]))\n"
            "print(*sorted(os.sched_getaffinity(0)), flush=True); sys.stdin.read()"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(count), str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process, {int(core) for core in process.stdout.readline().split()}

    yield start
    for process in processes:
        process.communicate()


def test_the_cores_available_are_some_of_those_that_the_affinity_allows():
    assert 1 <= cores_available() <= len(ALLOWED)


def test_a_process_keeps_to_as_many_cores_as_it_asked_for(tmp_path):
    with keep_to_own_cores(1, tmp_path):
        assert len(os.sched_getaffinity(0)) == 1


def test_more_cores_than_there_are_leave_the_affinity_as_it_is(tmp_path):
    with keep_to_own_cores(len(ALLOWED) + 1, tmp_path):
        assert os.sched_getaffinity(0) == ALLOWED


@pytest.mark.skipif(len(ALLOWED) < 2, reason="it takes two cores")
def test_two_processes_keep_to_different_cores(tmp_path, other_process):
    _, others = other_process(len(ALLOWED) - 1)
    assert len(others) == len(ALLOWED) - 1
    with keep_to_own_cores(1, tmp_path):
        assert os.sched_getaffinity(0) == ALLOWED - others


def test_where_others_have_claimed_all_cores_as_many_are_shared_with_them(tmp_path, other_process):
    other_process(len(ALLOWED))
    with keep_to_own_cores(1, tmp_path):
        assert len(os.sched_getaffinity(0)) == 1


@pytest.mark.skipif(len(ALLOWED) < 2, reason="it takes two cores")
def test_where_too_few_are_free_those_are_among_the_cores(tmp_path, other_process):
    _, others = other_process(1)
    with keep_to_own_cores(len(ALLOWED), tmp_path):
        assert os.sched_getaffinity(0) == ALLOWED
    with keep_to_own_cores(len(ALLOWED) - 1, tmp_path):
        assert os.sched_getaffinity(0) == ALLOWED - others


def test_a_claim_that_failed_holds_nothing(tmp_path, other_process):
    keep_to_own_cores(len(ALLOWED) + 1, tmp_path)
    assert other_process(len(ALLOWED))[1] == ALLOWED


def test_a_process_that_was_killed_frees_its_cores(tmp_path, other_process):
    process, _ = other_process(len(ALLOWED))
    process.kill()
    process.wait()
    with keep_to_own_cores(1, tmp_path):
        assert len(os.sched_getaffinity(0)) == 1


def test_a_folder_that_cannot_be_had_leaves_the_affinity_as_it_is(tmp_path):
    with keep_to_own_cores(1, tmp_path / "missing"):
        assert os.sched_getaffinity(0) == ALLOWED
