"""The largest value in each window of an image."""

from functools import partial

import jax
from flax import nnx
from jax import Array

from scaling_search.native import calls
from scaling_search.networks.lowering import Form, by_platform, takes_native
from scaling_search.networks.shifts import Pads


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def max_pool(x: Array, window: int, stride: int, pads: Pads) -> Array:
    """The largest value in each window of x (N, H, W, C), padded: (N, H', W', C).

    Of equal values in a window the first has its gradient.
    """
    out = jax.eval_shape(partial(_largest, window=window, stride=stride, pads=pads), x)
    static = (window, stride, pads)
    return by_platform(x, out=out, cpu=Form(_largest_on_cpu, static), plain=Form(_largest, static))[0]


def _backward(window, stride, pads, kept, dy):  # type: ignore[no-untyped-def]
    static = (window, stride, pads)
    forms = {"cpu": Form(_gradient_on_cpu, static), "plain": Form(_gradient, static)}
    return tuple(by_platform(*kept, dy, out=kept[:1], **forms))


def _forward(x, *static):  # type: ignore[no-untyped-def]
    y = max_pool(x, *static)
    return y, (x, y)


max_pool.defvjp(_forward, _backward)


def _largest(x, window, stride, pads):  # type: ignore[no-untyped-def]
    return [nnx.max_pool(x, (window, window), (stride, stride), pads)]


def _largest_on_cpu(x, window, stride, pads):  # type: ignore[no-untyped-def]
    if not takes_native(x):
        return _largest(x, window, stride, pads)
    shape = jax.eval_shape(lambda x: _largest(x, window, stride, pads)[0], x).shape
    return [calls.max_pool(x, shape, window, stride, pads)]


def _gradient(x, y, dy, *static):  # type: ignore[no-untyped-def]
    return jax.vjp(lambda x: _largest(x, *static)[0], x)[1](dy)


def _gradient_on_cpu(x, y, dy, *static):  # type: ignore[no-untyped-def]
    return [calls.max_pool_gradient(x, y, dy, *static)] if takes_native(x, dy) else _gradient(x, y, dy, *static)
