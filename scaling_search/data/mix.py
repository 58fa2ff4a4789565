"""Images and labels mixed in pairs, and rectangles erased: Mixup, CutMix, Random Erasing."""

from typing import NamedTuple

import numpy as np

from scaling_search.recipe import Recipe

_ERASED_AREA = (0.02, 1 / 3)
_ERASED_ASPECT = (0.3, 1 / 0.3)


class Mixed(NamedTuple):
    """The labels of images that are two in one."""

    labels: np.ndarray
    """(B,) int32."""
    others: np.ndarray
    """(B,) int32: of the image that each was mixed with."""
    share: np.ndarray
    """(B,) float32: how much of it is the first."""


def mixed(images: np.ndarray, labels: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> tuple[np.ndarray, Mixed]:
    """A batch (B, H, W, C) mixed with itself in another order, by one share for all.

    "mixup" (Zhang et al., 2018): the weighted mean of both images. "CutMix" (Yun et al., 2019): a rectangle of the
    other. With both, one of them at random.
    """
    order = rng.permutation(len(images))
    cuts = recipe.cutmix > 0 and (recipe.mixup == 0 or rng.random() < 0.5)
    alpha = recipe.cutmix if cuts else recipe.mixup
    share = rng.beta(alpha, alpha)
    if cuts:
        rows, columns = _rectangle(images.shape[1:3], np.sqrt(1 - share), rng)
        result = images.copy()
        result[:, rows, columns] = images[order][:, rows, columns]
        pixels = images.shape[1] * images.shape[2]
        share = 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / pixels
    else:
        both = share * images.astype(np.float32) + (1 - share) * images[order].astype(np.float32)
        result = (np.rint(both) if images.dtype == np.uint8 else both).astype(images.dtype)
    return result, Mixed(labels, labels[order], np.full(len(images), share, np.float32))


def _rectangle(sides: tuple[int, ...], share: float, rng: np.random.Generator) -> tuple[slice, slice]:
    """Rows and columns of a rectangle whose sides are a share of the image's; what lies outside is cut off."""

    def along(side: int) -> slice:
        centre, half = rng.integers(side), side * share / 2
        return slice(max(0, round(centre - half)), min(side, round(centre + half)))

    return along(sides[0]), along(sides[1])


def erased(image: np.ndarray, mean: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) with a rectangle set to `mean` (3,), with the recipe's probability.

    "Random Erasing" (Zhong et al., 2020) with its mean value: 2 % to a third of the area, sides up to 0.3 to 1.
    """
    if not rng.random() < recipe.erasing:
        return image
    height, width = image.shape[:2]
    area = rng.uniform(*_ERASED_AREA)
    aspect = np.exp(rng.uniform(*np.log(_ERASED_ASPECT)))
    down, across = (
        min(side, max(1, round(side * np.sqrt(area * factor))))
        for side, factor in ((height, aspect), (width, 1 / aspect))
    )
    top, left = rng.integers(height - down, endpoint=True), rng.integers(width - across, endpoint=True)
    result = image.copy()
    result[top : top + down, left : left + across] = np.rint(mean) if image.dtype == np.uint8 else mean
    return result
