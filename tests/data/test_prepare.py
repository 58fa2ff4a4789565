"""What a network trains on and is judged on."""

import numpy as np
import pytest

from scaling_search.config import Split
from scaling_search.data import ImageData, divide, from_arrays, load, prepare
from scaling_search.errors import UserError


def coloured(dtype: type = np.uint8, *, own_test: bool = False, channels: int = 3) -> ImageData:
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, channels)).astype(dtype)
    labels = np.arange(60) % 3
    return from_arrays(images, labels, test=(images[:9] // 2, labels[:9]) if own_test else None)


def test_digits_become_rgb_of_the_asked_side_and_stay_bytes() -> None:
    prepared = prepare(load("digits"), Split(), 24, "validation")
    assert prepared.train_images.shape == (450, 24, 24, 3)
    assert prepared.eval_images.shape == (988, 24, 24, 3)
    assert prepared.train_images.dtype == prepared.eval_images.dtype == np.uint8
    assert prepared.train_labels.shape == (450,)
    assert prepared.eval_labels.shape == (988,)
    assert (prepared.train_images[..., 0] == prepared.train_images[..., 2]).all()


def test_grey_repeated_three_times_takes_the_memory_of_one() -> None:
    images = prepare(load("digits"), Split(), 24, "validation").train_images
    assert images.strides[-1] == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_mean_and_deviation_are_of_the_training_images_by_channel(dtype) -> None:
    prepared = prepare(coloured(dtype), Split(), 12, "validation")
    assert prepared.mean.shape == prepared.std.shape == (3,)
    assert prepared.mean.dtype == prepared.std.dtype == np.float32
    assert np.allclose(prepared.mean, prepared.train_images.mean(axis=(0, 1, 2), dtype=float), rtol=1e-5)
    assert np.allclose(prepared.std, prepared.train_images.std(axis=(0, 1, 2), dtype=float), rtol=1e-5)


def test_images_too_many_for_one_pass_in_memory_are_measured_alike() -> None:
    prepared = prepare(coloured(), Split(), 400, "validation")
    assert np.allclose(prepared.mean, prepared.train_images.mean(axis=(0, 1, 2)), rtol=1e-5)
    assert np.allclose(prepared.std, prepared.train_images.std(axis=(0, 1, 2)), rtol=1e-5)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e30])
def test_a_channel_that_never_varies_has_deviation_one(value) -> None:
    images = np.random.default_rng(0).random((30, 4, 4, 3)).astype(np.float32)
    images[..., 1] = value
    prepared = prepare(from_arrays(images, np.arange(30) % 2), Split(), 4, "validation")
    assert prepared.std[1] == 1
    assert prepared.std[0] < 1


@pytest.mark.parametrize("evaluate", ["validation", "test"])
def test_the_judging_part_is_the_one_asked_for(evaluate) -> None:
    data = coloured()
    division = divide(data, Split())
    prepared = prepare(data, Split(), 8, evaluate)
    indices = division.validation if evaluate == "validation" else division.test
    assert np.array_equal(prepared.eval_images, data.images[indices])
    assert np.array_equal(prepared.eval_labels, data.labels[indices])
    assert np.array_equal(prepared.train_images, data.images[division.train])


def test_data_with_a_test_split_are_judged_on_that() -> None:
    data = coloured(own_test=True)
    prepared = prepare(data, Split(), 8, "test")
    assert np.array_equal(prepared.eval_images, data.test_images)
    assert np.array_equal(prepared.eval_labels, data.test_labels)


def test_judging_on_validation_gives_the_same_whatever_the_test_images_are() -> None:
    data = coloured()
    division = divide(data, Split())
    spoilt = data.images.copy()
    spoilt[division.test] = 255
    before = prepare(data, Split(), 12, "validation")
    after = prepare(from_arrays(spoilt, data.labels), Split(), 12, "validation")
    for name in ("train_images", "eval_images", "mean", "std"):
        assert np.array_equal(getattr(before, name), getattr(after, name))


def test_a_misspelt_part_is_refused_rather_than_taken_for_the_test_part() -> None:
    with pytest.raises(UserError, match="'val'"):
        prepare(coloured(), Split(), 8, "val")  # type: ignore[arg-type]
