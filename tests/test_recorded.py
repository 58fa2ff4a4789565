"""Recorded tables: what goes in comes out, and only what belongs together goes in."""

import dataclasses
import json

import pytest

from scaling_search.config import RunConfig
from scaling_search.errors import UserError
from scaling_search.recipe import Recipe
from scaling_search.recorded import RecordedTable, open_trials, table_bytes
from scaling_search.rule import Scale
from scaling_search.store import start_run
from scaling_search.trial import Epoch, Network, Outcome, Spec, outcome_from_dict, to_record

NETWORK = Network("efficientnet_tiny", (), Scale(), 16, 10, "abc@16", 5, 6, 7)
CONFIG = RunConfig(recipe=Recipe(epochs=2), data="idx:somewhere")
IMAGES = {"classes": 10, "training": 450}


def spec(seed=0, **changes):
    return dataclasses.replace(Spec(NETWORK, CONFIG.recipe, "images:0", CONFIG.split, seed), **changes)


OUTCOMES = {
    spec(0): Outcome("ok", 0.5, 1.25, curve=(Epoch(1, 14, 0.1, 2.3), Epoch(2, 28, 0.05, 1.5, 0.5, 1.25))),
    spec(1): Outcome("failed", reason="the training loss was nan", failed_step=3, seconds={"build": 1.0}),
    spec(0, network=dataclasses.replace(NETWORK, fingerprint="b@19", options=("width=0.5",))): Outcome(
        "ok", 0.25, 1.0, seconds={"build": 1.0, "train": 2.0}, peak_memory=3, device="cpu"
    ),
    spec(0, evaluate="test"): Outcome("ok", 0.75, 0.5),
}


@pytest.fixture
def run(tmp_path):
    directory = start_run(dataclasses.replace(CONFIG, runs=str(tmp_path)), "images:0")
    for one, outcome in OUTCOMES.items():
        directory.write_record(to_record(one, outcome))
    return directory


@pytest.fixture
def table(run, tmp_path):
    (tmp_path / "table.parquet").write_bytes(table_bytes([run], IMAGES))
    return RecordedTable(tmp_path / "table.parquet")


def test_records_come_out_as_they_went_in(run, table):
    assert list(table.records()) == list(run.records())
    found = {record["key"]: outcome_from_dict(record["outcome"]) for record in table.records()}
    assert found == {one.key: outcome for one, outcome in OUTCOMES.items()}


def test_a_trial_that_two_runs_have_is_in_it_once(run, tmp_path):
    other = start_run(dataclasses.replace(CONFIG, runs=str(tmp_path), name="other"), "images:0")
    for one, outcome in {**OUTCOMES, spec(5): Outcome("ok", 0.1, 3.0)}.items():
        other.write_record(to_record(one, outcome))
    (tmp_path / "both.parquet").write_bytes(table_bytes([run, other], IMAGES))
    assert len(list(RecordedTable(tmp_path / "both.parquet").records())) == len(OUTCOMES) + 1


def test_a_trial_whose_process_died_is_not_in_it(run, tmp_path):
    run.write_record(to_record(spec(7), Outcome("crashed", reason="killed")))
    (tmp_path / "table.parquet").write_bytes(table_bytes([run], IMAGES))
    assert spec(7).key not in {record["key"] for record in RecordedTable(tmp_path / "table.parquet").records()}


def test_its_manifest_says_where_it_is_from_and_its_config_replays(run, table):
    assert table.manifest()["data"] == "images:0"
    assert table.manifest()["images"] == IMAGES
    assert table.manifest()["runs"][0]["packages"] == run.manifest()["packages"]
    assert table.config() == dataclasses.replace(CONFIG, replay=str(table.path))
    assert table.config().run_name == "table-replayed"


def test_it_knows_which_networks_it_has(table):
    assert table.has(NETWORK)
    assert not table.has(dataclasses.replace(NETWORK, fingerprint="other@16"))


def test_a_table_and_a_run_make_a_larger_table(run, table, tmp_path):
    more = start_run(dataclasses.replace(CONFIG, runs=str(tmp_path), name="more"), "images:0")
    more.write_record(to_record(spec(6), Outcome("ok", 0.6, 1.0)))
    (tmp_path / "larger.parquet").write_bytes(table_bytes([open_trials(table.path), more], IMAGES))
    larger = open_trials(tmp_path / "larger.parquet")
    assert {record["key"] for record in larger.records()} == {one.key for one in (*OUTCOMES, spec(6))}
    assert [one["started"] for one in larger.manifest()["runs"]] == [
        run.manifest()["started"],
        more.manifest()["started"],
    ]


def test_runs_on_different_images_are_refused(run, tmp_path):
    other = start_run(dataclasses.replace(CONFIG, runs=str(tmp_path), name="other"), "images:1")
    with pytest.raises(UserError, match="was trained on images:1"):
        table_bytes([run, other], IMAGES)


def test_a_run_without_trials_is_refused(tmp_path):
    empty = start_run(dataclasses.replace(CONFIG, runs=str(tmp_path)), "images:0")
    with pytest.raises(UserError, match="no finished trial"):
        table_bytes([empty], IMAGES)


@pytest.mark.parametrize("content", [b"", b"PAR1 and then something", json.dumps({"config": {}}).encode()])
def test_a_file_that_is_none_is_said_so_in_one_line(tmp_path, content):
    (tmp_path / "no.parquet").write_bytes(content)
    with pytest.raises(UserError, match=r"no\.parquet is not a recorded table"):
        RecordedTable(tmp_path / "no.parquet").manifest()


def test_a_file_of_another_origin_and_a_missing_one_are_said_so(tmp_path):
    import pandas as pd

    pd.DataFrame({"key": ["a"]}).to_parquet(tmp_path / "frame.parquet")
    with pytest.raises(UserError, match="is not a recorded table"):
        RecordedTable(tmp_path / "frame.parquet").manifest()
    with pytest.raises(UserError, match="cannot read"):
        RecordedTable(tmp_path / "missing.parquet").manifest()
