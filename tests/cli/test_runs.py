"""Commands that run something, with recorded or pretended trainings: options, failures, odd surroundings."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from flax import nnx
from PIL import Image

from scaling_search.analysis import findings_of, load_run
from scaling_search.config import QUICK, NasConfig
from scaling_search.networks.efficientnet import EFFICIENTNET_TINY
from scaling_search.rule import Scale
from scaling_search.store import open_run
from scaling_search.weights.files import write_arrays
from scaling_search.weights.transfer import export_weights
from tests.cli.commands import ROOT, in_this_process

PICTURES = "scaling_search.experiments.outputs._drawn"
SMALL = ("--data", "digits", "--family", "efficientnet_tiny", "--recipe.epochs", "1", "--name", "small")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current directory, with `tables/` in it. Runs in this process draw no pictures, which would take longest."""
    monkeypatch.setattr(PICTURES, lambda figure, format: f"a {format}".encode())
    (tmp_path / "tables").symlink_to(ROOT / "tables")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def done(*words):
    return in_this_process(Path(), *words)


REPLAY = ("--replay", "tables/fashion_mnist.parquet")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of STEP 1, replayed, in a folder with `tables/`. Not to be changed."""
    place = tmp_path_factory.mktemp("finished")
    (place / "tables").symlink_to(ROOT / "tables")
    made = in_this_process(place, "step1", *REPLAY, "--name", "finished")
    assert made.returncode == 0, made.stderr
    return place / "runs" / "finished"


# Work that failed


def test_where_every_training_failed_the_command_does_too(here, pretended):
    pretended.fails = lambda spec: True
    made = done("train", *SMALL, "--seeds", "2")
    last = made.stderr.splitlines()[-1]
    assert made.returncode == 1
    assert last == "error: 2 of 2 trainings failed; the first: RESOURCE_EXHAUSTED: out of memory"
    assert len(list(open_run("runs/small").records())) == 2


def test_where_some_trainings_failed_it_says_so(here, pretended):
    pretended.fails = lambda spec: spec.seed == 1
    made = done("train", *SMALL, "--seeds", "3", "--format", "json")
    last = made.stderr.splitlines()[-1]
    assert made.returncode == 0
    assert last == "warning: 1 of 3 trainings failed; the first: RESOURCE_EXHAUSTED: out of memory"
    (row,) = json.loads(made.stdout)["sweep"]
    assert row["seeds"] == 2


def test_what_crashed_is_tried_again(here, pretended):
    pretended.fails = lambda spec: True
    assert done("train", *SMALL).returncode == 1
    pretended.fails = lambda spec: False
    assert done("resume", "runs/small").returncode == 0


def test_step_1_without_a_single_network_fails_in_a_line(here, pretended):
    pretended.fails = lambda spec: True
    words = ("step1", "--quick", "--data", "digits", "--name", "none")
    made = done(*words)
    assert made.returncode != 0 and "Traceback" not in made.stderr
    assert "out of memory" in made.stderr.splitlines()[-1], made.stderr


# Numbers and options


@pytest.mark.parametrize("amount", ["2M", "2e6", "2000000"])
def test_limits_are_written_alike_everywhere(amount, here, pretended):
    words = ("step1", "--quick", "--data", "digits", "--name", "limited", "--max-flops", amount)
    made = done(*words, "--format", "json")
    assert made.returncode == 0, made.stderr
    assert all(point["multiply_adds"] <= 2e6 for point in json.loads(made.stdout)["step1"] if point["seeds"])
    found = NasConfig(max_flops=amount, target_flops=amount)
    assert found.max_flops == amount


def test_limits_are_numbers_in_python_too():
    assert NasConfig(max_flops=2e6, target_flops=1_000_000).max_flops == 2e6


def test_one_seed_is_what_train_does_and_has_tables_and_a_report(here, pretended):
    made = done("train", *SMALL, "--format", "json")
    assert made.returncode == 0, made.stderr
    (row,) = json.loads(made.stdout)["sweep"]
    assert row["seeds"] == 1 and row["val_accuracy"] == 0.5 and row["low"] is None
    assert len(pretended.trained) == 1
    assert done("table", "runs/small").returncode == 0
    assert done("table", "runs/small", "--format", "json").stdout == made.stdout
    assert done("report", "runs/small").returncode == 0
    assert "50.0" in Path("runs/small/report.html").read_text()


def test_quick_and_replay_together_are_the_quick_grid_by_recorded_trainings(here):
    made = done("run", "--quick", *REPLAY, "--format", "json")
    assert made.returncode == 0, made.stderr
    (path,) = Path("runs").iterdir()
    config = open_run(path).config()
    assert config.grid == QUICK.grid and config.seeds == QUICK.seeds
    assert config.training_budget == QUICK.training_budget and config.replay == REPLAY[1]
    whole = done("step1", *REPLAY, "--format", "json")
    assert len(json.loads(made.stdout)["step1"]) < len(json.loads(whole.stdout)["step1"])


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    "words",
    [
        ("run", "--phi"),
        ("run", "--grid.step"),
        ("run", "--grid.alpha-max"),
        ("run", "--grid.tolerance"),
        ("run", "--grid.target"),
        ("run", "--recipe.learning-rate"),
        ("run", "--recipe.weight-decay"),
        ("run", "--recipe.warmup-epochs"),
        ("run", "--recipe.decay-epochs"),
        ("run", "--recipe.paper-epochs"),
        ("run", "--recipe.epsilon"),
        ("run", "--recipe.momentum"),
        ("run", "--recipe.label-smoothing"),
        ("run", "--split.validation"),
        ("run", "--split.train"),
        ("run", "--max-flops"),
        ("run", "--max-memory"),
        ("run", "--training-budget"),
        ("train", "--depth"),
        ("train", "--resolution"),
        ("sweep", "--widths"),
        ("nas", "--weight"),
        ("nas", "--target-flops"),
        ("nas", "--max-params"),
        ("cost", "efficientnet_b0", "--width"),
        ("fit", "--flops"),
        ("fit", "--memory"),
        ("step2", "--coefficients", "1.2", "1.1"),
    ],
    ids=lambda words: " ".join(words),
)
def test_numbers_that_are_none_are_refused_in_one_line(words, value, here, pretended):
    made = done(*words, value)
    assert made.returncode == 2 and made.stderr.count("\n") == 1, made.stderr
    assert made.stdout == "" and not pretended.trained and not Path("runs").exists()


# Files that are asked for


@pytest.mark.parametrize(
    "words",
    [
        ("plot", "RUN", "--output", "FILE.png"),
        ("report", "RUN", "--output", "FILE.html"),
        ("record", "RUN", "--output", "FILE.parquet"),
        ("weights", "export", "WEIGHTS", "--network", "efficientnet_tiny", "--output", "FILE.safetensors"),
    ],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("place", ["missing", "a file"])
def test_an_output_that_cannot_be_written_advises_another_output(words, place, finished, here):
    if words[0] == "weights":
        network = EFFICIENTNET_TINY.build(Scale(), 1000, rngs=nnx.Rngs(0))
        write_arrays(here / "w.safetensors", export_weights(network, None), {})
    (here / "a file").write_text("in the way")
    last = "/proc/x" if place == "missing" else str(here / "a file" / "x")
    given = [
        word.replace("RUN", str(finished)).replace("WEIGHTS", "w.safetensors").replace("FILE", last) for word in words
    ]
    made = done(*given)
    assert made.returncode == 2 and made.stderr.count("\n") == 1, made.stderr
    assert "--runs" not in made.stderr and "Traceback" not in made.stderr
    assert "--output" in made.stderr or "write elsewhere" in made.stderr


# Surroundings


@pytest.mark.slow
@pytest.mark.parametrize(
    "surroundings",
    [
        {
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "MATPLOTLIBRC": "usetex.matplotlibrc",
            "LC_ALL": "C",
            "PYTHONUTF8": "0",
            "PYTHONCOERCECLOCALE": "0",
            "HOME": None,
        },
        {
            "MPLBACKEND": "no such backend",
            "HOME": "/nowhere",
            "XDG_CACHE_HOME": "/nowhere/cache",
            "RAY_ADDRESS": "10.0.0.1:6379",
            "http_proxy": "http://10.0.0.1:1",
            "https_proxy": "http://10.0.0.1:1",
        },
    ],
    ids=lambda surroundings: " ".join(surroundings),
)
def test_surroundings_change_nothing(surroundings, finished, here):
    shutil.copytree(finished, here / "runs" / "finished")
    (here / "usetex.matplotlibrc").write_text(
        "text.usetex: True\nfont.family: serif\naxes.grid: True\nsavefig.bbox: tight\nlines.linewidth: 9\n"
    )
    before = {file.name: file.read_bytes() for file in (here / "runs" / "finished").iterdir() if file.is_file()}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **{k: v for k, v in surroundings.items() if v is not None}}
    for name in (name for name, value in surroundings.items() if value is None):
        environment.pop(name, None)
    code = "from scaling_search.cli import main; main(['resume', 'runs/finished']); main(['plot', 'runs/finished'])"
    made = subprocess.run([sys.executable, "-P", "-c", code], cwd=here, env=environment, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert "Traceback" not in made.stderr and "Warning" not in made.stderr
    after = {file.name: file.read_bytes() for file in (here / "runs" / "finished").iterdir() if file.is_file()}
    assert {name for name in before if before[name] != after[name]} == set()


def test_html_in_names_stays_text(here, pretended):
    folder = here / "<b>&bold"
    folder.mkdir()
    for label in ("<script>alert(1)", "'\"&"):
        (folder / label).mkdir()
        for number in range(10):
            pixels = np.full((8, 8), 20 * len(label) % 200 + number, np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    words = ("train", "--family", "efficientnet_tiny", "--recipe.epochs", "1", "--recipe.batch-size", "4")
    made = done(*words, "--data", f"folder:{folder}", "--name", "odd")
    assert made.returncode == 0, made.stderr
    assert done("report", "runs/odd").returncode == 0
    page = Path("runs/odd/report.html").read_text()
    assert "&lt;b&gt;&amp;bold" in page and "<b>&" not in page
    assert "<script>alert" not in page


def test_a_held_lock_is_one_line(here, pretended):
    assert done("train", *SMALL).returncode == 0
    with open_run("runs/small").locked():
        held = done("train", *SMALL)
        assert done("table", "runs/small").returncode == 0
    assert held.returncode == 2 and "another process is working on runs/small" in held.stderr.splitlines()[-1]


def test_a_failed_picture_costs_neither_the_tables_nor_the_run(here, pretended, monkeypatch):
    def fails(figure, format):
        raise RuntimeError("Failed to process string with tex because latex could not be found")

    monkeypatch.setattr(PICTURES, fails)
    made = done("train", *SMALL)
    assert made.returncode == 0
    warned = [line for line in made.stderr.splitlines() if line.startswith("warning: ")]
    assert len(warned) == 2 and all("latex could not be found" in line for line in warned)
    assert Path("runs/small/sweep.csv").is_file() and Path("runs/small/frontier.parquet").is_file()


def test_what_the_command_finds_is_what_python_finds(finished):
    printed = json.loads(in_this_process(finished.parent, "table", "finished", "--format", "json").stdout)
    findings = findings_of(load_run(finished))
    assert [row["fingerprint"] for row in printed["step1"]] == list(findings.step1["fingerprint"])
