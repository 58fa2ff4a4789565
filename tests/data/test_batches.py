"""Batches: constant shapes, seeded order, every image judged once."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_search.data import Prepared, check_batch_size, evaluation_batches, training_batches
from scaling_search.errors import UserError
from scaling_search.recipe import Recipe


def numbered(count: int) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(count, dtype=np.int32)
    return np.broadcast_to(labels[:, None, None, None].astype(np.float32), (count, 4, 4, 3)), labels


def prepared(images: np.ndarray, labels: np.ndarray | None = None) -> Prepared:
    labels = np.zeros(len(images), np.int32) if labels is None else labels
    return Prepared(images, labels, images[:1], labels[:1], np.zeros(3), np.ones(3))


def batches_of(images: np.ndarray, labels: np.ndarray | None, size: int, seed: int = 0, epoch: int = 0, **options: Any):
    recipe = Recipe(batch_size=size, **{"augment": "none"} | options)
    return training_batches(prepared(images, labels), recipe, seed=seed, epoch=epoch)


def seen(count: int, size: int, seed: int, epoch: int) -> list[int]:
    batches = batches_of(*numbered(count), size, seed, epoch)
    return [int(label) for _, labels in batches for label in labels]


@settings(max_examples=40, deadline=None)
@given(count=st.integers(1, 60), size=st.integers(1, 60), seed=st.integers(0, 9), epoch=st.integers(0, 9))
def test_training_batches_are_full_and_show_an_image_at_most_once(count, size, seed, epoch) -> None:
    size = min(size, count)
    images, labels = numbered(count)
    shown: list[int] = []
    for batch, batch_labels in batches_of(images, labels, size, seed, epoch):
        assert batch.shape == (size, 4, 4, 3)
        assert batch.dtype == np.float32
        assert batch_labels.shape == (size,)
        assert batch_labels.dtype == np.int32
        assert np.array_equal(batch[:, 0, 0, 0], batch_labels)
        shown.extend(batch_labels.tolist())
    assert len(shown) == len(set(shown)) == count // size * size


def test_the_order_is_of_the_seed_and_the_epoch_alone() -> None:
    assert seen(50, 8, 0, 0) == seen(50, 8, 0, 0)
    assert seen(50, 8, 0, 0) != seen(50, 8, 0, 1)
    assert seen(50, 8, 0, 0) != seen(50, 8, 1, 0)
    assert seen(50, 8, 0, 1) != seen(50, 8, 1, 0)


def test_every_image_is_seen_over_the_epochs_though_the_last_batch_is_dropped() -> None:
    assert {label for epoch in range(10) for label in seen(50, 32, 0, epoch)} == set(range(50))


def test_augmentation_is_seeded_too() -> None:
    images = np.random.default_rng(0).random((20, 16, 16, 3)).astype(np.float32)

    def first(seed: int) -> np.ndarray:
        batches = batches_of(images, None, 10, seed, augment="shift_flip")
        return next(batches)[0]

    assert np.array_equal(first(0), first(0))
    assert not np.array_equal(first(0), first(1))


def test_training_batches_leave_the_images_alone() -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3)).astype(np.uint8)
    before = images.copy()
    list(batches_of(images, None, 10, augment="shift_flip"))
    assert np.array_equal(images, before)


@pytest.mark.parametrize(("size", "count"), [(33, 32), (0, 32), (-1, 32), (1, 0)])
def test_a_batch_size_that_makes_no_batch_is_refused(size, count) -> None:
    with pytest.raises(UserError, match=f"batch size {size} given for {count} training images"):
        check_batch_size(size, count)


def test_training_batches_refuse_when_called_not_when_run_through() -> None:
    with pytest.raises(UserError, match="batch size 9"):
        batches_of(*numbered(8), 9)


def test_a_batch_of_all_images_is_allowed() -> None:
    check_batch_size(32, 32)
    assert len(seen(32, 32, 0, 0)) == 32


@settings(max_examples=40, deadline=None)
@given(count=st.integers(1, 40), size=st.integers(1, 50))
def test_evaluation_shows_every_image_once_in_order_and_pads_with_weight_nothing(count, size) -> None:
    images, labels = numbered(count)
    batches = list(evaluation_batches(images, labels, size))
    for batch, batch_labels, weights in batches:
        assert batch.shape == (size, 4, 4, 3)
        assert batch.dtype == np.float32
        assert batch.flags.c_contiguous
        assert batch_labels.shape == weights.shape == (size,)
        assert batch_labels.dtype == np.int32
        assert weights.dtype == np.float32
        assert set(weights.tolist()) <= {0.0, 1.0}
    all_weights = np.concatenate([weights for _, _, weights in batches])
    assert all_weights.sum() == count
    assert np.concatenate([labels for _, labels, _ in batches])[all_weights == 1].tolist() == list(range(count))
