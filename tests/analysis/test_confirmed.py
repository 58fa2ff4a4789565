"""The winner is reported by seeds that did not select it, which get into no other statistic."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_up import CONFIG, network_at, outcome_of, spec_of, write_step1, write_step2
from scipy import stats

from scaling_search.analysis import findings_of, judge, load_run
from scaling_search.analysis.findings.confirmed import confirm
from scaling_search.analysis.report.words import answer
from scaling_search.analysis.text.steps import findings_text
from scaling_search.rule import CompoundRule, Scale
from scaling_search.store import start_run
from scaling_search.trial import to_record


def finished(directory):
    """Makes a run whose winner is not confirmed yet, and returns it and the winner's network."""
    made = write_step1(directory)
    run = load_run(directory.path)
    winner = judge(run.points, run.trials).winner
    write_step2(directory, rule=CompoundRule(winner.alpha, winner.beta, winner.gamma))
    return directory, made.networks[winner.fingerprint]


@pytest.fixture(scope="module")
def after(tmp_path_factory):
    """What the run found before and after the winner's confirmation."""
    directory, network = finished(start_run(replace(CONFIG, runs=str(tmp_path_factory.mktemp("runs"))), "made-up:0"))
    found = findings_of(load_run(directory.path))
    for seed in CONFIG.fresh_seeds:
        directory.write_record(to_record(spec_of(network, seed), outcome_of(network, seed)))
    return found, findings_of(load_run(directory.path))


def test_as_many_seeds_confirm_as_select_and_none_does_both():
    assert len(CONFIG.fresh_seeds) == CONFIG.seeds and not set(CONFIG.fresh_seeds) & set(CONFIG.all_seeds)


def test_the_winner_s_fresh_mean_has_the_t_interval_of_its_own_trainings(after):
    before, found = after
    own = found.run.trials[found.run.trials["fingerprint"] == found.winner.fingerprint]
    fresh, selecting = own["fresh_accuracy"].dropna(), own["val_accuracy"].dropna()
    assert len(fresh) == len(selecting) == 3
    half = stats.t.ppf(0.975, 4) * np.sqrt((fresh.var() + selecting.var()) / 2 / 3)
    confirmed = found.confirmed
    assert confirmed.val_accuracy == pytest.approx(fresh.mean())
    assert (confirmed.low, confirmed.high) == pytest.approx((fresh.mean() - half, fresh.mean() + half))
    assert confirmed.selected_at == pytest.approx(before.winner.val_accuracy)


def test_the_frontier_has_what_fresh_seeds_say_of_the_networks_they_judge(after):
    before, found = after
    shown = found.frontier.set_index("fingerprint")
    winner = shown.loc[found.winner.fingerprint]
    assert winner["val_accuracy"] == found.confirmed.val_accuracy != found.winner.val_accuracy
    assert winner["seeds"] == found.confirmed.seeds and shown["seeds"].dtype == before.frontier["seeds"].dtype


def test_confirming_trainings_change_no_other_number(after):
    before, found = after
    assert before.confirmed is None
    assert found.winner == before.winner and found.step1.equals(before.step1)
    assert found.progress == before.progress
    frontiers = [one.frontier.set_index("fingerprint").drop(columns="on_frontier") for one in (found, before)]
    judged = list(found.fresh)
    assert frontiers[0].drop(judged).equals(frontiers[1].drop(judged))
    others = found.step2["fingerprint"] != found.winner.fingerprint
    measured = others & (found.step2["source"] == "measured")
    same = [name for name in found.step2 if not name.startswith("gain")]
    assert found.step2.loc[measured, same].equals(before.step2.loc[measured, same])


def test_fresh_seeds_of_the_baseline_join_the_others_since_nothing_selected_it(new_run):
    directory, network = finished(new_run)
    baseline = network_at(Scale())
    for seed in CONFIG.fresh_seeds:
        for one in (network, baseline):
            directory.write_record(to_record(spec_of(one, seed), outcome_of(one, seed)))
    found = findings_of(load_run(directory.path))
    own = found.run.trials[found.run.trials["fingerprint"] == baseline.fingerprint]
    accuracy = own["val_accuracy"].fillna(own["fresh_accuracy"])
    b0, b1 = (found.step2[found.step2["model"] == name].iloc[0] for name in ("B0", "B1"))
    low, high = stats.t.interval(0.95, 5, accuracy.mean(), stats.sem(accuracy))
    assert b0["seeds"] == 6 and (b0["low"], b0["high"]) == pytest.approx((low, high))
    assert b1["gain"] == pytest.approx(found.confirmed.val_accuracy - accuracy.mean())
    # Welch's interval of the two.
    errors = accuracy.var() / 6, found.confirmed.variance
    df = sum(errors) ** 2 / (errors[0] ** 2 / 5 + errors[1] ** 2 / 4)
    assert b1["gain_high"] - b1["gain"] == pytest.approx(stats.t.ppf(0.975, df) * np.sqrt(sum(errors)))
    assert f"{100 * accuracy.mean():.1f} " in findings_text(found) and "over 6 seeds" in findings_text(found)


def test_the_winner_s_confirmed_accuracy_is_what_is_reported(after):
    before, found = after
    b1 = found.step2[found.step2["fingerprint"] == found.winner.fingerprint].iloc[0]
    assert (b1["val_accuracy"], b1["low"], b1["high"]) == tuple(
        getattr(found.confirmed, name) for name in ("val_accuracy", "low", "high")
    )
    shown = f"{100 * found.confirmed.val_accuracy:.1f}"
    assert f"{shown} % top-1" in answer(found) and "over 3 fresh seeds" in answer(found)
    text = " ".join(findings_text(found).split())
    assert "over 3 fresh seeds" in text and "flatter" not in text
    assert "No fresh seed has confirmed the winner" in " ".join(findings_text(before).split())


def test_one_fresh_seed_alone_still_has_an_interval_by_those_that_selected():
    trials = pd.DataFrame(
        {"fingerprint": "a", "val_accuracy": [0.90, 0.92, np.nan], "fresh_accuracy": [np.nan, np.nan, 0.89]}
    )
    found = confirm(trials, "a")
    half = stats.t.ppf(0.975, 1) * np.std([0.90, 0.92], ddof=1)
    assert (found.val_accuracy, found.seeds) == (0.89, 1) and found.low == pytest.approx(max(0.89 - half, 0))
    assert confirm(trials.iloc[:2], "a") is None
    alone = confirm(trials.iloc[2:], "a")
    assert alone.val_accuracy == 0.89 and np.isnan([alone.low, alone.high, alone.selected_at]).all()
