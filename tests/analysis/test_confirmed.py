"""The winner is reported by seeds that did not select it, which get into no other statistic."""

import numpy as np
import pandas as pd
import pytest
from made_up import CONFIG, outcome_of, spec_of, write_step1, write_step2
from scipy import stats

from scaling_search.analysis import findings_of, judge, load_run
from scaling_search.analysis.findings.confirmed import confirm
from scaling_search.analysis.report.words import answer
from scaling_search.analysis.text.steps import findings_text
from scaling_search.rule import CompoundRule
from scaling_search.trial import to_record


@pytest.fixture
def before(new_run):
    """A finished run whose winner is not confirmed yet."""
    made = write_step1(new_run)
    winner = judge(*_frames(new_run)).winner
    write_step2(new_run, rule=CompoundRule(winner.alpha, winner.beta, winner.gamma))
    return new_run, made.networks[winner.fingerprint]


def _frames(directory):
    run = load_run(directory.path)
    return run.points, run.trials


@pytest.fixture
def after(before):
    """What the run found before and after the winner's confirmation."""
    directory, network = before
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


def test_confirming_trainings_change_no_other_number(after):
    before, found = after
    assert before.confirmed is None
    assert found.winner == before.winner and found.step1.equals(before.step1)
    assert found.frontier.equals(before.frontier) and found.progress == before.progress
    others = found.step2["fingerprint"] != found.winner.fingerprint
    measured = others & (found.step2["source"] == "measured")
    assert found.step2[measured].equals(before.step2[measured])


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
