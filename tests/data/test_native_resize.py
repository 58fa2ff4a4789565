"""Resizing by the native library beside Pillow's own."""

import numpy as np
import pytest
from PIL import Image

from scaling_search.native import resize as native_resize
from scaling_search.native.resize import resize

needs_library = pytest.mark.skipif(native_resize._library() is None, reason="no native library")


def random_box(width, height, rng):
    left, top = rng.uniform(0, width - 1), rng.uniform(0, height - 1)
    right, bottom = rng.uniform(left + 0.5, width), rng.uniform(top + 0.5, height)
    return tuple(map(int, (left, top, right + 1, bottom + 1))) if rng.random() < 0.5 else (left, top, right, bottom)


def by_pillow(image, side, box, by):
    return np.asarray(image.resize((side, side), by, box=box)).reshape(side, side, -1)


@needs_library
@pytest.mark.parametrize("by", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC])
@pytest.mark.parametrize("channels", [1, 3])
def test_is_pillows_to_the_last_bit(by, channels):
    rng = np.random.default_rng(0)
    for _ in range(150):
        width, height, side = (int(size) for size in rng.integers(1, (200, 200, 80)))
        # Extremes overshoot, so that bicubic values are clipped.
        pixels = (
            rng.choice([0, 255], (height, width, 3))
            if rng.random() < 0.3
            else rng.integers(256, size=(height, width, 3))
        )
        image = Image.fromarray(pixels.astype(np.uint8))
        image = image if channels == 3 else image.getchannel("R")
        box = random_box(width, height, rng)
        np.testing.assert_array_equal(resize(image, side, box, by), by_pillow(image, side, box, by))


@needs_library
def test_a_box_outside_is_refused_as_pillow_does():
    image = Image.new("RGB", (40, 30))
    for box in ((-1, 0, 10, 10), (0, 0, 41, 30), (10, 0, 10, 10)):
        with pytest.raises(ValueError):
            resize(image, 8, box, Image.Resampling.BILINEAR)


def test_pillow_resizes_where_there_is_no_library(monkeypatch):
    monkeypatch.setattr(native_resize, "_library", lambda: None)
    image = Image.fromarray(np.arange(40 * 30, dtype=np.uint8).reshape(30, 40))
    box, by = (3.5, 0, 20, 30), Image.Resampling.BICUBIC
    np.testing.assert_array_equal(resize(image, 8, box, by), by_pillow(image, 8, box, by))
