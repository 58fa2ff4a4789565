"""`nas`, `latency` and `--baseline` with the real command."""

import json
import shlex
from dataclasses import replace

import pytest
import tyro

from scaling_search.cli import main
from scaling_search.cli.commands import Run
from scaling_search.config import NasConfig, RunConfig, Split
from scaling_search.errors import UserError
from scaling_search.experiments.baseline import next_command, with_baseline
from scaling_search.family import load_family
from scaling_search.networks.mnasnet import EFFICIENTNET_B0
from scaling_search.recipe import SHORT
from scaling_search.search.nas import latency
from scaling_search.store import start_run
from tests.cli.commands import in_this_process, records_of

pytestmark = pytest.mark.usefixtures("drawn_at_once")

FAST = (
    "nas",
    "--data",
    "digits",
    "--trials",
    "4",
    "--batch",
    "2",
    "--finalists",
    "1",
    "--seeds",
    "2",
    "--recipe.epochs",
    "1",
)


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


@pytest.mark.parametrize(("resolution", "match"), [(16, "paper"), (32, "cost")])
def test_what_comes_next_compares_rules_of_equal_cost_where_maps_are_large_enough(tmp_path, resolution, match):
    architecture = f"architecture={EFFICIENTNET_B0}"
    directory = finished(tmp_path, family="mnasnet_tiny", options=[architecture, f"resolution={resolution}"])
    words = next_command(directory)[2:]
    options = tyro.cli(Run, args=words, **Run.defaults(words), config=(tyro.conf.FlagCreatePairsOff,))
    assert options.config.match == match


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


@pytest.fixture
def killed(tmp_path, pretended):
    """A search that was interrupted in its second batch, then run again, and what the first had kept."""

    def interrupt(spec):
        if len(pretended.trained) == 3:
            raise KeyboardInterrupt
        return False

    pretended.fails = interrupt
    assert in_this_process(tmp_path, *FAST).returncode == 130
    kept = records_of(tmp_path / "runs" / "nas-digits")
    pretended.fails = lambda spec: False
    done = in_this_process(tmp_path, *FAST, "--format", "json")
    assert done.returncode == 0, done.stderr
    return done, kept


def test_a_killed_search_goes_on_where_it_was(killed, tmp_path):
    done, kept = killed
    assert len(kept) == 2 and kept.items() <= records_of(tmp_path / "runs" / "nas-digits").items()
    assert "2 from the store" in done.stderr
    rows = json.loads(done.stdout)["nas"]
    assert len(rows) == 4 and rows[0]["finalist"] and rows[0]["seeds"] == 1
    assert "scaling-search run --phi 1 --baseline runs/nas-digits" in done.stderr


def test_a_finished_search_is_printed_again_and_trains_nothing(killed, tmp_path, pretended):
    trained = len(pretended.trained)
    again = in_this_process(tmp_path, "resume", "runs/nas-digits", "--format", "json")
    assert again.returncode == 0, again.stderr
    assert again.stdout == killed[0].stdout and len(pretended.trained) == trained
    table = in_this_process(tmp_path, "table", "runs/nas-digits", "--format", "json")
    assert table.stdout == killed[0].stdout


def test_step_1_runs_on_what_was_found(killed, tmp_path):
    small = ("--match", "paper", "--grid.divisions", "1", "--recipe.epochs", "1", "--seeds", "2", "--format", "json")
    done = in_this_process(tmp_path, "step1", "--baseline", "runs/nas-digits", "--name", "scaled", *small)
    assert done.returncode == 0, done.stderr
    assert {row["network"] for row in json.loads(done.stdout)["step1"]} == {"mnasnet_tiny"}


def test_a_space_of_one_s_own_is_searched(tmp_path, pretended):
    words = ("--space", "examples.plain_cnn_space:PlainCNNSpace", "--name", "own", "--format", "json")
    done = in_this_process(tmp_path, *FAST, "--trials", "2", *words)
    assert done.returncode == 0, done.stderr
    assert all("channels=" in row["architecture"] for row in json.loads(done.stdout)["nas"])


@pytest.mark.slow
def test_latency_as_the_metric_is_measured_once_and_kept(tmp_path, pretended):
    pytest.importorskip("optuna")
    words = ("nas", "--trials", "2", "--batch", "2", "--finalists", "1", "--seeds", "2", "--recipe.epochs", "1")
    words += ("--metric", "latency", "--strategy", "tpe", "--name", "quick", "--data", "digits", "--format", "json")
    done = in_this_process(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    file = tmp_path / "runs" / "quick" / "latencies.json"
    measured = json.loads(file.read_text())
    assert len(measured) == 3 and all(one["median"] > 0 for one in measured.values())
    rows = {row["fingerprint"]: row for row in json.loads(done.stdout)["nas"]}
    assert all(rows[name]["cost"] == measured[name]["median"] for name in rows)
    again = in_this_process(tmp_path, *words)
    assert again.stdout == done.stdout and json.loads(file.read_text()) == measured


@pytest.mark.slow
def test_latencies_are_predicted_from_layers(tmp_path, monkeypatch):
    monkeypatch.setattr(latency, "SECONDS", 0)
    done = in_this_process(tmp_path, "latency", "--networks", "3", "--format", "json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert len(rows) == 3 and all(row["predicted_ms"] > 0 and row["measured_ms"] > 0 for row in rows)
    assert "error: median" in done.stderr and "rank correlation" in done.stderr
