"""Sums over all but the last axis, in the form that XLA compiles best for a CPU."""

import jax.numpy as jnp
from jax import Array, lax

ADDED_AT_ONCE = 64
"""More terms than this XLA's loop does not write out, and then it has no whole rows inside."""


def channel_sums(*arrays: Array) -> list[Array]:
    """The sums of arrays of one shape (N, ..., C) over all but their last axis, each (C,).

    Where XLA sums up rows it first writes to memory what is summed, and reads it again for each sum. So parts of the
    images are added to each other first, by a loop that computes what it adds, for all arrays at once.
    """
    images, most = arrays[0].shape[0], ADDED_AT_ONCE // len(arrays)
    parts = max(parts for parts in range(1, most + 1) if images % parts == 0)
    added = [array.reshape(parts, images // parts, *array.shape[1:]) for array in arrays]
    if parts > 1:
        zeros = [jnp.zeros((), array.dtype) for array in arrays]
        added = lax.reduce(added, zeros, lambda sums, more: [a + b for a, b in zip(sums, more, strict=True)], (0,))
    return [array.reshape(-1, array.shape[-1]).sum(0) for array in added]
