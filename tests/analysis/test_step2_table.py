import shutil

import numpy as np
import pytest
from made_up import BASELINE_COST, CONFIG, network_of, spec_of, step2_document, true_accuracy, write_step1, write_step2

from scaling_search.analysis import step2_table
from scaling_search.analysis.frames import load_run
from scaling_search.rule import Grid
from scaling_search.trial import Outcome, to_record


def test_b0_to_b7_are_there_for_both_sets_of_coefficients(step2):
    for coefficients in ("found", "published"):
        assert step2["model"][step2["coefficients"] == coefficients].tolist() == [f"B{i}" for i in range(8)]


def test_what_was_trained_is_measured_and_what_was_not_is_extrapolated(step2, whole):
    measured = set(whole.trials["fingerprint"][whole.trials["val_accuracy"].notna()])
    assert (step2["source"] == "measured").equals(step2["fingerprint"].isin(measured))
    assert (step2["source"] == "extrapolated").equals(~step2["fingerprint"].isin(measured))
    assert (step2["source"] == "extrapolated").any()


def test_every_accuracy_has_an_interval_around_it(step2):
    assert (step2["low"] < step2["val_accuracy"]).all() and (step2["val_accuracy"] < step2["high"]).all()


def test_only_extrapolated_rows_say_how_far_beyond_they_are(step2, whole):
    extrapolated = step2["source"] == "extrapolated"
    assert step2["beyond"].notna().equals(extrapolated)
    reach = whole.trials["multiply_adds"][whole.trials["val_accuracy"].notna()].max()
    assert (step2["beyond"] * reach)[extrapolated].to_numpy() == pytest.approx(
        step2["multiply_adds"][extrapolated].to_numpy()
    )
    assert (step2["seeds"] == np.where(extrapolated, 0, 3)).all()


def test_extrapolation_is_near_the_law_the_run_was_made_from(step2, whole_run):
    tree = whole_run.directory.document("step2")["networks"]
    for row in step2[step2["source"] == "extrapolated"].itertuples():
        assert row.low <= true_accuracy(network_of(tree[row.fingerprint])) + 0.004
        assert row.val_accuracy == pytest.approx(true_accuracy(network_of(tree[row.fingerprint])), abs=0.02)


def test_the_winners_b1_has_the_same_numbers_in_both_steps(step2, judgement):
    winner = judgement.winner
    b1 = step2[(step2["model"] == "B1") & (step2["coefficients"] == "found")].iloc[0]
    assert b1["fingerprint"] == winner.fingerprint
    assert (b1["val_accuracy"], b1["low"], b1["high"]) == (winner.val_accuracy, winner.low, winner.high)


def test_a_model_that_fits_the_budget_is_never_extrapolated(new_run):
    """Its training is not finished, or failed: it has no accuracy and says why."""
    write_step1(new_run, grid=Grid("coefficients", step=0.2), seeds=(0, 1))
    tree = step2_document(budget=10 * BASELINE_COST)
    new_run.write_document("step2", tree)
    b4 = network_of(next(tree["networks"][m["network"]] for m in tree["models"] if m["model"] == "B3"))
    for seed in CONFIG.all_seeds:
        failed = Outcome("failed", reason="the training loss was nan at step 3", failed_step=3)
        new_run.write_record(to_record(spec_of(b4, seed), failed))
    run = load_run(new_run.path)
    table = step2_table(run.models, run.trials)
    unfinished = table[run.models["trained"] & (table["source"] != "measured")]
    assert len(unfinished) and (unfinished["source"] == "none").all() and unfinished["val_accuracy"].isna().all()
    notes = unfinished.set_index("fingerprint")["note"]
    assert notes[b4.fingerprint] == "training failed: the training loss was nan at step 3"
    assert set(notes.drop(b4.fingerprint)) == {"not trained yet"}
    assert (table["source"][~run.models["trained"]] == "extrapolated").all()


def test_too_few_networks_to_fit_the_law_leave_the_rest_empty_with_a_note(new_run):
    write_step2(new_run, budget=1.5 * BASELINE_COST)
    run = load_run(new_run.path)
    table = step2_table(run.models, run.trials)
    rest = table[table["source"] != "measured"]
    assert (rest["source"] == "none").all() and rest["val_accuracy"].isna().all()
    assert rest["note"].str.startswith("not predicted: ").all()


def test_a_prediction_that_says_nothing_is_not_given(new_run):
    """Networks of one size from 40 to 90 %: no law tells what a larger one reaches."""

    def outcome(network, seed):
        random = np.random.default_rng([seed, *network.fingerprint.encode()])
        return Outcome("ok", 0.6 + 0.03 * np.log2(network.multiply_adds / BASELINE_COST) + random.uniform(-0.2, 0.2))

    write_step1(new_run, outcome=outcome)
    new_run.write_document("step2", step2_document(budget=1))
    run = load_run(new_run.path)
    table = step2_table(run.models, run.trials)
    assert not (table["source"] == "extrapolated").any()
    rest = table[table["source"] == "none"]
    assert len(rest) and rest[["val_accuracy", "low", "high", "beyond"]].isna().all(axis=None)
    assert rest["note"].str.startswith("not predicted: ").all()


def test_a_collapsed_training_is_left_out_of_the_law_with_a_note(step2, whole_run, tmp_path):
    copied = shutil.copytree(whole_run.path, tmp_path / "made-up")
    run = load_run(copied)
    largest = run.trials[run.trials["val_accuracy"].notna()]["multiply_adds"].idxmax()
    run.trials.loc[largest, "val_accuracy"] -= 0.4
    table = step2_table(run.models, run.trials)
    predicted = table["source"] == "extrapolated"
    assert (table["note"][predicted] == "the law is without 1 training that collapsed").all()
    assert table["val_accuracy"][predicted].to_numpy() == pytest.approx(step2["val_accuracy"][predicted], abs=0.005)


def test_before_any_training_no_model_has_an_accuracy(new_run):
    new_run.write_document("step2", step2_document())
    run = load_run(new_run.path)
    table = step2_table(run.models, run.trials)
    assert table["val_accuracy"].isna().all() and (table["source"] == "none").all()


def test_larger_networks_that_are_not_more_accurate_are_not_extrapolated(new_run):
    """The law would answer with a number and an interval."""

    def outcome(network, seed):
        return Outcome("ok", 0.9 - 0.02 * np.log2(network.multiply_adds / BASELINE_COST) + 0.001 * seed)

    write_step1(new_run, outcome=outcome)
    new_run.write_document("step2", step2_document(budget=1))
    run = load_run(new_run.path)
    table = step2_table(run.models, run.trials)
    unmeasured = table[table["source"] == "none"]
    assert len(unmeasured) and unmeasured["val_accuracy"].isna().all() and not (table["source"] == "extrapolated").any()
    assert (unmeasured["note"].str.startswith("not predicted: larger networks are not more accurate")).all()
