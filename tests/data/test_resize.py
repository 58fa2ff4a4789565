"""Resizing: shape, type and brightness."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from scaling_search.data import resize
from scaling_search.errors import UserError


def noise(*shape: int, low: int = 0, high: int = 256) -> np.ndarray:
    return np.random.default_rng(0).integers(low, high, shape).astype(np.uint8)


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    side=st.integers(1, 30),
    channels=st.sampled_from([1, 3]),
    dtype=st.sampled_from([np.uint8, np.float32]),
)
def test_any_size_becomes_a_square_of_the_same_type(height, width, side, channels, dtype) -> None:
    images = noise(2, height, width, channels).astype(dtype)
    resized = resize(images, side)
    assert resized.shape == (2, side, side, channels)
    assert resized.dtype == dtype


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("side", [5, 40])
def test_an_even_image_stays_even(dtype, side) -> None:
    images = np.full((1, 8, 12, 3), 200, dtype)
    assert np.allclose(resize(images, side), 200, atol=1e-3)


def test_an_image_of_the_right_size_is_returned_as_it_is() -> None:
    images = np.zeros((2, 8, 8, 1), np.uint8)
    assert resize(images, 8) is images


def test_shrinking_averages_so_that_a_fine_pattern_becomes_grey() -> None:
    board = np.indices((32, 32)).sum(0) % 2 * 255
    shrunk = resize(board[None, ..., None].astype(np.uint8), 4)
    assert np.abs(shrunk.astype(int) - 127).max() <= 3


@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_and_floats_agree_to_rounding(channels) -> None:
    images = noise(2, 10, 10, channels, low=60, high=200)
    assert np.abs(resize(images, 16) - resize(images.astype(np.float32), 16)).max() < 2


def test_colours_stay_in_their_channels() -> None:
    images = noise(2, 9, 9, 3)
    by_channel = [resize(images[..., channel : channel + 1], 12) for channel in range(3)]
    assert np.array_equal(resize(images, 12), np.concatenate(by_channel, axis=-1))


def test_it_is_the_bicubic_of_pillow() -> None:
    image = noise(8, 8)
    expected = np.asarray(Image.fromarray(image).resize((20, 20), Image.Resampling.BICUBIC))
    assert np.array_equal(resize(image[None, ..., None], 20)[0, ..., 0], expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("turned", [False, True])
def test_the_aspect_is_kept_and_the_middle_of_the_longer_side_taken(dtype, turned) -> None:
    image = noise(12, 20).astype(dtype)
    image = image.T if turned else image
    middle = image[4:16] if turned else image[:, 4:16]
    assert np.array_equal(resize(image[None, ..., None], 12)[0, ..., 0], middle)


def test_a_side_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="side 0"):
        resize(np.zeros((1, 8, 8, 1), np.uint8), 0)
