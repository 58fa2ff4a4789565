import numpy as np
import pandas as pd
import pytest
from scipy import stats

from scaling_search.analysis.statistics.means import run_means, seed_means
from scaling_search.errors import UserError


def trials_of(accuracies):
    """One row a training of a table of networks by seeds; NaN where it did not finish."""
    rows = [
        (f"network {network:03}", seed, value)
        for network, row in enumerate(accuracies)
        for seed, value in enumerate(row)
    ]
    return pd.DataFrame(rows, columns=["fingerprint", "seed", "val_accuracy"])


def made_up(random, networks=12, seeds=3, noise=0.01, seed_effect=0.0):
    truth = random.uniform(0.7, 0.8, networks)
    shared = random.normal(0, seed_effect, seeds) if seed_effect else 0.0
    return truth, truth[:, None] + shared + random.normal(0, noise, (networks, seeds))


def test_means_are_over_seeds():
    means = seed_means(trials_of([[0.5, 0.7], [0.2, 0.4]]))
    assert means.table["val_accuracy"].tolist() == pytest.approx([0.6, 0.3])
    assert means.table["seeds"].tolist() == [2, 2]


def test_the_variance_is_that_of_a_two_way_analysis_of_variance():
    """By hand: residuals after network and seed means, over (networks - 1) * (seeds - 1) degrees of freedom."""
    _, table = made_up(np.random.default_rng(1), seed_effect=0.02)
    residuals = table - table.mean(1, keepdims=True) - table.mean(0, keepdims=True) + table.mean()
    means = seed_means(trials_of(table))
    assert means.df == 11 * 2 and means.blocks == 3
    assert means.variance == pytest.approx((residuals**2).sum() / means.df)


def test_with_a_seed_missing_seeds_are_no_blocks():
    _, table = made_up(np.random.default_rng(1))
    table[4, 1] = np.nan
    means = seed_means(trials_of(table))
    within = np.nansum((table - np.nanmean(table, 1, keepdims=True)) ** 2)
    assert means.df == 12 * 2 - 1 and means.blocks == 0
    assert means.variance == pytest.approx(within / means.df)
    assert means.table["seeds"].tolist() == [3] * 4 + [2] + [3] * 7
    half = means.table["high"] - means.table["val_accuracy"]
    assert half.iloc[4] > half.median()


def test_a_single_network_has_the_usual_t_interval():
    values = [0.71, 0.74, 0.70, 0.73]
    row = seed_means(trials_of([values])).table.iloc[0]
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (row["low"], row["high"]) == pytest.approx((low, high))


def test_one_seed_a_network_gives_means_without_intervals():
    means = seed_means(trials_of([[0.5], [0.6]]))
    assert means.table["val_accuracy"].tolist() == [0.5, 0.6]
    assert means.table[["low", "high"]].isna().all(axis=None) and np.isnan(means.variance)


def test_without_trials_there_are_no_means():
    assert seed_means(trials_of([])).table.empty
    assert seed_means(trials_of([[np.nan, np.nan]])).table.empty


def test_intervals_stay_between_0_and_1():
    table = seed_means(trials_of([[0.99, 1.0], [0.0, 0.01], [0.4, 0.6]])).table
    assert (table["low"] >= 0).all() and (table["high"] <= 1).all()


def test_collapsed_trainings_are_counted():
    random = np.random.default_rng(4)
    values = random.normal(0.9, 0.01, (12, 3))
    assert seed_means(trials_of(values)).collapsed == 0
    values[2, 1] -= 0.2
    values[7, 0] -= 0.4
    assert seed_means(trials_of(values)).collapsed == 2


def test_networks_that_scatter_unlike_each_other_are_told_from_those_that_do_not():
    random = np.random.default_rng(5)
    alike = [seed_means(trials_of(random.normal(0.9, 0.01, (14, 3)))).unlike for _ in range(20)]
    noise = np.geomspace(0.0025, 0.0854, 14)[:, None] * random.standard_normal((20, 14, 3))
    unlike = [seed_means(trials_of(np.clip(0.9 + one, 0, 1))).unlike for one in noise]
    assert np.mean(alike) < 0.15 < 0.5 < np.mean(unlike)


@pytest.mark.parametrize("bad", [93.0, -0.1, np.inf])
def test_what_is_no_accuracy_is_refused(bad):
    with pytest.raises(UserError, match="val_accuracy"):
        seed_means(trials_of([[0.9, bad], [0.8, 0.7]]))


def test_a_network_has_the_same_interval_in_every_table(whole):
    step1 = seed_means(whole.trials[whole.trials["step"] == 1]).table
    assert run_means(whole.trials).loc[step1.index].equals(step1)


def test_a_confidence_outside_0_and_1_is_refused():
    with pytest.raises(UserError, match="confidence 95 given"):
        seed_means(trials_of([[0.5, 0.6]]), confidence=95)
