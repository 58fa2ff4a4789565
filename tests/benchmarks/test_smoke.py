"""The benchmark commands work. Times are for people to read: nothing here asserts one."""

import json
import sys
from pathlib import Path

import jax
import pytest
from flax import nnx

from scaling_search.search.nas import zero_cost
from tests.benchmarks import __main__ as benchmarks
from tests.benchmarks import curves, recipes, search
from tests.benchmarks import nas as comparison
from tests.cli.commands import in_this_process

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("drawn_at_once")]


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


def test_runs_of_many_trials_are_measured(in_a_folder):
    found = in_a_folder("driver", "records", "--sides", "ours")
    sides = found["driver: 3 trials of 0 s"]
    assert all(side["a_trial"] > 0 and side["processes"]["Ray's"]["mb"] > 0 for side in sides.values())
    assert found["records"]["records"] >= 30 and found["records"]["check"]["problems"] == 0
    assert found["records"]["together"]["load"] > 0


def test_our_side_of_a_step_is_measured(in_a_folder):
    found = in_a_folder("step", "--without-peer")
    (figures,) = (value for key, value in found.items() if key.startswith("step"))
    assert figures["images_per_second"]["ours"] > 0 and figures["ratio"] == {}


def test_the_search_that_is_compared_is_of_eight_networks(tmp_path, pretended):
    done = in_this_process(tmp_path, "step1", *search.OPTIONS, "--keep", "none")
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    trainings = search.trainings(tmp_path, run.name)
    assert len({(one["depth"], one["width"], one["resolution"]) for one in trainings}) == 8
    assert {(one["epochs"], one["batch_size"]) for one in trainings} == {(3, 32)}


def parameters_of(network):
    return float(sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network, nnx.Param))))


def test_search_strategies_are_compared(tmp_path, monkeypatch, pretended):
    words = ["--smoke", "--strategies", "random", "evolution", "--folder", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["comparison", *words])
    # Each better than the last, so that there is progress to draw.
    pretended.accuracy = lambda spec: 0.5 + len(pretended.trained) / 20
    # In place of scores that take seconds to compile for each network.
    monkeypatch.setattr(zero_cost, "SCORES", {"size": lambda network, images, labels: parameters_of(network)})
    comparison.main()
    found = json.loads((tmp_path / "nas.json").read_text())
    assert found["strategies"].keys() == {"random", "evolution"} and found["scores"]["size"]["networks"] == 2
    peer = found["peers"]["mobilenet_v2"]
    target = json.loads((tmp_path / "runs" / "random-0" / "nas.json").read_text())["target"]
    assert peer["multiply_adds"] == pytest.approx(target, rel=0.2) and 0 < peer["mean"][0] < 1
    assert (tmp_path / "nas_strategies.png").read_bytes().startswith(b"\x89PNG")


def test_recipes_are_compared(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["recipes", "--smoke", "short", "paper"])
    recipes.main()
    rows = [json.loads(line) for line in (tmp_path / "recipes.jsonl").read_text().splitlines()]
    assert [row["recipe"] for row in rows] == ["short", "paper"]
    assert capsys.readouterr().out.count("| baseline |") == 2
    assert all(row["loss"][0] > 0 and row["multiply_adds"] > 0 for row in rows)


def test_laws_of_size_and_of_curves_are_compared(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["curves", str(Path(__file__).parents[2] / "tables/fashion_mnist_longer.parquet")])
    monkeypatch.setattr(curves, "STARTS", 2)
    curves.main()
    assert capsys.readouterr().out.count("longer.parquet` |") == 3
