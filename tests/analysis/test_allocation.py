"""Trainings given out in rounds: where they go, how many they save, and whether it is as sure as it says."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from scaling_search.analysis.statistics.allocation import (
    Evidence,
    certainty,
    next_trainings,
    reachable,
    risks,
    trainings_to_go,
    worthwhile,
)
from tests.benchmarks.certainty import SCENES, WITHIN, equal_chance, good, searched


def evidence(means, deviations=0.01, seeds=2, first=2, df=30.0):
    means = np.array(means, float)
    whole = np.ones(len(means))
    return Evidence(means, whole * np.square(deviations), whole * df, (whole * seeds).astype(int), first)


def every(known):
    return np.ones(len(known.means), bool)


# One look


def test_the_risk_of_one_look_is_welchs():
    known = Evidence(np.array([0.90, 0.89]), np.array([1e-4, 4e-4]), np.array([4.0, 9.0]), np.array([2, 2]), 2)
    joint = 5e-4 / 2
    df = joint**2 / ((1e-4 / 2) ** 2 / 4 + (4e-4 / 2) ** 2 / 9)
    assert risks(known, 0, WITHIN) == pytest.approx([0, stats.t.sf(0.015 / np.sqrt(joint), df)])
    # Of the one behind, whatever is picked.
    assert risks(known, 1, WITHIN)[0] == pytest.approx(stats.t.sf(-0.005 / np.sqrt(joint), df))


def test_a_difference_that_was_looked_at_before_is_trusted_less():
    known = evidence([0.90, 0.885], seeds=10, first=10)
    assert certainty(replace(known, first=2), 0, WITHIN) < certainty(known, 0, WITHIN)


def test_it_is_surer_the_more_may_be_lost_and_the_more_trainings_there_are():
    known = evidence([0.90, 0.895, 0.89, 0.85], seeds=8)
    by_within = [certainty(known, 0, within) for within in (0.002, 0.005, 0.02)]
    by_seeds = [certainty(replace(known, seeds=known.seeds * n), 0, WITHIN) for n in (1, 4, 16)]
    assert by_within == sorted(by_within) and by_seeds == sorted(by_seeds) and by_seeds[-1] > 0.99


def test_nothing_is_sure_where_nothing_is_known_of_the_scatter():
    unknown = evidence([0.9, 0.5], deviations=np.nan)
    assert certainty(unknown, 0, WITHIN) == 0 and not next_trainings(unknown, WITHIN, 8, every(unknown)).any()
    assert (
        not worthwhile(unknown, WITHIN, 0.9, every(unknown))
        and trainings_to_go(unknown, WITHIN, 0.9, every(unknown)) is None
    )


def test_seeds_that_all_end_alike_are_sure():
    alike = evidence([0.90, 0.89], deviations=0.0)
    assert certainty(alike, 0, WITHIN) == pytest.approx(1)


# Where trainings go


def test_trainings_go_to_the_leader_its_rivals_and_those_that_scatter():
    known = evidence([0.95, 0.949, 0.949, 0.90, 0.80], deviations=[0.01, 0.01, 0.03, 0.01, 0.01])
    given = next_trainings(known, WITHIN, 40, every(known))
    assert given.sum() == 40 and given[2] > given[1] > 0 and given[0] > 0 and not given[3:].any()


def test_a_shorter_round_is_the_beginning_of_a_longer_one():
    known = evidence([0.95, 0.949, 0.945, 0.94], deviations=[0.01, 0.02, 0.01, 0.03])
    parts = [next_trainings(known, WITHIN, size, every(known)) for size in range(1, 9)]
    assert all((after - before).sum() == 1 and (after >= before).all() for before, after in pairwise(parts))


def test_a_network_that_gets_no_more_gets_none():
    known = evidence([0.95, 0.949, 0.948])
    closed = np.array([True, False, True])
    assert next_trainings(known, WITHIN, 8, closed)[1] == 0
    assert not reachable(known, WITHIN, 0.9, closed) and trainings_to_go(known, WITHIN, 0.9, closed) is None
    assert worthwhile(known, WITHIN, 0.9, closed)
    assert not worthwhile(known, WITHIN, 0.9, np.array([True, False, False]))


def test_as_many_more_trainings_as_it_says_make_it_sure_if_means_stay():
    known = evidence([0.95, 0.948, 0.94, 0.93])
    more = trainings_to_go(known, WITHIN, 0.9, every(known))
    for size, reached in ((more, True), (int(0.8 * more), False)):
        after = replace(known, seeds=known.seeds + next_trainings(known, WITHIN, size, every(known)))
        assert (certainty(after, 0, WITHIN) >= 0.9) is reached


# Simulated searches


def test_40_percent_fewer_trainings_than_equal_seeds_pick_as_well():
    random, (means, deviations) = np.random.default_rng(0), SCENES["measured"](None)
    equal = equal_chance(random, SCENES["measured"], 150)
    picks = [searched(random, means, deviations, asked=1.1, spent=90, size=15).pick for _ in range(100)]
    assert 0.9 < equal < 0.96
    assert np.mean([good(means, pick) for pick in picks]) > equal - 0.02


@pytest.mark.parametrize("scene", ["unlike", "ties", "just missed"])
def test_it_is_right_as_often_as_it_is_sure(scene):
    random, right = np.random.default_rng(1), []
    for _ in range(24):
        means, deviations = SCENES[scene](random)
        right.append(good(means, searched(random, means, deviations, size=24).pick))
    assert np.mean(right) >= 0.9 - 2 * np.sqrt(0.9 * 0.1 / 24)
