"""Pooling over windows, with padding as convolutions have it, and PyTorch's rounding up of sides where asked for.

Images are NHWC.
"""

import jax.numpy as jnp
from flax import nnx
from jax import Array

from scaling_search.networks import ops
from scaling_search.networks.ops import Padding, pads_of
from scaling_search.networks.shifts import Pads


def max_pool(x: Array, window: int, stride: int, padding: Padding = "VALID", *, ceil: bool = False) -> Array:
    """The largest value in each window: (N, H, W, C) -> (N, H', W', C).

    `ceil` keeps a last window that lies only in part on the image (PyTorch's ceil_mode).
    """
    pads = _pads(x, window, stride, padding, ceil)
    if x.dtype == jnp.bfloat16:
        return ops.max_pool(x, window, stride, pads)
    # Networks are named by their program in float32, which stays as it was.
    return nnx.max_pool(x, (window, window), (stride, stride), pads)


def average_pool(
    x: Array, window: int, stride: int, padding: Padding = "VALID", *, count_padding: bool = False, ceil: bool = False
) -> Array:
    """The mean of each window: (N, H, W, C) -> (N, H', W', C).

    Padding counts as zeros with `count_padding` (PyTorch's default); else a window's mean is over pixels of the image.
    """
    pads = _pads(x, window, stride, padding, ceil)
    means = nnx.avg_pool(x, (window, window), (stride, stride), pads, count_include_pad=count_padding)
    # Flax divides by float32 counts.
    return means.astype(x.dtype)


def _pads(x: Array, window: int, stride: int, padding: Padding, ceil: bool) -> Pads:
    pads = pads_of(x.shape, (window, window), stride, padding)
    if not ceil:
        return pads
    more = (
        -(side + before + after - window) % stride for side, (before, after) in zip(x.shape[1:3], pads, strict=True)
    )
    (top, bottom), (left, right) = ((before, after + extra) for (before, after), extra in zip(pads, more, strict=True))
    return (top, bottom), (left, right)
