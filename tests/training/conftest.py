"""Images that tests of training share."""

import numpy as np
import pytest

from scaling_search.data import from_arrays


def barred_images(count=120, side=12):
    """`count` images of `side` pixels a side, in three classes that differ in where a bright bar lies."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 3
    pixels = rng.integers(0, 120, (count, side, side))
    for label in range(3):
        pixels[labels == label, 3 * label : 3 * label + 3, 2:8] += 130
    return from_arrays(pixels.astype(np.uint8), labels)


@pytest.fixture(scope="module")
def images():
    return barred_images()
