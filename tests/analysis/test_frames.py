import json

import pandas as pd
import pytest
from made_up import outcome_of, spec_of, write_step1, write_step2

from scaling_search.analysis.columns import CURVES, MODELS, POINTS, TIMINGS, TRIALS
from scaling_search.analysis.frames import load_run, load_runs
from scaling_search.config import RunConfig
from scaling_search.errors import UserError
from scaling_search.recorded import table_bytes
from scaling_search.rule import Grid
from scaling_search.store import open_run, start_run
from scaling_search.trial import Outcome, to_record

COARSE = Grid("coefficients", step=0.2)


def columns_and_types(frame):
    return {name: str(kind) for name, kind in frame.dtypes.items()}


def test_a_run_without_trials_has_empty_frames_with_all_columns(new_run):
    run = load_run(new_run.path)
    kinds = {"trials": TRIALS, "curves": CURVES, "timings": TIMINGS, "points": POINTS, "models": MODELS}
    for name, columns in kinds.items():
        assert getattr(run, name).empty and list(getattr(run, name).columns) == list(columns)
    assert run.manifest["config"]["seeds"] == 3


def test_empty_and_full_frames_have_the_same_types(new_run, whole):
    empty = load_run(new_run.path)
    for name in ("trials", "curves", "timings", "points", "models"):
        assert columns_and_types(getattr(empty, name)) == columns_and_types(getattr(whole, name))


def test_a_row_of_trials_holds_what_the_record_says(step1_run):
    network = step1_run.baseline
    trials = load_run(step1_run.path).trials.set_index("key")
    row, outcome = trials.loc[spec_of(network, 1).key], outcome_of(network, 1)
    assert row["fingerprint"] == network.fingerprint and row["network"] == "made_up"
    assert row["multiply_adds"] == network.multiply_adds and row["activations"] == network.activations
    assert row["seed"] == 1 and row["status"] == "ok" and row["val_accuracy"] == outcome.accuracy
    assert row["seconds_train"] == 2.0 and row[["seconds_compile", "peak_memory", "reason"]].isna().all()


def test_test_results_and_validation_results_are_never_in_one_column(whole):
    tested = whole.trials["evaluate"] == "test"
    assert tested.sum() == 3
    assert whole.trials["val_accuracy"].isna().equals(tested)
    assert whole.trials["test_accuracy"].notna().equals(tested)


def test_a_failed_trial_is_a_row_with_its_reason(new_run):
    network = write_step1(new_run, grid=COARSE, seeds=(0,)).baseline
    failed = Outcome("failed", reason="the training loss was nan at step 7", failed_step=7)
    new_run.write_record(to_record(spec_of(network, 5), failed))
    row = load_run(new_run.path).trials.set_index("seed").loc[5]
    assert row["status"] == "failed" and "step 7" in row["reason"] and row["failed_step"] == 7
    assert row[["val_accuracy", "test_accuracy"]].isna().all()


def test_curves_have_one_row_an_epoch_and_belong_to_a_trial(whole):
    assert (whole.curves.groupby("key").size() == 2).all()
    assert set(whole.curves["key"]) == set(whole.trials["key"][whole.trials["evaluate"] == "validation"])
    last = whole.curves[whole.curves["epoch"] == 2].set_index("key")["accuracy"]
    assert last.equals(whole.trials.set_index("key")["val_accuracy"][last.index].rename("accuracy"))


def test_timings_have_one_row_a_phase_and_say_what_the_trials_say(whole):
    wide = whole.timings.pivot(index="key", columns="phase", values="seconds")
    trials = whole.trials.set_index("key")
    assert set(wide.columns) == {"train", "evaluate"}
    for phase in wide:
        assert wide[phase].dropna().equals(trials[f"seconds_{phase}"].dropna().loc[wide.index].rename(phase))


def test_points_hold_the_grid_and_then_the_baseline(whole):
    assert len(whole.points) == 39 + 1
    baseline = whole.points.iloc[-1]
    assert baseline["phi"] == 0 and baseline["realised_cost"] == 1
    assert (whole.points["phi"] == 0).sum() == 1
    assert (whole.points["realised_cost"] == whole.points["multiply_adds"] / baseline["multiply_adds"]).all()
    assert whole.points["depth"][:-1].equals(whole.points["alpha"][:-1])


def test_step_1_is_the_grid_with_its_baseline_and_step_2_the_rest(whole):
    in_grid = whole.trials["fingerprint"].isin(whole.points["fingerprint"])
    assert (whole.trials["step"] == 1).equals(in_grid)
    assert set(whole.trials["step"]) == {1, 2}


def test_only_found_models_have_a_phi_and_coefficients(whole):
    found = whole.models["coefficients"] == "found"
    for name in ("phi", "alpha", "beta", "gamma"):
        assert whole.models[name].notna().equals(found)
    assert found.sum() == 8 and whole.models["trained"].dtype == bool


def test_a_half_written_record_is_passed_over(step1_run):
    before = load_run(step1_run.path).trials
    (step1_run.path / "trials" / "feedbeef.json").write_text('{"key": "feedb')
    with pytest.warns(UserWarning, match="feedbeef"):
        assert load_run(step1_run.path).trials.equals(before)


def test_a_record_of_another_shape_is_passed_over(step1_run):
    file = next((step1_run.path / "trials").glob("*.json"))
    tree = json.loads(file.read_text())
    del tree["outcome"]["seconds"]
    file.write_text(json.dumps(tree))
    with pytest.warns(UserWarning, match=tree["key"]):
        assert tree["key"] not in set(load_run(step1_run.path).trials["key"])


def test_step_2_alone_is_a_run_too(new_run):
    write_step2(new_run)
    run = load_run(new_run.path)
    assert run.points.empty and len(run.models) == 16 and set(run.trials["step"]) == {2}


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="is not a run"):
        load_run(tmp_path)


def test_a_step_file_without_what_it_should_hold_is_refused(step1_run):
    step1_run.directory.write_document("step1", {"phi": 1.0})
    with pytest.raises(UserError, match=r"step1\.json cannot be read: 'networks' is missing"):
        load_run(step1_run.path)


@pytest.fixture
def two_runs(tmp_path):
    """A run with STEP 1, one that has only begun, and other things beside them."""
    for name, seeds in (("one", (0, 1)), ("two", ())):
        write_step1(
            start_run(RunConfig(name=name, runs=str(tmp_path)), "made-up:0"),
            grid=COARSE,
            seeds=seeds,
        )
    (tmp_path / "notes.txt").write_text("no run")
    (tmp_path / "folder").mkdir()
    return tmp_path


def test_several_runs_are_one_set_of_frames_with_a_column_run(two_runs):
    runs, one = load_runs(f"{two_runs}/*"), load_run(two_runs / "one")
    for name in ("trials", "curves", "timings"):
        frame, alone = getattr(runs, name), getattr(one, name)
        assert set(frame["run"]) == {str(two_runs / "one")} and len(alone)
        assert frame.drop(columns="run").equals(alone)
        assert columns_and_types(frame) == {"run": "str"} | columns_and_types(alone)


def test_a_trial_of_two_runs_is_there_for_both(two_runs):
    write_step1(
        start_run(RunConfig(name="two", runs=str(two_runs)), "made-up:0"),
        grid=COARSE,
        seeds=(1,),
    )
    trials = load_runs(f"{two_runs}/*").trials
    assert trials["run"].nunique() == 2
    assert (trials.groupby("key")["run"].nunique() == trials.groupby("key")["seed"].first().map({0: 1, 1: 2})).all()


def test_a_half_written_record_in_one_of_several_runs_is_named(two_runs):
    (two_runs / "two" / "trials" / "feedbeef.json").write_text('{"key": "feedb')
    with pytest.warns(UserWarning, match=r"two/trials/feedbeef\.json"):
        assert len(load_runs(f"{two_runs}/*").trials)


def test_a_run_that_cannot_be_read_is_passed_over_and_named(two_runs):
    (two_runs / "two" / "step1.json").write_text("{}")
    with pytest.warns(UserWarning, match=r"skipped run .*two: .*step1\.json cannot be read"):
        assert set(load_runs(f"{two_runs}/*").trials["run"]) == {str(two_runs / "one")}


def test_a_pattern_without_runs_is_refused(two_runs):
    with pytest.raises(UserError, match=r"no run matches '.*/f\*'"):
        load_runs(f"{two_runs}/f*")


def test_a_recorded_table_has_the_frames_of_its_run(whole_run, whole, tmp_path):
    (tmp_path / "made_up.parquet").write_bytes(
        table_bytes([open_run(whole_run.path)], {"classes": 10, "training": 450})
    )
    table = load_run(tmp_path / "made_up.parquet")
    pd.testing.assert_frame_equal(table.trials.drop(columns="step"), whole.trials.drop(columns="step"))
    pd.testing.assert_frame_equal(table.curves, whole.curves)
    assert table.points.empty and table.models.empty
    assert table.manifest["data"] == whole.manifest["data"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda record: record["outcome"].update(accuracy="high"), "val_accuracy is 'high'"),
        (lambda record: record["outcome"].update(accuracy=93.1), "val_accuracy is 93.1"),
        (lambda record: record["outcome"].update(loss="low"), "loss is 'low'"),
        (lambda record: record["spec"].update(seed="first"), "seed is 'first'"),
        (lambda record: record["spec"].update(seed=1e30), "seed is 1e[+]30"),
        (lambda record: record["spec"]["network"].update(multiply_adds=None), "multiply_adds is None"),
        (lambda record: record["spec"]["network"].update(family=3), "network is 3"),
        (lambda record: record["outcome"]["curve"][0].update(epoch="one"), "epoch is 'one'"),
        (lambda record: record["outcome"]["seconds"].update(train=[1]), "seconds_train is"),
        (lambda record: record["outcome"].update(curve=3), "int"),
    ],
)
def test_a_record_with_values_of_another_kind_is_skipped_and_named(step1_run, change, reason):
    file = next((step1_run.path / "trials").glob("*.json"))
    record = json.loads(file.read_text())
    # As earlier versions wrote them: of others the checksum tells.
    del record["checksum"]
    change(record)
    file.write_text(json.dumps(record))
    before = len(list((step1_run.path / "trials").glob("*.json")))
    with pytest.warns(UserWarning, match=f"skipped record {record['key']} .*{reason}"):
        assert len(load_run(step1_run.path).trials) == before - 1


@pytest.mark.parametrize(("name", "value"), [("alpha", "wide"), ("alpha", [1]), ("alpha", True), ("network", "none")])
def test_a_step_file_with_values_of_another_kind_is_refused(step1_run, name, value):
    tree = step1_run.directory.document("step1")
    tree["points"][0][name] = value
    step1_run.directory.write_document("step1", tree)
    with pytest.raises(UserError, match=r"step1\.json cannot be read"):
        load_run(step1_run.path)


@pytest.mark.parametrize("steps", [[1], [2], [1, 2]])
def test_the_manifest_says_which_steps_a_run_does(new_run, steps):
    assert load_run(new_run.path).steps == (1, 2)
    manifest = new_run.manifest()
    new_run.write_document("manifest", manifest | {"config": manifest["config"] | {"steps": steps}})
    assert load_run(new_run.path).steps == tuple(steps)
