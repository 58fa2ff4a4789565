"""The real command with --quick: on Ray, on real images, from nothing to a frontier."""

import dataclasses
import json
import re

import pandas as pd
import pytest

from scaling_search.config import QUICK
from scaling_search.runners.ray import driver
from scaling_search.store import open_run
from tests.cli.commands import command, in_this_process, killed_after, records_of

pytestmark = pytest.mark.slow
FAMILY = "tests.tiny:TWO_STAGES"
QUICK_FLAGS = ("--quick", "--data", "glyphs:320", "--training-budget", "1e8", "--family", FAMILY)
"""Small networks and few images, and a budget for some of STEP 2 alone."""
SMALL = (*QUICK_FLAGS, "--recipe.epochs", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("whole_method")


@pytest.fixture(scope="module")
def killed(folder):
    """The quick run, killed as soon as its first trial is kept."""
    return killed_after(1, folder, folder / "runs" / "quick", "run", "--phi", "1", *SMALL)


@pytest.fixture(scope="module")
def quick(folder, killed):
    """The same command again."""
    done = command(folder, "run", "--phi", "1", *SMALL, "--format", "json")
    assert done.returncode == 0, done.stderr
    return done


def test_progress_shows_before_anything_is_trained(killed):
    line, early, _ = killed
    assert "trials done" in line and "ETA" in line and not early


def test_a_killed_run_goes_on_where_it_was(killed, quick, folder):
    kept = killed[2]
    assert kept
    assert kept.items() <= records_of(folder / "runs" / "quick").items()
    assert f"{len(kept)} from the store" in quick.stderr


def test_it_prints_both_steps_and_the_frontier(quick):
    tables = json.loads(quick.stdout)
    assert {"alpha", "beta", "gamma", "realised_cost", "val_accuracy", "low", "high", "tie", "leads"} <= tables[
        "step1"
    ][0].keys()
    assert sum(point["leads"] for point in tables["step1"]) == 1
    assert [row["model"] for row in tables["step2"] if row["coefficients"] == "found"] == [f"B{i}" for i in range(8)]
    assert {row["source"] for row in tables["step2"]} <= {"measured", "extrapolated", "none"}
    assert any(row["on_frontier"] for row in tables["frontier"])


def test_what_was_measured_has_records_and_what_was_not_has_none(quick, folder):
    tables = json.loads(quick.stdout)
    trained = {record["spec"]["network"]["fingerprint"] for record in open_run(folder / "runs/quick").records()}
    for row in tables["step2"]:
        assert (row["source"] == "measured") == (row["fingerprint"] in trained)


def test_the_test_split_was_asked_of_the_winner_alone(quick, folder):
    records = list(open_run(folder / "runs/quick").records())
    tested = {r["spec"]["network"]["fingerprint"] for r in records if r["spec"]["evaluate"] == "test"}
    (leader,) = [point["fingerprint"] for point in json.loads(quick.stdout)["step1"] if point["leads"]]
    assert tested == {leader}


def test_its_files_lie_where_it_says(quick, folder):
    run = folder / "runs" / "quick"
    assert pd.read_parquet(run / "frontier.parquet").shape == pd.read_csv(run / "frontier.csv").shape
    for name, start in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        (picture,) = run.glob(f"*.{name}")
        assert picture.read_bytes().startswith(start)
        assert str(picture.relative_to(folder)) in quick.stderr


def all_from_the_store(done):
    trials, from_store = re.findall(r"(\d+) of \1 trials done; (\d+) from the store", done.stderr)[-1]
    return trials == from_store


def test_running_it_again_trains_nothing(quick, folder):
    run = folder / "runs" / "quick"
    before = {file: file.stat() for file in (run / "trials").iterdir()}
    again = in_this_process(folder, "resume", "runs/quick", "--format", "json")
    assert again.returncode == 0, again.stderr
    assert again.stdout == quick.stdout and all_from_the_store(again)
    assert {file: file.stat() for file in (run / "trials").iterdir()} == before


def test_another_run_may_reuse_its_trials(quick, folder):
    words = ("step1", *SMALL, "--name", "reused", "--reuse", "runs/quick", "--format", "json")
    reused = in_this_process(folder, *words)
    assert reused.returncode == 0, reused.stderr
    assert json.loads(reused.stdout)["step1"] == json.loads(quick.stdout)["step1"]
    assert all_from_the_store(reused)
    whole = records_of(folder / "runs" / "quick")
    assert records_of(folder / "runs" / "reused").items() <= whole.items()


def test_a_recorded_table_replays_the_run_to_the_same_tables(quick, folder):
    recorded = in_this_process(folder, "record", "runs/quick", "-o", "quick.parquet")
    assert recorded.returncode == 0, recorded.stderr
    done = in_this_process(folder, "run", "--replay", "quick.parquet", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert done.stdout == quick.stdout
    # A finer grid asks for networks that the table does not have.
    finer = in_this_process(folder, "step1", "--replay", "quick.parquet", "--grid.divisions", "4", "--name", "finer")
    assert "missing from the table" in finer.stderr
    other = in_this_process(folder, "run", "--replay", "quick.parquet", "--recipe.epochs", "9", "--name", "other")
    assert other.returncode == 2
    assert "leave out --recipe.*" in other.stderr


def test_another_config_in_the_same_run_is_refused(quick, folder):
    before = records_of(folder / "runs" / "quick")
    refused = in_this_process(folder, "run", *QUICK_FLAGS, "--recipe.epochs", "5")
    assert refused.returncode == 2
    assert "exists with another config: recipe.epochs was" in refused.stderr
    assert records_of(folder / "runs" / "quick") == before


def test_every_configuration_field_reaches_the_manifest(quick, folder):
    stored = open_run(folder / "runs/quick").config()
    recipe = dataclasses.replace(QUICK.recipe, epochs=1)
    asked = dataclasses.replace(QUICK, data="glyphs:320", training_budget=1e8, family=FAMILY)
    asked = dataclasses.replace(asked, recipe=recipe, split=stored.split)
    assert dataclasses.replace(stored, runs="runs") == asked
    assert {name for name, share in dataclasses.asdict(stored.split).items() if share is None} == {"train"}


def test_ray_that_cannot_be_reached_is_said_in_one_line(folder, monkeypatch):
    monkeypatch.setattr(driver, "CONNECT_SECONDS", 1)
    done = in_this_process(folder, "step1", *SMALL, "--name", "far", "--address", "127.0.0.1:1")
    assert done.returncode == 2
    assert "127.0.0.1:1" in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
