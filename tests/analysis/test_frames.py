import json

import pytest
from made_up import outcome_of, spec_of, write_step1, write_step2

from analysis.frames import CURVES, MODELS, POINTS, TRIALS, load_run
from scaling_search.errors import UserError
from scaling_search.rule import Grid
from scaling_search.trial import Outcome, to_record


def columns_and_types(frame):
    return {name: str(kind) for name, kind in frame.dtypes.items()}


def test_a_run_without_trials_has_empty_frames_with_all_columns(new_run):
    run = load_run(new_run.path)
    for frame, columns in ((run.trials, TRIALS), (run.curves, CURVES), (run.points, POINTS), (run.models, MODELS)):
        assert frame.empty and list(frame.columns) == list(columns)
    assert run.manifest["config"]["seeds"] == 3


def test_empty_and_full_frames_have_the_same_types(new_run, whole):
    empty = load_run(new_run.path)
    for name in ("trials", "curves", "points", "models"):
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
    network = write_step1(new_run, grid=Grid(step=0.2), seeds=(0,)).baseline
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
    with pytest.raises(UserError, match=r"step1\.json cannot be understood: no 'networks'"):
        load_run(step1_run.path)
