"""AutoAugment and RandAugment: the published operations, drawn as published."""

import numpy as np
import pytest
from PIL import Image

from scaling_search.config import Split
from scaling_search.data import from_arrays, prepare
from scaling_search.data.policy import AUTOAUGMENT, RANDAUGMENT, apply_policy, operate
from scaling_search.errors import UserError
from scaling_search.recipe import Recipe

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)


class Forwards:
    """A generator by which every operation goes the way of its level."""

    def random(self) -> float:
        return 0.0


def operated(name: str, level: float, pixels: np.ndarray = PIXELS) -> np.ndarray:
    return np.asarray(operate(Image.fromarray(pixels), name, level, Forwards()))  # type: ignore[arg-type]


def test_the_policy_for_imagenet_has_25_pairs_of_operations() -> None:
    assert len(AUTOAUGMENT) == 25
    assert AUTOAUGMENT[0] == (("equalize", 0.8, 1), ("shear_y", 0.8, 4))
    assert AUTOAUGMENT[-1] == (("colour", 0.8, 6), ("rotate", 0.4, 5))
    assert all(0 <= chance <= 1 and 0 <= level <= 10 for pair in AUTOAUGMENT for _, chance, level in pair)
    assert len(set(RANDAUGMENT)) == 14


@pytest.mark.parametrize("name", sorted({name for pair in AUTOAUGMENT for name, _, _ in pair} | set(RANDAUGMENT)))
def test_operations_keep_shape_and_type(name) -> None:
    for level in (0, 4.5, 10):
        changed = operated(name, level)
        assert changed.shape == PIXELS.shape
        assert changed.dtype == np.uint8


def test_operations_on_values_are_those_of_the_authors_code() -> None:
    values = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    exact = values.astype(int)
    assert np.array_equal(operated("invert", 5, values), 255 - exact)
    assert np.array_equal(operated("solarize", 4, values), np.where(exact < 102, exact, 255 - exact))
    assert np.array_equal(operated("posterize", 6, values), exact >> 6 << 6)
    assert np.array_equal(
        operated("solarize_add", 3, values), np.where(exact < 128, np.minimum(exact + 33, 255), exact)
    )
    assert np.allclose(operated("brightness", 5, values), exact, atol=1)
    assert np.allclose(operated("brightness", 0, values), exact * 0.1, atol=1)


def test_colour_at_level_0_leaves_a_tenth_of_it() -> None:
    grey = np.asarray(Image.fromarray(PIXELS).convert("L"))[..., None].astype(float)
    assert np.allclose(operated("colour", 0), 0.1 * PIXELS + 0.9 * grey, atol=1)


def test_shapes_move_by_a_share_of_the_image_and_leave_grey_behind() -> None:
    far = round(30 * 150 / 331)
    moved = operated("translate_x", 10)
    assert np.array_equal(moved[:, : 30 - far], PIXELS[:, far:])
    assert (moved[:, 30 - far :] == 128).all()
    assert (operated("rotate", 10)[0, 0] == 128).all()
    sheared = operated("shear_x", 10)
    assert np.array_equal(sheared[0, :10], PIXELS[0, :10])
    assert np.array_equal(sheared[19, :20], PIXELS[19, 6:26])


def test_a_policy_is_a_function_of_the_generator() -> None:
    for policy in ("randaugment", "autoaugment"):
        recipe = Recipe(policy=policy)
        first, again = (
            [apply_policy(PIXELS, recipe, np.random.default_rng(seed)).tobytes() for seed in range(30)]
            for _ in range(2)
        )
        assert first == again
        assert len(set(first)) > 15


def test_images_of_floats_are_refused() -> None:
    data = from_arrays(np.zeros((30, 8, 8, 3), np.float32), np.arange(30) % 2)
    with pytest.raises(UserError, match="autoaugment asked for with images of float32"):
        prepare(data, Split(), 8, "validation", Recipe(policy="autoaugment"))
