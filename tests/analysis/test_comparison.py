import dataclasses

import numpy as np
import pytest
from made_up import network_at, outcome_of, spec_of, write_step1
from scipy import stats

from scaling_search.analysis.findings.step1 import judge, may_be_best
from scaling_search.analysis.frames import load_run
from scaling_search.analysis.statistics.dunnett import dunnett_critical_value
from scaling_search.errors import UserError
from scaling_search.rule import Grid
from scaling_search.trial import Outcome, to_record


def judged(run, **options):
    frames = load_run(run.path)
    return judge(frames.points, frames.trials, **options)


# One-sided 5 % points of Dunnett (1955), table 1a, for p other means and df degrees of freedom.
@pytest.mark.parametrize(
    ("df", "others", "published"),
    [
        (5, 1, 2.02),
        (5, 2, 2.44),
        (5, 5, 2.98),
        (5, 9, 3.30),
        (10, 2, 2.15),
        (10, 3, 2.34),
        (20, 3, 2.19),
        (20, 5, 2.39),
    ],
)
def test_critical_values_are_dunnetts(df, others, published):
    assert dunnett_critical_value(3, (3,) * others, df, 0.95) == pytest.approx(published, abs=0.006)


@pytest.mark.parametrize("seeds", [(3, (2,)), (3, (3,)), (2, (7,))])
def test_for_two_means_the_critical_value_is_students(seeds):
    assert dunnett_critical_value(*seeds, 9, 0.95) == pytest.approx(stats.t.ppf(0.95, 9), abs=1e-3)


def test_more_networks_need_a_larger_difference():
    values = [dunnett_critical_value(3, (3,) * others, 30, 0.95) for others in range(8)]
    assert values == sorted(values)


def tie_sets(random, truth, *, draws, seeds, noise=1.0):
    """Which networks are tied in each of `draws` made-up grids, each with its own variance: (draws, networks)."""
    networks = len(truth)
    values = truth[:, None] + random.normal(0, noise, (draws, networks, seeds)) + random.normal(0, 2, (draws, 1, seeds))
    means = values.mean(2)
    residuals = values - means[..., None] - values.mean(1, keepdims=True) + values.mean((1, 2), keepdims=True)
    df = (networks - 1) * (seeds - 1)
    variances = (residuals**2).sum((1, 2)) / df
    counts = np.full(networks, seeds)
    return np.array([may_be_best(row, counts, float(v), df) for row, v in zip(means, variances, strict=True)])


@pytest.mark.parametrize(("networks", "seeds"), [(4, 3), (16, 2), (16, 3)])
def test_the_truly_best_network_is_in_the_tie_at_least_as_often_as_confidence_says(networks, seeds):
    """All alike is the hardest case, in which each network is lost in 5 % of grids: no more, and not much less."""
    ties = tie_sets(np.random.default_rng(3), np.zeros(networks), draws=1000, seeds=seeds)
    kept = ties[:, 0].mean()
    error = np.sqrt(0.95 * 0.05 / 1000)
    assert 0.95 - 4 * error < kept < 0.95 + 4 * error


def test_a_clearly_better_network_stands_alone():
    ties = tie_sets(np.random.default_rng(4), np.r_[8.0, np.zeros(11)], draws=200, seeds=3)
    assert ties[:, 0].all() and ties[:, 1:].mean() < 0.001


def test_networks_with_fewer_seeds_need_a_larger_difference():
    accuracy, variance = np.array([0.80, 0.78, 0.78]), 0.01**2
    assert may_be_best(accuracy, np.array([3, 3, 1]), variance, 20).tolist() == [True, False, True]


def test_the_table_has_every_point_best_first_with_one_leader(judgement):
    table = judgement.table
    assert len(table) == 39 and table["leads"].sum() == 1
    assert table["val_accuracy"].is_monotonic_decreasing
    assert (table["low"] < table["val_accuracy"]).all() and (table["val_accuracy"] < table["high"]).all()
    assert (table["seeds"] == 3).all() and (table["note"] == "").all()


def test_points_of_one_network_stand_together_with_the_same_numbers(judgement):
    table = judgement.table
    blocks = (table["fingerprint"] != table["fingerprint"].shift()).sum()
    assert blocks == table["fingerprint"].nunique() < 39
    assert (table.groupby("fingerprint")[["val_accuracy", "multiply_adds", "tie"]].nunique() == 1).all(axis=None)


def test_the_cheapest_of_the_tie_leads(judgement):
    tied = judgement.table[judgement.table["tie"]]
    assert set(judgement.ties) == set(tied["fingerprint"])
    assert judgement.table["tie"].iloc[0]
    assert judgement.winner.multiply_adds == tied["multiply_adds"].min()
    assert judgement.ties[0] == judgement.winner.fingerprint


def test_of_the_rules_of_the_winning_network_the_one_nearest_to_2_leads(judgement):
    same = judgement.table[judgement.table["fingerprint"] == judgement.winner.fingerprint]
    distances = (same["cost_factor"] - 2).abs()
    assert distances[same["leads"]].item() == distances.min()


def test_judging_again_gives_the_same_and_order_does_not_matter(whole):
    one = judge(whole.points, whole.trials)
    other = judge(whole.points, whole.trials.sample(frac=1, random_state=0))
    assert one.winner.fingerprint == other.winner.fingerprint and one.ties == other.ties
    assert one.table["val_accuracy"].to_numpy() == pytest.approx(other.table["val_accuracy"].to_numpy())


def test_step_2_and_the_test_split_change_nothing(whole):
    only = whole.trials[(whole.trials["step"] == 1) & (whole.trials["evaluate"] == "validation")]
    assert judge(whole.points, only).table.equals(judge(whole.points, whole.trials).table)


def test_the_baseline_is_measured_but_no_candidate(judgement, whole_run):
    assert judgement.baseline.fingerprint == whole_run.baseline.fingerprint and judgement.baseline.seeds == 3
    assert judgement.baseline.fingerprint not in set(judgement.table["fingerprint"])


def test_a_refused_point_is_shown_with_its_reason_and_cannot_win(new_run):
    dear = 135_000_000
    run = write_step1(new_run, refused=lambda n: "too many multiply-adds" if n.multiply_adds > dear else None)
    table = judged(run).table
    refused = table["multiply_adds"] > dear
    assert refused.any() and not refused.all()
    assert table["note"][refused].str.contains("refused by equation 2: too many").all()
    assert not table["tie"][refused].any() and table["val_accuracy"][refused].isna().all()
    assert table["val_accuracy"][~refused].notna().all()


def test_a_network_that_failed_cannot_win_and_says_why(new_run):
    best = network_at(next(iter(Grid("coefficients", step=0.1).rules())).at(1.0)).fingerprint

    def outcome(network, seed):
        if network.fingerprint == best:
            return Outcome("failed", reason="the training loss was nan at step 3", failed_step=3)
        return outcome_of(network, seed)

    judgement = judged(write_step1(new_run, grid=Grid("coefficients", step=0.1), outcome=outcome))
    row = judgement.table[judgement.table["fingerprint"] == best].iloc[0]
    assert judgement.winner.fingerprint != best and not row["tie"] and row["seeds"] == 0
    assert row["note"] == "0 of 3 seeds finished; failed: the training loss was nan at step 3"


def test_a_missing_seed_is_said(step1_run):
    network = next(iter(step1_run.networks.values()))
    (step1_run.path / "trials" / f"{spec_of(network, 2).key}.json").unlink()
    judgement = judged(step1_run)
    row = judgement.table[judgement.table["fingerprint"] == network.fingerprint].iloc[0]
    assert row["seeds"] == 2 and row["note"] == "2 of 3 seeds finished"
    assert "as blocks" not in judgement.note


def test_one_seed_has_no_interval_and_says_so(new_run):
    judgement = judged(write_step1(new_run, grid=Grid("coefficients", step=0.1), seeds=(0,)))
    assert np.isnan(judgement.winner.low) and np.isnan(judgement.winner.high)
    assert "one seed" in judgement.note
    assert judgement.winner.val_accuracy == judgement.table["val_accuracy"].max()
    assert judgement.ties == (judgement.winner.fingerprint,)


def test_exact_ties_go_to_the_cheaper_network(new_run):
    def same(network, seed):
        return Outcome("ok", 0.9)

    judgement = judged(write_step1(new_run, grid=Grid("coefficients", step=0.1), outcome=same))
    assert judgement.table["tie"].all()
    assert judgement.winner.multiply_adds == judgement.table["multiply_adds"].min()


def test_without_a_finished_training_nothing_is_judged(new_run):
    run = write_step1(new_run, grid=Grid("coefficients", step=0.2), seeds=())
    with pytest.raises(UserError, match="no network of STEP 1 has a finished training"):
        judged(run)
    new_run.write_record(to_record(spec_of(run.baseline, 0), Outcome("failed", reason="out of memory")))
    with pytest.raises(UserError, match="1 failed, the first because out of memory"):
        judged(run)


def test_a_lower_confidence_tells_more_networks_apart(whole):
    sizes = [len(judge(whole.points, whole.trials, confidence).ties) for confidence in (0.5, 0.8, 0.95, 0.999)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1]


def test_the_leaders_are_set_apart_by_the_seeds_that_are_missing(judgement):
    accuracies = judgement.table.drop_duplicates("fingerprint")["val_accuracy"]
    apart = judgement.separation
    assert apart.gap == pytest.approx(accuracies.iloc[0] - accuracies.iloc[1])
    assert apart.fingerprints == tuple(judgement.table["fingerprint"].drop_duplicates()[:2])
    assert apart.seeds > 3 and apart.more == apart.seeds - 3
    assert apart.low < apart.gap < apart.high and 1 < apart.fewest < apart.seeds


def test_a_small_grid_has_no_surface_and_one_seed_no_separation(new_run):
    judgement = judged(write_step1(new_run, grid=Grid("coefficients", step=0.2), seeds=(0,)))
    assert judgement.surface is None and judgement.separation is None


def test_a_winner_is_plain_data(judgement):
    assert {type(value) for value in dataclasses.asdict(judgement.winner).values()} == {float, str, int}
