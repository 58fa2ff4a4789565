"""Augmentation: what may change and what may not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_search.data import augment, draw_moves, reach
from scaling_search.errors import UserError
from scaling_search.recipe import Recipe


def noise(count: int = 40, side: int = 32, channels: int = 3, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, channels)).astype(dtype)


def moved(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """The image moved by whole pixels, its border repeated, one pixel at a time."""
    height, width, _ = image.shape
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    return image[rows][:, columns]


@settings(max_examples=30, deadline=None)
@given(
    kind=st.sampled_from(["none", "shift", "shift_flip"]),
    side=st.integers(1, 40),
    channels=st.sampled_from([1, 3]),
    dtype=st.sampled_from([np.uint8, np.float32]),
)
def test_shape_and_type_are_kept_and_the_images_given_are_left_alone(kind, side, channels, dtype) -> None:
    images = noise(5, side, channels, dtype)
    before = images.copy()
    changed = augment(images, Recipe(augment=kind), np.random.default_rng(0))
    assert changed.shape == images.shape
    assert changed.dtype == images.dtype
    assert np.array_equal(images, before)
    assert set(np.unique(changed)) <= set(np.unique(images))


def test_none_changes_nothing() -> None:
    images = noise()
    assert np.array_equal(augment(images, Recipe(augment="none"), np.random.default_rng(0)), images)


@pytest.mark.parametrize("kind", ["shift", "shift_flip"])
def test_every_image_is_itself_moved_by_at_most_an_eighth_and_mirrored_only_where_asked(kind) -> None:
    images = noise(side=16)
    found = set()
    for image, changed in zip(images, augment(images, Recipe(augment=kind), np.random.default_rng(0)), strict=True):
        candidates = {
            (down, right, flip): moved(image, down, right)[:, :: -1 if flip else 1]
            for down in range(-2, 3)
            for right in range(-2, 3)
            for flip in ((False, True) if kind == "shift_flip" else (False,))
        }
        matches = [key for key, candidate in candidates.items() if np.array_equal(candidate, changed)]
        assert len(matches) == 1
        found.add(matches[0])
    assert {down for down, _, _ in found} == {right for _, right, _ in found} == {-2, -1, 0, 1, 2}
    assert {flip for _, _, flip in found} == ({False, True} if kind == "shift_flip" else {False})


def test_about_half_the_images_are_mirrored() -> None:
    images = noise(400, 4)
    changed = augment(images, Recipe(augment="shift_flip", shift=0), np.random.default_rng(0))
    assert 150 < (changed != images).any(axis=(1, 2, 3)).sum() < 250


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"'flip'.*none, shift, shift_flip, crop, crop_flip"):
        Recipe(augment="flip")  # type: ignore[arg-type]


def shares(side: int, shift: float | None = 0.125) -> dict[int, float]:
    """How often an image is moved by how many pixels."""
    moves = draw_moves(200_000, side, side, Recipe(augment="shift", shift=shift), np.random.default_rng(0))
    pixels, counts = np.unique(moves.rows - reach(side, shift), return_counts=True)
    return dict(zip(pixels.tolist(), (counts / 200_000).tolist(), strict=True))


@pytest.mark.parametrize("side", [3, 8, 16, 18, 20, 23, 28, 33])
def test_the_spread_of_shifts_is_a_share_of_the_side_and_does_not_jump(side) -> None:
    found, exact = shares(side), side / 8
    inside = [share for pixels, share in found.items() if abs(pixels) <= exact]
    assert np.allclose(inside, 1 / (2 * exact + 1), atol=0.004)
    beyond = [share for pixels, share in found.items() if abs(pixels) > exact]
    assert np.isclose(sum(beyond), 2 * (exact % 1) / (2 * exact + 1), atol=0.004)


def test_older_runs_shift_by_an_eighth_in_whole_pixels() -> None:
    assert sorted(shares(23, None)) == [-2, -1, 0, 1, 2]
    old, new = (
        draw_moves(9, 16, 16, Recipe(augment="shift", shift=shift), np.random.default_rng(0)) for shift in (None, 0.125)
    )
    assert np.array_equal(old.rows, new.rows)
    assert np.array_equal(old.columns, new.columns)
