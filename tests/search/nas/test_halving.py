from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from scaling_search.search.nas.halving import Rung, rungs


def test_nine_networks_by_thirds():
    assert rungs(9, 9, 3) == (Rung(1, 9), Rung(3, 3), Rung(9, 1))


def test_without_halving_all_are_trained_to_the_end():
    assert rungs(10, 8, None) == (Rung(10, 8),)


@given(st.integers(1, 400), st.integers(1, 60), st.integers(2, 5))
def test_a_ladder_ends_at_all_epochs_and_costs_at_most_a_full_training_a_rung(epochs, count, halving):
    ladder = rungs(epochs, count, halving)
    assert ladder[0].count == count and ladder[-1].epochs == epochs
    for one, following in pairwise(ladder):
        assert one.epochs < following.epochs and one.count > following.count >= 1
