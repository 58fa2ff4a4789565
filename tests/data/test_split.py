"""The split: stratified, seeded, disjoint, exact."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_search.config import Split
from scaling_search.data import ImageData, divide, from_arrays, load
from scaling_search.errors import UserError


def of_sizes(sizes: list[int], *, own_test: bool = False) -> ImageData:
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(len(sizes)), sizes))
    images = np.zeros((len(labels), 1, 1), np.uint8)
    return from_arrays(images, labels, test=(images[:2], [0, 1]) if own_test else None)


SIZES = st.lists(st.integers(30, 120), min_size=2, max_size=6)
SHARES = st.floats(0.05, 0.45)


@settings(max_examples=80, deadline=None)
@given(sizes=SIZES, validation=SHARES, test=SHARES, seed=st.integers(0, 10**6))
def test_parts_are_disjoint_cover_all_and_are_of_exact_size(sizes, validation, test, seed) -> None:
    data = of_sizes(sizes)
    division = divide(data, Split(validation, test, seed))
    assert division.test is not None
    together = np.concatenate([division.train, division.validation, division.test])
    assert np.array_equal(np.sort(together), np.arange(sum(sizes)))
    assert abs(len(division.validation) - validation * sum(sizes)) <= 0.5 + 1e-6
    assert abs(len(division.test) - test * sum(sizes)) <= 0.5 + 1e-6


@settings(max_examples=80, deadline=None)
@given(sizes=SIZES, validation=SHARES, test=SHARES)
def test_each_class_gives_its_share_to_within_one_image(sizes, validation, test) -> None:
    data = of_sizes(sizes)
    division = divide(data, Split(validation, test))
    assert division.test is not None
    for indices, share in ((division.validation, validation), (division.test, test)):
        given_by_class = np.bincount(data.labels[indices], minlength=len(sizes))
        assert (np.abs(given_by_class - share * np.array(sizes)) < 1 + 1e-6).all()


def test_the_same_seed_gives_the_same_split_whatever_happened_before() -> None:
    data = load("digits")
    first = divide(data, Split(seed=3))
    np.random.seed(0)
    again, other = divide(data, Split(seed=3)), divide(data, Split(seed=4))
    assert np.array_equal(first.train, again.train)
    assert np.array_equal(first.validation, again.validation)
    assert not np.array_equal(first.validation, other.validation)


def test_digits_are_divided_into_450_988_and_359() -> None:
    division = divide(load("digits"), Split())
    assert division.test is not None
    assert (len(division.train), len(division.validation), len(division.test)) == (450, 988, 359)


def test_data_with_a_test_split_keep_that_and_give_only_validation() -> None:
    division = divide(of_sizes([50, 50], own_test=True), Split(validation=0.2, test=0.7))
    assert division.test is None
    assert (len(division.train), len(division.validation)) == (80, 20)


@pytest.mark.parametrize(
    ("sizes", "split"), [([2, 100], Split()), ([40, 40], Split(0.01, 0.2)), ([5, 5], Split(0.5, 0.45))]
)
def test_a_class_that_a_part_would_lack_is_named_with_its_count(sizes, split) -> None:
    with pytest.raises(UserError, match=rf"class '\d' has {sizes[0]} images, which leaves none for the"):
        divide(of_sizes(sizes), split)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(UserError, match="split seed -1"):
        divide(of_sizes([9, 9]), Split(seed=-1))


def test_shares_that_floats_cannot_hold_are_not_rounded_down() -> None:
    assert len(divide(of_sizes([100, 100]), Split(0.29, 0.2)).validation) == 58


def test_the_class_with_the_larger_remainder_is_rounded_up() -> None:
    data = of_sizes([13, 17])
    division = divide(data, Split(validation=0.1, test=0.2))
    assert division.test is not None
    assert np.bincount(data.labels[division.validation]).tolist() == [1, 2]  # of 1.3 and 1.7
    assert np.bincount(data.labels[division.test]).tolist() == [3, 3]  # of 2.6 and 3.4


@settings(max_examples=60, deadline=None)
@given(sizes=SIZES, share=st.floats(0.1, 0.35), larger=st.floats(1.0, 1.5))
def test_a_share_for_training_leaves_the_rest_out_and_is_part_of_every_larger_one(sizes, share, larger) -> None:
    data = of_sizes(sizes)
    everything, small, large = (
        divide(data, Split(0.25, 0.2, train=train)) for train in (None, share, min(share * larger, 0.55))
    )
    assert abs(len(small.train) - share * sum(sizes)) <= 0.5 + len(sizes)
    assert set(small.train) <= set(large.train) <= set(everything.train)
    assert np.array_equal(small.validation, everything.validation)


@pytest.mark.parametrize(("own_test", "left"), [(False, "0.25"), (True, "0.45")])
def test_a_share_for_training_that_others_have_is_refused(own_test, left) -> None:
    data = of_sizes([100, 100], own_test=own_test)
    with pytest.raises(UserError, match=f"leave {left}"):
        divide(data, Split(0.55, 0.2, train=0.5))
    assert len(divide(data, Split(0.55, 0.2, train=float(left))).train) == round(200 * float(left))


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_share_for_training_lies_between_0_and_1(share) -> None:
    with pytest.raises(UserError, match="lies between 0 and 1"):
        Split(train=share)
