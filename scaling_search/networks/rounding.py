"""The roundings of `scaling_search.rule` for many networks at once, so that their costs can be counted in bulk."""

import numpy as np
from numpy.typing import NDArray

from scaling_search.rule import DIGITS


def round_channels_of_many(channels: int, widths: NDArray[np.float64], divisor: int = 8) -> NDArray[np.int64]:
    """`round_channels` for each of `widths`."""
    exact = np.round(channels * np.asarray(widths, float), DIGITS)
    rounded = np.maximum(divisor, (exact + divisor / 2) // divisor * divisor)
    return np.where(rounded < 0.9 * exact, rounded + divisor, rounded).astype(np.int64)


def round_layers_of_many(layers: int, depths: NDArray[np.float64]) -> NDArray[np.int64]:
    """`round_layers` for each of `depths`."""
    return np.ceil(np.round(layers * np.asarray(depths, float), DIGITS)).astype(np.int64)
