"""The largest value in each window of an image."""

from collections.abc import Iterator
from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array, lax

from scaling_search.native import calls
from scaling_search.networks.lowering import Form, by_platform, in_float32, takes_native
from scaling_search.networks.shifts import Pads


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def max_pool(x: Array, window: int, stride: int, pads: Pads) -> Array:
    """The largest value in each window of x (N, H, W, C), padded: (N, H', W', C).

    Of equal values in a window the first has its gradient. In bfloat16 a GPU notes which pixel of a window it was, and
    its gradient gathers where XLA's scatters.
    """
    return _forward(x, window, stride, pads)[0]


def _forward(x, window, stride, pads):  # type: ignore[no-untyped-def]
    static = (window, stride, pads)
    out = jax.eval_shape(lambda x: _largest(x, *static), x)
    forms = {"cpu": Form(_largest_on_cpu, static), "plain": Form(_largest, static)}
    if x.dtype == jnp.bfloat16:
        forms["gpu"] = Form(_largest_and_which, static)
    y, *which = by_platform(x, out=out, **forms)
    return y, (x, y, *which)


def _backward(window, stride, pads, kept, dy):  # type: ignore[no-untyped-def]
    static = (window, stride, pads)
    forms = {"cpu": Form(_gradient_on_cpu, static), "plain": Form(_gradient, static)}
    if kept[0].dtype == jnp.bfloat16:
        forms["gpu"] = Form(_gathered, static)
    return tuple(by_platform(*kept, dy, out=kept[:1], **forms))


max_pool.defvjp(_forward, _backward)


def _of_windows(x: Array, window: int, stride: int, pads: Pads) -> Array:
    return nnx.max_pool(x, (window, window), (stride, stride), pads)


def _with_which(y: Array, x: Array) -> list[Array]:
    """A result for x, and in bfloat16 room for what a GPU notes."""
    return [y, jnp.zeros(y.shape, jnp.uint8)] if x.dtype == jnp.bfloat16 else [y]


def _largest(x, *static):  # type: ignore[no-untyped-def]
    return _with_which(_of_windows(x, *static), x)


def _largest_on_cpu(x, *static):  # type: ignore[no-untyped-def]
    return _with_which(_native_or_plain(x, *static)[0], x)


@in_float32
def _native_or_plain(x, window, stride, pads):  # type: ignore[no-untyped-def]
    plain = partial(_of_windows, window=window, stride=stride, pads=pads)
    return [calls.max_pool(x, jax.eval_shape(plain, x).shape, window, stride, pads) if takes_native(x) else plain(x)]


def _gradient(x, y, *rest):  # type: ignore[no-untyped-def]
    *_, dy, window, stride, pads = rest
    return jax.vjp(lambda x: _of_windows(x, window, stride, pads), x)[1](dy)


@in_float32
def _gradient_on_cpu(x, y, *rest):  # type: ignore[no-untyped-def]
    *_, dy, window, stride, pads = rest
    return [calls.max_pool_gradient(x, y, dy, window, stride, pads)] if takes_native(x, dy) else _gradient(x, y, *rest)


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


def _gathered(x, y, which, dy, window, stride, pads):  # type: ignore[no-untyped-def]
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
