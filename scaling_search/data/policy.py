"""AutoAugment and RandAugment: random changes of an image's colours and shape.

"AutoAugment" (Cubuk et al., 2019): its policy for ImageNet in the form that EfficientNet was trained with, policy v0 of
the authors' code. "RandAugment" (Cubuk et al., 2020): the paper's 14 operations, two for each image.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from scaling_search.recipe import Recipe

if TYPE_CHECKING:
    from PIL import Image

    Operation = Callable[[Image.Image, float], Image.Image]

_GREY = (128, 128, 128)
_MOST = 10.0
OPERATIONS_PER_IMAGE = 2
"""RandAugment's N, with which the paper trained EfficientNet."""

AUTOAUGMENT = tuple(
    tuple((name, float(chance), float(level)) for name, chance, level in zip(*[iter(row.split())] * 3, strict=True))
    for row in """
    equalize 0.8 1 shear_y 0.8 4
    colour 0.4 9 equalize 0.6 3
    colour 0.4 1 rotate 0.6 8
    solarize 0.8 3 equalize 0.4 7
    solarize 0.4 2 solarize 0.6 2
    colour 0.2 0 equalize 0.8 8
    equalize 0.4 8 solarize_add 0.8 3
    shear_x 0.2 9 rotate 0.6 8
    colour 0.6 1 equalize 1.0 2
    invert 0.4 9 rotate 0.6 0
    equalize 1.0 9 shear_y 0.6 3
    colour 0.4 7 equalize 0.6 0
    posterize 0.4 6 autocontrast 0.4 7
    solarize 0.6 8 colour 0.6 9
    solarize 0.2 4 rotate 0.8 9
    rotate 1.0 7 translate_y 0.8 9
    shear_x 0.0 0 solarize 0.8 4
    shear_y 0.8 0 colour 0.6 4
    colour 1.0 0 rotate 0.6 2
    equalize 0.8 4 equalize 0.0 8
    equalize 1.0 4 autocontrast 0.6 2
    shear_y 0.4 7 solarize_add 0.6 7
    posterize 0.8 2 solarize 0.6 10
    solarize 0.6 8 equalize 0.6 1
    colour 0.8 6 rotate 0.4 5
    """.strip().splitlines()
)
"""Pairs of (operation, probability, level of 10), of which each image gets one at random."""
RANDAUGMENT = (
    *("identity", "autocontrast", "equalize", "rotate", "solarize", "colour", "posterize"),
    *("contrast", "brightness", "sharpness", "shear_x", "shear_y", "translate_x", "translate_y"),
)
"""The operations of RandAugment."""


def apply_policy(image: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) uint8 -> the same, changed by the recipe's policy as `rng` decides."""
    if recipe.policy == "none":
        return image
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(image))
    if recipe.policy == "autoaugment":
        for name, chance, level in AUTOAUGMENT[rng.integers(len(AUTOAUGMENT))]:
            if rng.random() < chance:
                picture = operate(picture, name, level, rng)
    else:
        for number in rng.integers(len(RANDAUGMENT), size=OPERATIONS_PER_IMAGE):
            picture = operate(picture, RANDAUGMENT[number], recipe.magnitude, rng)
    return np.asarray(picture)


def operate(picture: "Image.Image", name: str, level: float, rng: np.random.Generator) -> "Image.Image":
    """An RGB picture after one operation at a level of 0 to 10; half of what has a direction goes the other way."""
    share = level / _MOST
    if name in _DIRECTED:
        return _DIRECTED[name](picture, share if rng.random() < 0.5 else -share)
    return _DIRECTLESS[name](picture, share)


def _affine(picture: "Image.Image", *matrix: float) -> "Image.Image":
    from PIL import Image

    # By the nearest pixel, as the authors' code has it.
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST, fillcolor=_GREY)


def _rotate(picture: "Image.Image", share: float) -> "Image.Image":
    from PIL import Image

    return picture.rotate(30 * share, Image.Resampling.NEAREST, fillcolor=_GREY)


def _enhanced(kind: str) -> "Operation":
    def enhance(picture: "Image.Image", share: float) -> "Image.Image":
        from PIL import ImageEnhance

        return getattr(ImageEnhance, kind)(picture).enhance(1.8 * share + 0.1)

    return enhance


def _from_ops(name: str) -> "Operation":
    def operation(picture: "Image.Image", share: float) -> "Image.Image":
        from PIL import ImageOps

        return getattr(ImageOps, name)(picture)

    return operation


def _solarize(picture: "Image.Image", share: float) -> "Image.Image":
    from PIL import ImageOps

    return ImageOps.solarize(picture, int(256 * share))


def _posterize(picture: "Image.Image", share: float) -> "Image.Image":
    kept = 256 - 2 ** (8 - int(4 * share))
    return picture.point([value & kept for value in range(256)] * 3)


def _solarize_add(picture: "Image.Image", share: float) -> "Image.Image":
    added = int(110 * share)
    return picture.point([min(value + added, 255) if value < 128 else value for value in range(256)] * 3)


# 150 of 331 pixels at most, as in the search for the policy.
_FURTHEST = 150 / 331
_DIRECTED: "dict[str, Operation]" = {
    "rotate": _rotate,
    "shear_x": lambda picture, share: _affine(picture, 1, 0.3 * share, 0, 0, 1, 0),
    "shear_y": lambda picture, share: _affine(picture, 1, 0, 0, 0.3 * share, 1, 0),
    "translate_x": lambda picture, share: _affine(picture, 1, 0, _FURTHEST * share * picture.width, 0, 1, 0),
    "translate_y": lambda picture, share: _affine(picture, 1, 0, 0, 0, 1, _FURTHEST * share * picture.height),
}
_DIRECTLESS: "dict[str, Operation]" = {
    "identity": lambda picture, share: picture,
    "autocontrast": _from_ops("autocontrast"),
    "equalize": _from_ops("equalize"),
    "invert": _from_ops("invert"),
    "colour": _enhanced("Color"),
    "contrast": _enhanced("Contrast"),
    "brightness": _enhanced("Brightness"),
    "sharpness": _enhanced("Sharpness"),
    "posterize": _posterize,
    "solarize": _solarize,
    "solarize_add": _solarize_add,
}
