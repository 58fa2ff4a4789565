"""How runs on Ray end before their time: stopped from outside, or by Ray's own death."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from scaling_search.config import Workers
from scaling_search.errors import UserError
from scaling_search.runners.ray import session
from scaling_search.runners.ray.driver import run_on_ray
from tests.runners.fake_training import DATA, seeds_of, train
from tests.runners.observing import alive, descendants, screen, temporary_files, wait_until
from tests.runners.ray.script import PYTHONPATH, SCRIPT

pytestmark = pytest.mark.slow
LINUX = sys.platform == "linux"


@pytest.fixture
def endless():
    """A process that runs a plan without end, in a process group of its own, as a shell would start it."""
    driver = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "sleep"],
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    yield driver
    with contextlib.suppress(ProcessLookupError):
        os.killpg(driver.pid, signal.SIGKILL)
    driver.communicate()


@pytest.mark.skipif(not LINUX, reason="it reads /proc")
@pytest.mark.parametrize(
    ("number", "last_words"),
    [(signal.SIGINT, "interrupted\n"), (signal.SIGTERM, ""), (signal.SIGKILL, "")],
    ids=["ctrl-c", "terminated", "killed"],
)
def test_a_driver_that_is_stopped_leaves_nothing_behind(number, last_words, endless):
    assert endless.stdout.readline() == "plain ok\n"
    processes = descendants(endless.pid)
    assert len(processes) > 5
    (os.killpg if number == signal.SIGINT else os.kill)(endless.pid, number)
    assert endless.communicate(timeout=20) == ("", last_words)
    if number == signal.SIGKILL:
        wait_until(lambda: not alive(processes), seconds=10)
    assert not alive(processes)
    assert not temporary_files(endless.pid)


def kill_server(name):
    """Kills a server of the Ray that this process has started."""
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].endswith(f"/{name}".encode()):
                os.kill(pid, signal.SIGKILL)
                return
    raise AssertionError(f"no {name} runs")


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A run whose server dies in its second batch, and in whose third what records an outcome raises an error."""
    if not LINUX:
        pytest.skip("it reads /proc")
    marks = tmp_path_factory.mktemp("marks")
    (first,), (second,), (third,) = seeds_of("plain", 0), seeds_of("hang_once", 0), seeds_of("plain", 1)
    error = UserError("the disk is full")
    error.__cause__ = OSError(28)
    recorded, notes, before, after = {}, [], set(), set()

    def plan():
        yield [first]
        yield [second]
        yield [third, *seeds_of("sleep", 0)]

    def record(spec, outcome):
        recorded[spec.key] = outcome.status
        if spec == third:
            after.update(descendants(os.getpid()))
            raise error

    def kill_once_it_hangs():
        wait_until((marks / second.key).exists, seconds=60)
        before.update(descendants(os.getpid()))
        kill_server("raylet")

    killer = threading.Thread(target=kill_once_it_hangs)
    killer.start()
    with screen() as shown, pytest.raises(UserError) as raised:
        run_on_ray(
            plan(),
            train,
            DATA,
            workers=Workers(),
            finished={},
            on_outcome=record,
            worker_env={"MARK": str(marks)},
            note=notes.append,
        )
    killer.join()
    left = alive(before | after), temporary_files(os.getpid())
    return SimpleNamespace(
        specs=(first, second, third),
        recorded=recorded,
        notes=notes,
        error=error,
        raised=raised.value,
        processes=(before, after),
        left=left,
        shown=shown,
    )


def test_ray_is_started_again_where_its_server_dies(ended):
    assert ended.recorded == {spec.key: "ok" for spec in ended.specs}
    assert len(ended.notes) == 1 and "Ray died and is started again" in ended.notes[0]


def test_what_is_raised_in_recording_surfaces_as_it_is_and_ends_the_run(ended):
    assert ended.raised is ended.error
    assert isinstance(ended.error.__cause__, OSError)


def test_neither_leaves_or_shows_anything(ended):
    assert all(len(processes) > 5 for processes in ended.processes)
    assert ended.left == (set(), [])
    assert ended.shown == {"stdout": "", "stderr": ""}


def test_where_ray_dies_twice_without_an_outcome_one_line_says_what_happened_and_what_to_do(monkeypatch):
    monkeypatch.setattr(session, "_CODE", "raise SystemExit(3)")
    notes = []

    def plan():
        return (yield seeds_of("plain", 0))

    with screen() as shown, pytest.raises(UserError, match="exited with status 3") as raised:
        run_on_ray(plan(), train, DATA, workers=Workers(), finished={}, on_outcome=lambda *_: None, note=notes.append)
    assert "finished trials are kept; run the same command again" in str(raised.value)
    assert len(notes) == 1 and "exited with status 3" in notes[0]
    assert not temporary_files(os.getpid())
    assert shown == {"stdout": "", "stderr": ""}
