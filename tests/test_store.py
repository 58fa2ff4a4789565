import dataclasses
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from scaling_search.config import RunConfig
from scaling_search.errors import UserError
from scaling_search.recorded import RecordedTable
from scaling_search.rule import Scale
from scaling_search.store import RunDirectory, finished_records, open_run, start_run
from scaling_search.trial import Network, Outcome, Spec, outcome_from_dict, spec_from_dict, to_record

NETWORK = Network("efficientnet", (), Scale(), 32, 10, "abc@32", 5, 6, 7)


def spec(seed=0, **changes):
    config = RunConfig()
    return dataclasses.replace(Spec(NETWORK, config.recipe, "digits:0", config.split, seed), **changes)


@pytest.fixture
def run(tmp_path):
    return start_run(RunConfig(runs=str(tmp_path)), "digits:0")


def test_equal_specs_have_equal_keys_and_the_scale_is_not_in_them():
    same_network = dataclasses.replace(NETWORK, scale=Scale(1.01, 1.0, 1.0))
    assert spec().key == spec().key == spec(network=same_network).key


@pytest.mark.parametrize(
    "other",
    [
        spec(seed=1),
        spec(evaluate="test"),
        spec(data="digits:1"),
        spec(network=dataclasses.replace(NETWORK, fingerprint="abd@32")),
        spec(recipe=dataclasses.replace(RunConfig().recipe, epochs=13)),
        spec(split=dataclasses.replace(RunConfig().split, seed=1)),
    ],
)
def test_what_decides_the_outcome_changes_the_key(other):
    assert other.key != spec().key


def test_a_shift_by_a_share_is_another_training_only_where_it_is_no_whole_eighth():
    def key(side, **changes):
        recipe = dataclasses.replace(RunConfig().recipe, **changes)
        return spec(network=dataclasses.replace(NETWORK, input_resolution=side), recipe=recipe).key

    assert key(32) == key(32, shift=None)
    assert key(20) != key(20, shift=None)
    assert key(32) != key(32, shift=0.1)
    assert key(20, augment="none") == key(20, augment="none", shift=None)


def test_recorded_tables_have_the_keys_that_their_trainings_have_today():
    for file in Path("tables").glob("*.parquet"):
        for record in RecordedTable(file).records():
            assert spec_from_dict(record["spec"]).key == record["key"]


def test_records_read_back_as_they_were_written(run):
    outcome = Outcome("ok", 0.5, 1.25, seconds={"train": 1.0}, device="cpu")
    run.write_record(to_record(spec(), outcome))
    (record,) = run.records()
    assert record["key"] == spec().key
    assert outcome_from_dict(record["outcome"]) == outcome


def test_a_half_written_record_is_passed_over_with_its_name(run):
    run.write_record(to_record(spec(), Outcome("ok", 0.5)))
    whole = (run.path / "trials" / f"{spec().key}.json").read_text()
    (run.path / "trials" / "feedbeef.json").write_text(whole[: len(whole) // 2])
    with pytest.warns(UserWarning, match=r"feedbeef\.json"):
        assert [record["key"] for record in run.records()] == [spec().key]


def test_a_run_with_the_same_config_is_gone_on_with(run, tmp_path):
    run.write_record(to_record(spec(), Outcome("ok", 0.5)))
    again = start_run(RunConfig(runs=str(tmp_path)), "digits:0")
    assert set(finished_records([again])) == {spec().key}


def test_a_run_with_another_config_is_refused_and_keeps_what_it_has(run, tmp_path):
    run.write_record(to_record(spec(), Outcome("ok", 0.5)))
    with pytest.raises(UserError, match=r"another config: phi was 1.0 and is now 2"):
        start_run(RunConfig(runs=str(tmp_path), phi=2.0), "digits:0")
    with pytest.raises(UserError, match=r"images was"):
        start_run(RunConfig(runs=str(tmp_path)), "digits:1")
    assert len(list(run.records())) == 1


def test_a_crashed_trial_is_worth_another_try(run):
    run.write_record(to_record(spec(0), Outcome("crashed", reason="its process died")))
    run.write_record(to_record(spec(1), Outcome("failed", reason="the loss was nan at step 3")))
    assert set(finished_records([run])) == {spec(1).key}


@pytest.mark.parametrize(
    "reason",
    [
        "table.parquet has no training of it from seed 9",
        "XlaRuntimeError: RESOURCE_EXHAUSTED: out of memory",
        "KeyError",
    ],
)
def test_what_older_versions_stored_as_failures_does_not_beat_a_real_record(run, tmp_path, reason):
    other = start_run(RunConfig(runs=str(tmp_path), name="other"), "digits:0")
    run.write_record(to_record(spec(), Outcome("failed", reason=reason)))
    other.write_record(to_record(spec(), Outcome("ok", 0.6)))
    assert finished_records([run]) == {}
    assert finished_records([run, other])[spec().key]["outcome"]["accuracy"] == 0.6


def test_the_first_run_wins_where_a_trial_is_in_two(run, tmp_path):
    other = start_run(RunConfig(runs=str(tmp_path), name="other"), "digits:0")
    run.write_record(to_record(spec(), Outcome("ok", 0.5)))
    other.write_record(to_record(spec(), Outcome("ok", 0.6)))
    assert finished_records([run, other])[spec().key]["outcome"]["accuracy"] == 0.5


def test_the_manifest_says_what_ran(run):
    manifest = run.manifest()
    assert manifest["config"]["phi"] == 1.0 and manifest["data"] == "digits:0"
    assert {"jax", "flax", "ray", "numpy"} <= manifest["packages"].keys()
    assert run.config() == RunConfig(runs=str(run.path.parent))


def test_a_manifest_that_is_not_as_it_was_written_is_named(run):
    file = run.path / "manifest.json"
    written, manifest = file.read_text(), run.manifest()
    assert "checksum" not in manifest
    file.write_text(written.replace('"phi": 1.0', '"phi": 2.0'))
    with pytest.raises(UserError) as raised:
        open_run(run.path)
    assert str(raised.value).startswith(f"{file} is damaged: its content does not match its checksum; ")
    # Those of earlier versions have none.
    file.write_text(json.dumps(manifest | {"data": "digits:1"}))
    assert open_run(run.path).images == "digits:1"


@pytest.mark.parametrize("content", [None, "{", "[]", "null"])
def test_a_folder_that_is_no_run_is_refused_in_one_line(tmp_path, content):
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(UserError, match="is not a run") as caught:
        open_run(tmp_path)
    assert "\n" not in str(caught.value)


def test_without_file_locks_runs_can_be_read_but_not_written(run, monkeypatch):
    """As on Windows."""
    code = "import sys; sys.modules['fcntl'] = None; import scaling_search.store, scaling_search.runners.ray.driver"
    subprocess.run([sys.executable, "-c", code], check=True)
    monkeypatch.setitem(sys.modules, "fcntl", None)
    assert list(run.records()) == []
    with pytest.raises(UserError, match="scaling-search trains on Linux and macOS"), run.locked():
        pass


def test_an_unwritable_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write"):
        start_run(RunConfig(runs=str(tmp_path / "file")), "digits:0")


def test_a_full_disk_is_said_and_leaves_what_was_there(run):
    run.write_record(to_record(spec(), Outcome("ok", 0.5)))
    full = RunDirectory(run.path / "none")
    with pytest.raises(UserError, match="cannot write"):
        full.write_document("step1", {})
    assert len(list(run.records())) == 1


def test_two_processes_do_not_work_on_one_run(run):
    with run.locked(), pytest.raises(UserError, match="another process"), run.locked():
        pass
    with run.locked():
        pass


def test_readers_never_see_half_a_document(run):
    trees = [{"rows": [index] * 20000} for index in range(2)]
    run.write_document("step1", trees[0])
    stop = threading.Event()

    def write():
        while not stop.is_set():
            for tree in trees:
                run.write_document("step1", tree)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(50):
            assert json.loads((run.path / "step1.json").read_text()) in trees
    finally:
        stop.set()
        writer.join()
