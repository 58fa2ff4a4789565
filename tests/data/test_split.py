"""The split: stratified, seeded, disjoint, exact."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_search.config import Split
from scaling_search.data import ImageData, divide, from_arrays, load, resolve
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
    ("sizes", "split", "own_test", "said"),
    [
        (
            [2, 100],
            Split(),
            False,
            "class '0' has too few images .2. for .*10 % validation, 10 % test, the rest training",
        ),
        (
            [9, 1],
            Split(0.3),
            True,
            "class '1' has too few images .1. for .*30 % validation, its own test part, the rest training",
        ),
        (
            [9, 2],
            Split(train=0.05),
            False,
            "class '1' has too few images .2. for .*10 % validation, 10 % test, 5 % training",
        ),
    ],
)
def test_a_class_of_fewer_images_than_parts_is_named_with_the_split(sizes, split, own_test, said) -> None:
    with pytest.raises(UserError, match=said):
        divide(of_sizes(sizes, own_test=own_test), split)


SMALL = st.lists(st.integers(3, 12), min_size=2, max_size=5)


@settings(max_examples=150, deadline=None)
@given(sizes=SMALL, validation=st.none() | st.floats(0.01, 0.5), test=st.none() | st.floats(0.01, 0.45))
def test_in_small_sets_every_part_has_every_class(sizes, validation, test) -> None:
    data = of_sizes(sizes)
    division = divide(data, Split(validation, test))
    assert division.test is not None
    parts = (division.train, division.validation, division.test)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(sum(sizes)))
    assert all((np.bincount(data.labels[part], minlength=len(sizes)) >= 1).all() for part in parts)


def test_six_images_a_class_train_on_four() -> None:
    division = divide(of_sizes([6, 6]), Split())
    assert division.test is not None
    assert (len(division.train), len(division.validation), len(division.test)) == (8, 2, 2)


def test_data_are_divided_80_10_10_by_default() -> None:
    division = divide(of_sizes([100, 300]), Split())
    assert division.test is not None
    assert (len(division.train), len(division.validation), len(division.test)) == (320, 40, 40)


def test_a_validation_part_of_its_own_is_taken_as_it_is() -> None:
    images = np.zeros((40, 1, 1), np.uint8)
    data = from_arrays(images, np.arange(40) % 2, validation=(images[:6], [0, 1, 0, 1, 1, 1]))
    division = divide(data, Split(test=0.25))
    assert division.validation.tolist() == [40, 41, 42, 43, 44, 45]
    assert division.test is not None
    assert (len(division.train), len(division.test)) == (30, 10)
    assert data.identity != from_arrays(data.images, data.labels).identity


def test_a_resolved_split_says_what_is_used_and_stays_so() -> None:
    own = from_arrays(np.zeros((9, 1, 1), np.uint8), np.arange(9) % 2, test=(np.zeros((2, 1, 1), np.uint8), [0, 1]))
    assert resolve(Split(), own) == Split(validation=0.1)
    assert resolve(Split(), of_sizes([9, 9])) == Split(0.1, 0.1)
    assert resolve(Split(seed=4), load("digits")) == Split(0.55, 0.2, 4)
    assert resolve(Split(0.3, 0.3, 1, 0.2), own) == Split(0.3, 0.3, 1, 0.2)
    for data in (own, load("digits")):
        resolved = resolve(Split(), data)
        assert resolve(resolved, data) == resolved
    with pytest.raises(UserError, match=r"split of 0.95 validation and 0.1 test given"):
        resolve(Split(validation=0.95), of_sizes([9, 9]))


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
    with pytest.raises(UserError, match="must lie between 0 and 1"):
        Split(train=share)
