"""The script that measures a device, on a CPU and small networks: what it needs of a GPU can't be tested here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.device.processes import EndedError, Process, TimeUpError
from tests.device.unpack import write_metadata

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_script_measures_and_says_what_it_could_not(tmp_path):
    environment = os.environ | {"PYTHON": sys.executable, "WHEELS": str(tmp_path / "none")}
    command = [str(ROOT / "tests/device/run.sh"), str(tmp_path), "--small", "--cpu", "--seconds", "600"]
    parts = ["--parts", "going_on", "steps", "trainings"]
    ran = subprocess.run([*command, *parts], env=environment, cwd=tmp_path, check=True, capture_output=True, text=True)
    found = json.loads((tmp_path / "device.json").read_text())
    assert found["problems"] == {}, ran.stdout
    (step,) = found["steps"]
    assert step["images_per_second"] > 0 and step["ready"] > 0 and step["of_peer"] is None
    going_on = found["going_on"]
    assert going_on["stopped"] != going_on["statuses"] == ["ok"] * 5
    assert going_on["alone"] == going_on["gone_on"] == 0
    (how,) = found["trainings"]
    assert how["per_minute_training"] > how["per_minute"] > 0
    assert not any(one["failed"] for one in how["processes"])


def told(tmp_path, code):
    return Process(["-c", code], {}, tmp_path / "log")


def test_a_process_answers_when_told_and_its_end_has_a_reason(tmp_path):
    process = told(
        tmp_path, "import json; print('{}'); print(json.dumps({'said': input()})); raise ValueError('broke')"
    )
    until = 2**31
    assert process.answer(until) == {}
    process.tell("something")
    assert process.answer(until) == {"said": "something"}
    for _ in range(2):
        with pytest.raises(EndedError, match="ended with 1: ValueError: broke"):
            process.answer(until)
    process.tell("more")
    process.end()


def test_a_process_that_takes_too_long_is_given_up(tmp_path):
    process = told(tmp_path, "input()")
    with pytest.raises(TimeUpError):
        process.answer(0)
    process.end()


def test_families_are_found_without_an_installation(tmp_path):
    write_metadata(tmp_path)
    code = "from scaling_search.family import registered_families as r; print(len(r()), 'resnet50' in r())"
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True, cwd=ROOT
    )
    count, found = ran.stdout.split()
    assert int(count) > 30 and found == "True"
