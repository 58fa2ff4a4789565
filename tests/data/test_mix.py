"""Mixup, CutMix and Random Erasing."""

import numpy as np
import pytest

from scaling_search.data.mix import erased, mixed
from scaling_search.recipe import Recipe

LABELS = np.arange(6, dtype=np.int32)
IMAGES = np.broadcast_to(10 * LABELS[:, None, None, None], (6, 20, 30, 3)).astype(np.uint8)


def draws(recipe: Recipe, count: int = 200):
    for seed in range(count):
        yield mixed(IMAGES, LABELS, recipe, np.random.default_rng(seed))


def test_mixup_is_the_mean_by_the_share_of_the_labels() -> None:
    for images, labels in draws(Recipe(mixup=0.4), 20):
        assert images.dtype == np.uint8
        expected = 10 * (labels.share * labels.labels + (1 - labels.share) * labels.others)
        assert np.allclose(images, expected[:, None, None, None], atol=0.51)


def test_cutmix_shares_labels_by_the_area() -> None:
    for images, labels in draws(Recipe(cutmix=1.0), 50):
        of_first = (images == 10 * labels.labels[:, None, None, None]).mean(axis=(1, 2, 3))
        other = labels.labels != labels.others
        assert np.allclose(of_first[other], labels.share[other], atol=1e-6)
        assert sorted(labels.others) == sorted(LABELS)


def test_shares_are_beta_and_both_kinds_take_turns() -> None:
    shares = [float(labels.share[0]) for _, labels in draws(Recipe(mixup=0.2), 400)]
    assert np.isclose(np.mean(shares), 0.5, atol=0.06)
    assert np.isclose(np.var(shares), 1 / (4 * (2 * 0.2 + 1)), atol=0.02)
    cuts = [len(np.unique(images[0])) == 2 for images, _ in draws(Recipe(mixup=1.0, cutmix=1.0))]
    assert 0.25 < np.mean(cuts) < 0.6


def test_a_rectangle_of_the_published_sizes_is_erased_with_the_probability() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    areas = []
    for seed in range(400):
        found = (erased(image, np.array([9.6, 9, 9]), Recipe(erasing=0.25), np.random.default_rng(seed)) > 0)[..., 0]
        areas.append(found.mean())
        rows, columns = np.flatnonzero(found.any(1)), np.flatnonzero(found.any(0))
        assert found.sum() == len(rows) * len(columns)
    there = np.array(areas)[np.array(areas) > 0]
    assert 0.18 < len(there) / 400 < 0.32
    assert there.min() > 0.01
    assert there.max() < 0.36
    assert not image.any()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_what_is_erased_is_the_mean(dtype) -> None:
    result = erased(np.zeros((9, 9, 3), dtype), np.array([1.6, 2, 3]), Recipe(erasing=1), np.random.default_rng(0))
    assert set(map(tuple, result.reshape(-1, 3).astype(float).round(3))) == {
        (0, 0, 0),
        (2.0, 2, 3) if dtype == np.uint8 else (1.6, 2, 3),
    }
