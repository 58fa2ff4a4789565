"""Runs on a Ray that was started by others."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from scaling_search.config import Workers
from scaling_search.errors import UserError
from scaling_search.runners.ray import driver
from scaling_search.runners.ray.process import _connect
from tests.runners.fake_training import DATA, seeds_of, train
from tests.runners.observing import alive, descendants, screen, wait_until
from tests.runners.ray.script import PYTHONPATH, SCRIPT

LINUX = sys.platform == "linux"


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense"])
def test_a_cluster_that_cannot_be_reached_is_named_with_what_to_do(address, monkeypatch):
    def plan():
        return (yield seeds_of("plain", 0))

    monkeypatch.setattr(driver, "CONNECT_SECONDS", 1)
    with screen() as shown, pytest.raises(UserError, match="cannot be reached") as raised:
        driver.run_on_ray(plan(), train, DATA, workers=Workers(address=address), finished={}, on_outcome=None)
    assert address in str(raised.value)
    assert "ray start --head" in str(raised.value)
    assert shown == {"stdout": "", "stderr": ""}


def test_addresses_of_ray_s_other_protocols_are_refused():
    with pytest.raises(UserError, match=r"'ray://127.0.0.1:1' cannot be reached: an address is auto or HOST:PORT"):
        _connect("ray://127.0.0.1:1", {})


@pytest.mark.slow
@pytest.mark.skipif(not LINUX, reason="it reads /proc")
def test_a_cluster_trains_and_is_left_running(tmp_path):
    environment = {
        **os.environ,
        "PYTHONPATH": PYTHONPATH,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "a-token-for-this-test-alone-0123456789",
        "RAY_USAGE_STATS_ENABLED": "0",
        # Processes that nobody waits for take most of the time.
        "RAY_enable_worker_prestart": "0",
        "RAY_prestart_worker_first_driver": "0",
    }
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ss-cluster"))
        command = ["--head", "--block", "--port=0", "--num-cpus=1", "--include-dashboard=false", f"--temp-dir={folder}"]
        head = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", "start", *command],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(end, head)
        wait_until((Path(folder) / "ray_current_cluster").exists, seconds=60)
        address = (Path(folder) / "ray_current_cluster").read_text()
        cluster = descendants(head.pid)
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, "plain", address],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (done.stdout, done.stderr) == ("plain ok\n" * 8, "")
        assert len(cluster) > 3
        assert alive(cluster) == cluster


def end(process):
    processes = descendants(process.pid)
    process.terminate()
    process.wait()
    for pid in alive(processes):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
