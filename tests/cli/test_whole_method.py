"""The real command with --quick: on Ray, on real images, from nothing to a frontier."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from scaling_search.store import open_run

PROGRAM = str(Path(sys.executable).with_name("scaling-search"))
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("whole_method")


def command(folder, *words, **options):
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
    return subprocess.run([PROGRAM, *words], cwd=folder, env=environment, capture_output=True, text=True, **options)


@pytest.fixture(scope="module")
def quick(folder):
    """The quick run, killed as soon as its first trials are kept, then run again."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    began = time.monotonic()
    first = subprocess.Popen(
        [PROGRAM, "run", "--phi", "1", "--quick"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    line = first.stderr.readline()
    first_line_after = time.monotonic() - began
    trials = folder / "runs" / "quick" / "trials"
    while first.poll() is None and len(list(trials.glob("[!.]*.json"))) < 2 and time.monotonic() - began < 300:
        time.sleep(0.2)
    first.send_signal(signal.SIGKILL)
    first.wait()
    first.stderr.close()
    kept = {file.name: file.read_bytes() for file in trials.glob("[!.]*.json")}
    done = command(folder, "run", "--phi", "1", "--quick", "--format", "json")
    assert done.returncode == 0, done.stderr
    return done, kept, (line, first_line_after)


def test_progress_shows_at_once(quick):
    line, seconds = quick[2]
    assert "trials done" in line and "ETA" in line
    assert seconds < 15


def test_a_killed_run_goes_on_where_it_was(quick, folder):
    done, kept, _ = quick
    assert len(kept) >= 2
    trials = folder / "runs" / "quick" / "trials"
    assert {name: (trials / name).read_bytes() for name in kept} == kept
    assert f"{len(kept)} from the store" in done.stderr


def test_it_prints_both_steps_and_the_frontier(quick):
    tables = json.loads(quick[0].stdout)
    assert {"alpha", "beta", "gamma", "realised_cost", "val_accuracy", "low", "high", "tie", "leads"} <= tables[
        "step1"
    ][0].keys()
    assert sum(point["leads"] for point in tables["step1"]) == 1
    assert [row["model"] for row in tables["step2"] if row["coefficients"] == "found"] == [f"B{i}" for i in range(8)]
    assert {row["source"] for row in tables["step2"]} <= {"measured", "extrapolated", "none"}
    assert any(row["on_frontier"] for row in tables["frontier"])


def test_what_was_measured_has_records_and_what_was_not_has_none(quick, folder):
    tables = json.loads(quick[0].stdout)
    trained = {record["spec"]["network"]["fingerprint"] for record in open_run(folder / "runs/quick").records()}
    for row in tables["step2"]:
        assert (row["source"] == "measured") == (row["fingerprint"] in trained)


def test_the_test_split_was_asked_of_the_winner_alone(quick, folder):
    records = list(open_run(folder / "runs/quick").records())
    tested = {r["spec"]["network"]["fingerprint"] for r in records if r["spec"]["evaluate"] == "test"}
    (leader,) = [point["fingerprint"] for point in json.loads(quick[0].stdout)["step1"] if point["leads"]]
    assert tested == {leader}


def test_its_files_lie_where_it_says(quick, folder):
    run = folder / "runs" / "quick"
    assert pd.read_parquet(run / "frontier.parquet").shape == pd.read_csv(run / "frontier.csv").shape
    for name, start in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        (picture,) = run.glob(f"*.{name}")
        assert picture.read_bytes().startswith(start)
        assert str(picture.relative_to(folder)) in quick[0].stderr


def test_running_it_again_trains_nothing(quick, folder):
    began = time.monotonic()
    again = command(folder, "resume", "runs/quick", "--format", "json")
    assert again.returncode == 0, again.stderr
    assert again.stdout == quick[0].stdout
    assert time.monotonic() - began < 30


def test_another_run_may_reuse_its_trials(quick, folder):
    reused = command(folder, "step1", "--quick", "--name", "reused", "--reuse", "runs/quick", "--format", "json")
    assert reused.returncode == 0, reused.stderr
    assert json.loads(reused.stdout)["step1"] == json.loads(quick[0].stdout)["step1"]
    done, from_store = re.findall(r"(\d+) of \1 trials done; (\d+) from the store", reused.stderr)[-1]
    assert done == from_store


def test_a_recorded_table_replays_the_run_to_the_same_tables(quick, folder):
    recorded = command(folder, "record", "runs/quick", "-o", "quick.parquet")
    assert recorded.returncode == 0, recorded.stderr
    done = command(folder, "run", "--replay", "quick.parquet", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert done.stdout == quick[0].stdout
    # A finer grid asks for networks that the table does not have.
    finer = command(folder, "step1", "--replay", "quick.parquet", "--grid.step", "0.1", "--name", "finer")
    assert "missing from the table" in finer.stderr
    other = command(folder, "run", "--replay", "quick.parquet", "--recipe.epochs", "9", "--name", "other")
    assert other.returncode == 2
    assert "leave --recipe.* out" in other.stderr


def test_another_config_in_the_same_run_is_refused(quick, folder):
    before = sorted((folder / "runs/quick/trials").iterdir())
    refused = command(folder, "run", "--quick", "--recipe.epochs", "5")
    assert refused.returncode == 2
    assert "exists with another config: recipe.epochs was" in refused.stderr
    assert sorted((folder / "runs/quick/trials").iterdir()) == before


def test_a_users_own_network_runs_by_its_import_path(folder):
    done = command(
        folder,
        *("step1", "--quick", "--name", "own", "--family", "examples.plain_cnn:PlainCNNFamily", "--format", "json"),
        *("--recipe.learning-rate", "4", "--recipe.epochs", "2"),
    )
    assert done.returncode == 0, done.stderr
    assert all(point["network"].endswith("PlainCNNFamily") for point in json.loads(done.stdout)["step1"])


def test_ray_that_cannot_be_reached_is_said_in_one_line(folder):
    done = command(folder, "step1", "--quick", "--name", "far", "--address", "127.0.0.1:1", timeout=120)
    assert done.returncode == 2
    assert "127.0.0.1:1" in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


def test_every_configuration_field_reaches_the_manifest(quick, folder):
    from scaling_search.config import QUICK

    stored = open_run(folder / "runs/quick").config()
    assert dataclasses.replace(stored, runs="runs") == QUICK
