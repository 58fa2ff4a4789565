"""`train` and `sweep` with the real command."""

import json
import shutil

import numpy as np
import pytest
from flax import nnx

from scaling_search.cli import main
from scaling_search.networks.efficientnet import EFFICIENTNET_TINY
from scaling_search.rule import Scale
from scaling_search.weights.files import write_arrays
from scaling_search.weights.transfer import export_weights
from tests.cli.commands import ROOT, command, in_this_process

pytestmark = pytest.mark.usefixtures("drawn_at_once")

FAST = ("--seeds", "2", "--recipe.epochs", "1", "--family", "efficientnet_tiny", "--format", "json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("training")
    network = EFFICIENTNET_TINY.build(Scale(), 1000, rngs=nnx.Rngs(5))
    write_arrays(place / "w.safetensors", export_weights(network, None), {})
    return place


def refused(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_sweep_without_images_counts_beside_the_paper(capsys):
    main(["sweep", "--family", "mobilenet_v2", "--dims", "d", "--format", "json"])
    rows = json.loads(capsys.readouterr().out)
    assert [row["scaling"] for row in rows] == ["baseline", "depth"]
    assert rows[0]["paper_multiply_adds"] == 0.3e9 and abs(rows[0]["difference"]) < 0.02


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["sweep", "--dims", "x"], "dimensions are d, w and r"),
        (["train", "--trained", "head"], "without --init"),
        (["train", "--init", "/no/such.safetensors"], "there is no such file"),
    ],
)
def test_bad_input_is_one_line(words, complaint, capsys):
    assert complaint in refused(words, capsys)


def test_weights_that_do_not_fit_are_refused_before_anything_is_written(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["train", *FAST, "--width", "2", "--init", str(folder / "w.safetensors")]
    assert "needs" in refused(words, capsys)
    assert not list(tmp_path.iterdir())


def test_one_network_is_trained_from_given_weights_and_goes_on(folder, pretended):
    words = ("train", *FAST, "--init", "w.safetensors", "--trained", "head", "--name", "head")
    done = in_this_process(folder, *words)
    assert done.returncode == 0, done.stderr
    assert "w.safetensors: the head is new and untrained: that of the weights, of 1000 classes," in done.stderr
    assert {spec.init.trained for spec in pretended.trained} == {"head"}
    (row,) = json.loads(done.stdout)["sweep"]
    assert row["scaling"] == "network" and row["seeds"] == 2 and 0 < row["val_accuracy"] < 1
    again = in_this_process(folder, "resume", "runs/head", "--format", "json")
    assert again.returncode == 0 and again.stdout == done.stdout and "2 from the store" in again.stderr
    other = in_this_process(folder, *words[:-4], "--name", "head", "--trained", "all")
    assert other.returncode == 2 and "trained was 'head' and is now 'all'" in other.stderr


def test_a_sweep_is_trained_where_it_is_given_images(folder, pretended):
    done = in_this_process(folder, "sweep", *FAST, "--data", "digits", "--dims", "w", "--name", "sweep")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["sweep"]
    assert [row["scaling"] for row in rows] == ["baseline", "width"]
    assert all(np.isfinite(row["val_accuracy"]) for row in rows) and rows[1]["of_baseline"] > 2
    table = in_this_process(folder, "table", "runs/sweep", "--format", "json")
    assert table.stdout == done.stdout


@pytest.mark.slow
def test_a_network_of_one_s_own_is_trained_beside_files_that_are_called_like_modules(tmp_path):
    shutil.copy(ROOT / "examples" / "plain_cnn.py", tmp_path / "my_nets.py")
    for name in ("analysis", "baselines", "numpy", "queue", "random", "scaling_search", "tests", "types"):
        (tmp_path / f"{name}.py").write_text(f"raise RuntimeError('the user has a {name}.py')")
    words = ("--family", "my_nets:PlainCNNFamily", "--recipe.epochs", "1", "--data", "digits", "--format", "json")
    done = command(tmp_path, "train", *words)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["sweep"]
    assert row["seeds"] == 1 and row["parameters"] == 6418
