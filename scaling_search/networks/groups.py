"""The kernel of a grouped convolution as dense ones of several groups each, which a CPU computes faster."""

import jax.numpy as jnp
from jax import Array

from scaling_search.native import choice


def groups_of_block(kernel: tuple[int, ...], groups: int) -> int:
    """How many groups make a block: as many as fit into a register's channels, so that none is computed alone."""
    most = max(1, choice.BLOCK // max(kernel[2], kernel[3] // groups))
    return max(count for count in range(1, most + 1) if groups % count == 0)


def joined(kernel: Array, groups: int) -> Array:
    """A grouped kernel (K, K, C / groups, F) as dense ones of several groups each, (B, K, K, C / B, F / B)."""
    rows, columns, channels, features = kernel.shape
    each = groups_of_block(kernel.shape, groups)
    parts = kernel.reshape(rows, columns, channels, groups // each, each, features // groups)
    # Zero where a channel and a feature are of different groups.
    apart = jnp.eye(each, dtype=kernel.dtype)[:, None, :, None] * parts.transpose(3, 0, 1, 2, 4, 5)[:, :, :, None]
    return apart.reshape(groups // each, rows, columns, each * channels, features // groups * each)


def taken_apart(blocks: Array, kernel: tuple[int, ...], groups: int) -> Array:
    """The parts of `joined` kernels, or of their gradients, that belong to one group: (K, K, C / groups, F)."""
    rows, columns, channels, features = kernel
    each = groups_of_block(kernel, groups)
    parts = blocks.reshape(groups // each, rows, columns, each, channels, each, features // groups)
    own = jnp.stack([parts[:, :, :, n, :, n] for n in range(each)], 4)
    return own.transpose(1, 2, 3, 0, 4, 5).reshape(kernel)
