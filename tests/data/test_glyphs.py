"""Made glyphs: the same everywhere, evenly spread over their classes, and told apart by detail of every size."""

import hashlib

import numpy as np
import pytest

from scaling_search.config import Split
from scaling_search.data import divide, glyphs, load, resize
from scaling_search.data.glyphs import CLASSES, CLUTTERED, PLAIN, make
from scaling_search.errors import UserError


def test_the_same_images_are_made_on_every_machine() -> None:
    images, labels = make(64, style=CLUTTERED)
    assert images.shape == (64, 64, 64)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int32
    assert hashlib.sha256(images.tobytes()).hexdigest()[:12] == "dd71d4874ee6"
    assert load("cluttered_glyphs:128").identity == "cluttered_glyphs:5de50942e42b"
    assert load("glyphs:128").identity == "glyphs:15af5b470117"


def test_an_image_is_the_same_however_many_are_made_and_another_for_another_seed() -> None:
    few, many = make(5)[0], make(40)[0]
    assert np.array_equal(few, many[:5])
    assert not (few == make(5, seed=1)[0]).all(axis=(1, 2)).any()


def test_no_two_images_are_alike() -> None:
    images = make(320)[0]
    assert len({image.tobytes() for image in images}) == 320


def test_as_many_as_are_asked_for_evenly_over_32_classes() -> None:
    data = load("glyphs:200")
    assert len(data.images) == 200
    assert data.classes == CLASSES
    assert len(set(CLASSES)) == 32
    assert set(np.bincount(data.labels)) == {6, 7}
    division = divide(load("cluttered_glyphs:320"), Split())
    assert division.test is not None
    assert (len(division.train), len(division.validation), len(division.test)) == (128, 128, 64)


@pytest.mark.parametrize("count", ["", "0", "-5", "100", "many", "1e3", "1.5"])
def test_a_count_that_makes_no_data_set_is_refused(count) -> None:
    with pytest.raises(UserError, match=f"data 'glyphs:{count}' given; .*128 or more; try glyphs:3000"):
        load(f"glyphs:{count}")


def apart(other: int, side: int, style: glyphs.Style) -> float:
    """How much a class differs from class 0 at a resolution, where all else is drawn alike: mean squared difference."""
    differences = []
    for number in range(8):
        random = glyphs._random(0, number, glyphs._DRAWS + 64 * 64 // 2)
        pair = [glyphs._image(label, random, style) for label in (0, other)]
        differences.append(np.diff(resize(np.stack(pair)[..., None], side).astype(float), axis=0))
    return float((np.stack(differences) ** 2).mean())


@pytest.mark.parametrize("style", [PLAIN, CLUTTERED])
def test_the_smaller_the_feature_the_less_of_it_is_left_at_low_resolution(style) -> None:
    mark, gap, outline = 1, 2, 8
    assert apart(mark, 16, style) < apart(gap, 16, style) < apart(outline, 16, style)
    shares = [apart(mark, side, style) / apart(mark, 64, style) for side in (32, 24, 16, 8)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] < 0.8
    assert shares[2] < 0.45
    assert shares[3] < 0.15
