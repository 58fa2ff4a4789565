"""`nas`, `latency` and `--baseline` with the real command."""

import json
import os
import shlex
import subprocess
import sys
from dataclasses import replace

import pytest
import tyro

from scaling_search.cli import main
from scaling_search.cli.commands import Run
from scaling_search.config import SHORT, NasConfig, RunConfig, Split
from scaling_search.errors import UserError
from scaling_search.experiments.baseline import next_command, with_baseline
from scaling_search.family import load_family
from scaling_search.networks.mnasnet import EFFICIENTNET_B0
from scaling_search.store import start_run
from tests.cli.commands import ENVIRONMENT, ROOT, in_this_process, killed_after, records_of

FAST = ("nas", "--trials", "4", "--batch", "2", "--finalists", "1", "--seeds", "2", "--recipe.epochs", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("nas")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["nas", "--strategy", "annealing"], "annealing"),
        (["nas", "--space", "nasbench"], "unknown space 'nasbench'"),
        (["nas", "--target-flops", "many"], "many"),
        (["nas", "--target-params", "4M"], "the metric is flops"),
        (["nas", "--halving", "1"], "halving 1"),
        (["nas", "--trials", "0"], "trials 0"),
        (["nas", "--family-options", "wdth=2"], "wdth=2"),
        (["nas", "--recipe.batch-size", "100000"], "100000"),
        (["latency", "--networks", "0"], "networks 0"),
        (["latency", "--space", "examples.plain_cnn_space:PlainCNNSpace"], "only cover MnasNet's spaces"),
        (["run", "--baseline", "/no/such/run"], "is not a run"),
    ],
)
def test_bad_input_is_one_line(words, complaint, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(words)
    (line,) = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2 and complaint in line
    assert not list(tmp_path.iterdir())


def test_what_comes_next_is_trained_on_the_same_images_in_the_same_way(tmp_path):
    config = NasConfig(data="idx:some where", split=Split(train=0.1), recipe=replace(SHORT, epochs=4))
    directory = start_run(replace(config, runs=str(tmp_path)), "images:0")
    program, name, *words = shlex.split(shlex.join(next_command(directory)))
    options = tyro.cli(Run, args=words, **Run.defaults(words), config=(tyro.conf.FlagCreatePairsOff,))
    assert (program, name, options.baseline) == ("scaling-search", "run", str(directory.path))
    asked = options.config
    assert (asked.data, asked.split, asked.recipe) == (config.data, config.split, config.recipe)


def finished(place, name="nas-digits", **best):
    directory = start_run(NasConfig(name=name, runs=str(place)), "digits:0")
    directory.write_document("nas", {"best": best} if best else {})
    return directory


def test_a_baseline_is_the_best_of_a_finished_search(tmp_path):
    architecture = f"architecture={EFFICIENTNET_B0}"
    directory = finished(tmp_path, family="mnasnet_tiny", options=[architecture])
    config = with_baseline(RunConfig(family_options=("resolution=20",)), str(directory.path))
    assert config.family == "mnasnet_tiny" and config.family_options == (architecture, "resolution=20")
    assert load_family(config.family, config.family_options).resolution == 20


def test_a_search_that_is_not_finished_has_no_baseline(tmp_path):
    directory = finished(tmp_path)
    with pytest.raises(UserError, match=r"no baseline.*scaling-search resume"):
        with_baseline(RunConfig(), str(directory.path))


def test_another_search_in_the_same_run_is_refused(tmp_path, monkeypatch, capsys):
    from scaling_search.data import load

    monkeypatch.chdir(tmp_path)
    start_run(NasConfig(name="mine"), load("digits").identity)
    with pytest.raises(SystemExit):
        main(["nas", "--name", "mine", "--strategy", "random"])
    assert "strategy was 'evolution' and is now 'random'" in capsys.readouterr().err


@pytest.fixture(scope="module")
def killed(folder):
    """A search, killed as soon as its first trial is kept, then run again."""
    _, _, kept = killed_after(1, folder, folder / "runs" / "nas-digits", *FAST)
    done = in_this_process(folder, *FAST, "--format", "json")
    assert done.returncode == 0, done.stderr
    return done, kept


@pytest.mark.slow
def test_a_killed_search_goes_on_where_it_was(killed, folder):
    done, kept = killed
    assert kept and kept.items() <= records_of(folder / "runs" / "nas-digits").items()
    assert f"{len(kept)} from the store" in done.stderr
    rows = json.loads(done.stdout)["nas"]
    assert len(rows) == 4 and rows[0]["finalist"] and rows[0]["seeds"] == 1
    assert "scaling-search run --phi 1 --baseline runs/nas-digits" in done.stderr


@pytest.mark.slow
def test_a_finished_search_is_printed_again_and_trains_nothing(killed, folder):
    again = in_this_process(folder, "resume", "runs/nas-digits", "--format", "json")
    assert again.returncode == 0, again.stderr
    assert again.stdout == killed[0].stdout
    table = in_this_process(folder, "table", "runs/nas-digits", "--format", "json")
    assert table.stdout == killed[0].stdout


@pytest.mark.slow
def test_one_worker_gives_the_same_numbers(killed, folder):
    # On one core there is one worker.
    here = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(here)})
    try:
        alone = in_this_process(folder, *FAST, "--name", "alone", "--format", "json")
    finally:
        os.sched_setaffinity(0, here)
    assert alone.returncode == 0, alone.stderr
    one, other = (
        json.loads((folder / "runs" / name / "nas.json").read_text())["tried"] for name in ("alone", "nas-digits")
    )
    assert [row["genotype"] for row in one] == [row["genotype"] for row in other]
    assert one == other


@pytest.mark.slow
def test_step_1_runs_on_what_was_found(killed, folder):
    small = ("--grid.step", "0.2", "--grid.alpha-max", "1", "--recipe.epochs", "1", "--seeds", "2", "--format", "json")
    done = in_this_process(folder, "step1", "--baseline", "runs/nas-digits", "--name", "scaled", *small)
    assert done.returncode == 0, done.stderr
    assert {row["network"] for row in json.loads(done.stdout)["step1"]} == {"mnasnet_tiny"}


@pytest.mark.slow
def test_latency_as_the_metric_is_measured_once_and_kept(folder):
    pytest.importorskip("optuna")
    words = ("nas", "--trials", "2", "--batch", "1", "--finalists", "1", "--seeds", "2", "--recipe.epochs", "2")
    words += ("--metric", "latency", "--strategy", "tpe", "--halving", "2", "--name", "quick", "--format", "json")
    done = in_this_process(folder, *words)
    assert done.returncode == 0, done.stderr
    file = folder / "runs" / "quick" / "latencies.json"
    measured = json.loads(file.read_text())
    assert len(measured) == 3 and all(one["median"] > 0 for one in measured.values())
    rows = {row["fingerprint"]: row for row in json.loads(done.stdout)["nas"]}
    assert all(rows[name]["cost"] == measured[name]["median"] for name in rows)
    again = in_this_process(folder, *words)
    assert again.stdout == done.stdout and json.loads(file.read_text()) == measured


@pytest.mark.slow
def test_a_space_of_one_s_own_is_searched(folder):
    words = ("--space", "examples.plain_cnn_space:PlainCNNSpace", "--name", "own", "--format", "json")
    done = in_this_process(folder, *FAST, "--trials", "2", *words)
    assert done.returncode == 0, done.stderr
    assert all("channels=" in row["architecture"] for row in json.loads(done.stdout)["nas"])


@pytest.mark.slow
def test_latencies_are_predicted_from_layers(folder):
    done = in_this_process(folder, "latency", "--networks", "3", "--format", "json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert len(rows) == 3 and all(row["predicted_ms"] > 0 and row["measured_ms"] > 0 for row in rows)
    assert "error: median" in done.stderr and "rank correlation" in done.stderr


@pytest.mark.slow
def test_the_comparison_of_strategies_works(tmp_path):
    words = [sys.executable, "-m", "tests.benchmarks.nas", "--smoke", "--strategies", "random", "evolution"]
    words += ["--folder", str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "nas.json").read_text())
    assert found["strategies"].keys() == {"random", "evolution"} and "synflow" in found["scores"]
    peer = found["peers"]["mobilenet_v2"]
    target = json.loads((tmp_path / "runs" / "random-0" / "nas.json").read_text())["target"]
    assert peer["multiply_adds"] == pytest.approx(target, rel=0.2) and 0 < peer["mean"][0] < 1
    assert (tmp_path / "nas_strategies.png").read_bytes().startswith(b"\x89PNG")
