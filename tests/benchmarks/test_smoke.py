"""The benchmark command works. Times are for people to read: nothing here asserts one."""

import json
import sys

import pytest

from tests.benchmarks import __main__ as benchmarks

pytestmark = pytest.mark.slow


@pytest.fixture
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def measured(*words):
        monkeypatch.setattr(sys, "argv", ["benchmarks", "--smoke", *words])
        benchmarks.main()
        return json.loads((tmp_path / "speed.json").read_text())

    return measured


def test_the_peer_is_named_where_it_is_missing(in_a_folder, capsys):
    if benchmarks.peer_is_there():
        pytest.skip("PyTorch and timm are installed")
    with pytest.raises(SystemExit):
        in_a_folder("step")
    assert "pip install -e '.[peer]'" in capsys.readouterr().err


def test_what_needs_no_peer_is_measured(in_a_folder):
    found = in_a_folder("programs")
    assert found["costing"]["networks_per_second"] > 0
    assert found["counting"]["equal"] == found["counting"]["scales"] == 2
    assert {"build", "trace", "compile", "first_step"} <= found["compiling"]["ours, cold"].keys()


def test_our_side_of_a_step_is_measured(in_a_folder):
    found = in_a_folder("step", "--without-peer")
    (figures,) = (value for key, value in found.items() if key.startswith("step"))
    assert figures["images_per_second"]["ours"] > 0 and figures["ratio"] == {}
