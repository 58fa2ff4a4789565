import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from scaling_search.analysis.findings.step1 import may_be_best
from scaling_search.analysis.statistics.pairs import MOST_SEEDS, paired_differences, seeds_to_separate
from scaling_search.errors import UserError


def trials_of(accuracies):
    """One row a training of a table of networks by seeds; NaN where it did not finish."""
    rows = [
        (f"network {network}", seed, value)
        for network, row in enumerate(accuracies)
        for seed, value in enumerate(row)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["fingerprint", "seed", "val_accuracy"])


def test_two_networks_are_compared_as_a_paired_t_test_does():
    one, other = [0.71, 0.74, 0.70, 0.73], [0.69, 0.73, 0.70, 0.70]
    row = paired_differences(trials_of([one, other]), "network 1").loc["network 0"]
    test = stats.ttest_rel(one, other)
    interval = test.confidence_interval(0.95)
    assert (row["p"], row["p_adjusted"], row["seeds"]) == (pytest.approx(test.pvalue), pytest.approx(test.pvalue), 4)
    assert (row["low"], row["high"]) == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_what_seeds_do_to_all_networks_alike_cancels():
    random = np.random.default_rng(0)
    table = random.normal(0.7, 0.01, (6, 3))
    moved = table + np.array([0.0, 0.1, -0.2])
    one, other = (paired_differences(trials_of(values), "network 2") for values in (table, moved))
    assert one.to_numpy() == pytest.approx(other.to_numpy())


def test_only_seeds_that_both_have_are_compared():
    table = [[0.5, 0.6, 0.7], [0.4, np.nan, 0.5], [0.5, 0.5, 0.5]]
    rows = paired_differences(trials_of(table), "network 0")
    assert rows.loc["network 1", "difference"] == pytest.approx(-0.15) and rows["seeds"].tolist() == [2, 3]


def test_one_seed_gives_differences_without_intervals():
    rows = paired_differences(trials_of([[0.5], [0.6]]), "network 0")
    assert rows["difference"].tolist() == [pytest.approx(0.1)]
    assert rows[["low", "high", "p", "p_adjusted"]].isna().all(axis=None)


@given(st.lists(st.floats(0.3, 0.9), min_size=2, max_size=8), st.integers(0, 10))
def test_adjusted_values_are_holms(means, seed):
    table = np.array(means)[:, None] + np.random.default_rng(seed).normal(0, 0.05, (len(means), 3))
    rows = paired_differences(trials_of(table), "network 0").sort_values("p", kind="stable")
    largest = 0.0
    for index, row in enumerate(rows.itertuples()):
        largest = max(largest, min(1.0, row.p * (len(rows) - index)))
        assert row.p_adjusted == pytest.approx(largest)


def test_true_equals_are_seldom_called_different():
    """Of ten networks alike, an adjusted p lies below 5 % in at most 5 % of grids, and a raw one far oftener."""
    random = np.random.default_rng(1)
    grids = [paired_differences(trials_of(random.normal(0.7, 0.01, (10, 3))), "network 0") for _ in range(150)]
    adjusted, raw = ([(grid[name] < 0.05).any() for grid in grids] for name in ("p_adjusted", "p"))
    assert np.mean(adjusted) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150) < np.mean(raw)


def test_a_network_that_is_not_there_is_refused():
    with pytest.raises(UserError, match="'network 9' has no finished training"):
        paired_differences(trials_of([[0.5], [0.6]]), "network 9")


def test_the_number_of_seeds_has_the_power_it_promises():
    """Trained so often, a network that is truly better is told from another in four of five draws."""
    gap, noise, networks = 0.02, 0.01, 5
    seeds = seeds_to_separate(gap, noise**2, networks)
    random = np.random.default_rng(2)
    told = {count: [] for count in (seeds - 1, seeds)}
    for count in told:
        for _ in range(400):
            values = random.normal(0, noise, (networks, count))
            values[0] += gap
            means = values.mean(1)
            residuals = values - means[:, None] - values.mean(0) + values.mean()
            df = (networks - 1) * (count - 1)
            kept = may_be_best(means[:2], np.full(2, count), float((residuals**2).sum() / df), df)
            told[count].append(not kept[1])
    # The critical value there is for two networks, and so a little lower than for five.
    assert np.mean(told[seeds]) > 0.8 - 3 * np.sqrt(0.16 / 400)
    assert seeds > 2


def test_smaller_gaps_more_networks_and_more_power_need_more_seeds():
    counts = [seeds_to_separate(gap, 1e-4, 10) for gap in (0.05, 0.02, 0.01, 0.005)]
    assert counts == sorted(counts) and len(set(counts)) == 4
    assert seeds_to_separate(0.01, 1e-4, 40) > seeds_to_separate(0.01, 1e-4, 3)
    assert seeds_to_separate(0.01, 1e-4, 10, power=0.95) > seeds_to_separate(0.01, 1e-4, 10, power=0.5)


def test_what_no_number_of_seeds_tells_apart_has_none():
    assert seeds_to_separate(0.0, 1e-4, 10) is None and seeds_to_separate(0.01, float("nan"), 10) is None
    assert seeds_to_separate(1e-6, 1e-4, 10) is None
    assert seeds_to_separate(0.01, 0.0, 10) == 2
    few = seeds_to_separate(0.0006, 1e-4, 3)
    assert few is not None and 1000 < few <= MOST_SEEDS
