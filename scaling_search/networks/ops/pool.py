"""The largest value in each window."""

from collections.abc import Iterator
from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
from jax import Array, lax

from scaling_search.networks.lowering import Form, by_platform
from scaling_search.networks.shifts import Pads


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def max_pool(x: Array, window: int, stride: int, pads: Pads) -> Array:
    """The largest value in each window: (N, H, W, C) -> (N, H', W', C).

    A GPU notes which pixel of a window it was, and its gradient gathers where XLA's scatters.
    """
    return _max_pool_forward(x, window, stride, pads)[0]


def _max_pool_forward(x, window, stride, pads):  # type: ignore[no-untyped-def]
    sides = [(side + sum(both) - window) // stride + 1 for side, both in zip(x.shape[1:3], pads, strict=True)]
    shape = (x.shape[0], *sides, x.shape[3])
    own = Form(_largest, (window, stride, pads))
    y, which = by_platform(
        x,
        out=[jax.ShapeDtypeStruct(shape, x.dtype), jax.ShapeDtypeStruct(shape, jnp.uint8)],
        cpu=own,
        plain=own,
        gpu=Form(_largest_and_which, (window, stride, pads)),
    )
    return y, (x, which)


def _max_pool_backward(window, stride, pads, kept, dy):  # type: ignore[no-untyped-def]
    static = (window, stride, pads)
    own = Form(_scattered, static)
    x, _ = kept
    return tuple(by_platform(*kept, dy, out=[x], cpu=own, plain=own, gpu=Form(_gathered, static)))


max_pool.defvjp(_max_pool_forward, _max_pool_backward)


def _windows(x: Array, window: int, stride: int, pads: Pads) -> Array:
    sizes, strides = (1, window, window, 1), (1, stride, stride, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, sizes, strides, ((0, 0), *pads, (0, 0)))


def _largest(x, window, stride, pads):  # type: ignore[no-untyped-def]
    y = _windows(x, window, stride, pads)
    return [y, jnp.zeros(y.shape, jnp.uint8)]


def _scattered(x, which, dy, window, stride, pads):  # type: ignore[no-untyped-def]
    return jax.vjp(lambda x: _windows(x, window, stride, pads), x)[1](dy)


def _largest_and_which(x, window, stride, pads):  # type: ignore[no-untyped-def]
    padded = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=-jnp.inf)
    taps = list(_taps(padded, window, stride))
    y, which = taps[0], jnp.zeros(taps[0].shape, jnp.uint8)
    for index, tap in enumerate(taps[1:], 1):
        # The first of several that are largest, as XLA has it.
        which = jnp.where(tap > y, jnp.uint8(index), which)
        y = jnp.maximum(y, tap)
    return [y, which]


def _taps(padded: Array, window: int, stride: int) -> Iterator[Array]:
    """Each pixel of all windows, (N, H', W', C), row by row."""
    rows, columns = ((side - window) // stride + 1 for side in padded.shape[1:3])
    for row, column in product(range(window), repeat=2):
        yield padded[
            :, row : row + stride * (rows - 1) + 1 : stride, column : column + stride * (columns - 1) + 1 : stride
        ]


def _gathered(x, which, dy, window, stride, pads):  # type: ignore[no-untyped-def]
    dy = dy.astype(jnp.float32)
    dx = jnp.zeros(x.shape, jnp.float32)
    for index, tap in enumerate(product(range(window), repeat=2)):
        mine = jnp.where(which == index, dy, 0)
        ends = [
            (first - before, side - (stride * (count - 1) + 1) - (first - before), stride - 1)
            for first, (before, _), side, count in zip(tap, pads, x.shape[1:3], dy.shape[1:3], strict=True)
        ]
        dx += lax.pad(mine, jnp.float32(0), [(0, 0, 0), *ends, (0, 0, 0)])
    return [dx.astype(x.dtype)]
