"""Batch norm with its activation, by given statistics or by the batch's own."""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from scaling_search.native import calls
from scaling_search.networks import shifts
from scaling_search.networks.lowering import Form, by_platform, takes_native
from scaling_search.networks.ops.activation import Activation, activate, activation_gradient, sigmoid_by_tanh
from scaling_search.networks.sums import channel_sums

LARGE = 2**20
"""Elements of an array from which it takes a GPU longer to read it than to be told to."""


@partial(jax.custom_vjp, nondiff_argnums=(5, 6))
def _batch_norm(
    x: Array, scale: Array, bias: Array, mean: Array, variance: Array, epsilon: float, activation: Activation
) -> Array:
    static = (epsilon, activation)
    forms = {"cpu": Form(_normalise_on_cpu, static), "plain": Form(_normalise, static)}
    return by_platform(x, scale, bias, mean, variance, out=[x], **forms)[0]


def batch_norm(
    x: Array, scale: Array, bias: Array, mean: Array, variance: Array, *, epsilon: float, activation: Activation
) -> Array:
    """Normalises x (..., C) with given statistics (C,), then applies the activation: for evaluation."""
    return _batch_norm(x, scale, bias, mean, variance, epsilon, activation)


@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def batch_norm_train(
    x: Array, scale: Array, bias: Array, epsilon: float, activation: Activation
) -> tuple[Array, Array, Array]:
    """Normalises x (..., C) with its own statistics, then applies the activation: for training.

    Returns the result, and the batch's mean and (biased) variance, both (C,) float32, through which no gradient flows.
    The statistics take one pass over x; the gradient recomputes the activation rather than keep its input.
    """
    return _batch_norm_forward(x, scale, bias, epsilon, activation)[0]


def _affine(x: Array, factor: Array, offset: Array) -> Array:
    # In float32: of bfloat16's eight bits the difference of two large terms would keep none.
    return (x.astype(shifts.wide(x)) * factor + offset).astype(x.dtype)


def _channel_sum(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1]).astype(jnp.float32).sum(0)


def _channel_sums(one: Array, other: Array) -> tuple[Array, Array]:
    """The sums over all but the last axis of two arrays (..., C), in float32; in one kernel on a GPU."""
    rows = [array.reshape(-1, array.shape[-1]).astype(jnp.float32) for array in (one, other)]
    zero = jnp.float32(0)
    total, of_other = lax.reduce(rows, [zero, zero], lambda sums, more: [sums[0] + more[0], sums[1] + more[1]], (0,))
    return total, of_other


def _batch_norm_forward(x, scale, bias, epsilon, activation):  # type: ignore[no-untyped-def]
    vector = jax.ShapeDtypeStruct(scale.shape, jnp.float32)
    static = (epsilon, activation)
    y, mean, variance = by_platform(
        *(x, scale, bias),
        out=[x, vector, vector],
        cpu=Form(_normalise_by_own_on_cpu, static),
        plain=Form(_normalise_by_own, static),
        gpu=Form(_normalise_by_own_on_gpu, static),
    )
    return (y, mean, variance), (x, scale, bias, mean, variance)


def _normalise(x, scale, bias, mean, variance, epsilon, activation, sigmoid=lax.logistic):  # type: ignore[no-untyped-def]
    factor = scale * lax.rsqrt(variance + epsilon)
    return [activate(_affine(x, factor, bias - mean * factor), activation, sigmoid)]


def _normalise_on_cpu(x, scale, bias, mean, variance, epsilon, activation):  # type: ignore[no-untyped-def]
    if takes_native(scale, bias, mean, variance, images=[x]):
        return [calls.normalise(x, scale, bias, mean, variance, epsilon, activation)]
    return _normalise(x, scale, bias, mean, variance, epsilon, activation, sigmoid_by_tanh)


def _normalise_by_own(x, scale, bias, epsilon, activation):  # type: ignore[no-untyped-def]
    count = x.size // x.shape[-1]
    wide = x.astype(jnp.float32)
    mean = _channel_sum(wide) / count
    variance = jnp.maximum(_channel_sum(wide * wide) / count - mean * mean, 0)
    return *_normalise(x, scale, bias, mean, variance, epsilon, activation), mean, variance


def _moments(x: Array, channel_sums: Callable[[Array, Array], Sequence[Array]]) -> tuple[Array, Array]:
    """The mean and variance of each channel in one pass over x (..., C), each (C,) float32."""
    count = x.size // x.shape[-1]
    wide = x.astype(jnp.float32)
    total, squares = channel_sums(wide, wide * wide)
    mean = total / count
    return mean, jnp.maximum(squares / count - mean * mean, 0)


def _normalise_by_own_on_gpu(x, scale, bias, epsilon, activation):  # type: ignore[no-untyped-def]
    mean, variance = _moments(x, _channel_sums)
    return *_normalise(x, scale, bias, mean, variance, epsilon, activation), mean, variance


def _normalise_by_own_on_cpu(x, scale, bias, epsilon, activation):  # type: ignore[no-untyped-def]
    if takes_native(scale, bias, images=[x]):
        return calls.batch_norm(x, scale, bias, epsilon, activation)
    mean, variance = _moments(x, channel_sums)
    return *_normalise(x, scale, bias, mean, variance, epsilon, activation, sigmoid_by_tanh), mean, variance


def batch_norm_gradient(
    x: Array, scale: Array, bias: Array, mean: Array, variance: Array, dy: Array, epsilon: float, activation: Activation
) -> tuple[Array, ...]:
    """The gradients of x, scale and bias of `batch_norm_train`, from the batch's mean and variance."""
    static = (epsilon, activation)
    forms = {
        "cpu": Form(_batch_norm_gradient_on_cpu, static),
        "plain": Form(_batch_norm_gradient, static),
        "gpu": Form(_batch_norm_gradient_on_gpu, static),
    }
    return tuple(by_platform(x, scale, bias, mean, variance, dy, out=[x, scale, bias], **forms))


def _batch_norm_backward(epsilon, activation, kept, gradients):  # type: ignore[no-untyped-def]
    x, scale, bias, mean, variance = kept
    return batch_norm_gradient(x, scale, bias, mean, variance, gradients[0], epsilon, activation)


def _batch_norm_gradient(*arguments, sigmoid=lax.logistic):  # type: ignore[no-untyped-def]
    x, scale, bias, mean, variance, dz, epsilon, activation = arguments
    inverse = lax.rsqrt(variance + epsilon)
    factor = scale * inverse
    slope = activation_gradient(_affine(x, factor, bias - mean * factor), activation, sigmoid)
    if slope is not None:
        dz = dz * slope
    count = x.size // x.shape[-1]
    wide = dz.astype(jnp.float32)
    dbias = _channel_sum(wide)
    dscale = (_channel_sum(wide * x.astype(jnp.float32)) - mean * dbias) * inverse
    # dx = factor * (dz - dbias / n - (x - mean) * inverse * dscale / n), gathered by powers of x.
    slope_of_x = -factor * inverse * dscale / count
    constant = -factor * dbias / count - slope_of_x * mean
    dx = dz.astype(shifts.wide(x)) * factor + (x.astype(shifts.wide(x)) * slope_of_x + constant)
    return dx.astype(x.dtype), dscale, dbias


def _batch_norm_gradient_on_gpu(x, scale, bias, mean, variance, dz, epsilon, activation):  # type: ignore[no-untyped-def]
    def before_activation(x, dz):  # type: ignore[no-untyped-def]
        slope = activation_gradient(_affine(x, factor, bias - mean * factor), activation)
        return (dz if slope is None else dz * slope).astype(shifts.wide(x))

    def anew(*arrays):  # type: ignore[no-untyped-def]
        # Else XLA keeps slopes, or gradients times slopes, in memory, where they take longer to read than to compute.
        return lax.optimization_barrier(arrays) if x.size >= LARGE else arrays

    x, mean, variance = anew(x, mean, variance)
    inverse = lax.rsqrt(variance + epsilon)
    factor = scale * inverse
    wide = before_activation(x, dz)
    dbias, products = _channel_sums(wide, wide * x.astype(jnp.float32))
    x, dz, dbias = anew(x, dz, dbias)
    count = x.size // x.shape[-1]
    dscale = (products - mean * dbias) * inverse
    slope_of_x = -factor * inverse * dscale / count
    constant = -factor * dbias / count - slope_of_x * mean
    dx = before_activation(x, dz) * factor + (x.astype(shifts.wide(x)) * slope_of_x + constant)
    return dx.astype(x.dtype), dscale, dbias


def _batch_norm_gradient_on_cpu(x, scale, bias, mean, variance, dy, epsilon, activation):  # type: ignore[no-untyped-def]
    if takes_native(scale, bias, images=[x, dy]):
        return calls.batch_norm_gradient(x, scale, bias, mean, variance, dy, epsilon, activation)
    # Else XLA keeps the sigmoids of the forward pass, which take longer to write and to read than to compute.
    x, mean, variance = lax.optimization_barrier((x, mean, variance))
    return _batch_norm_gradient(x, scale, bias, mean, variance, dy, epsilon, activation, sigmoid=sigmoid_by_tanh)


def _batch_norm_given_backward(epsilon, activation, kept, dy):  # type: ignore[no-untyped-def]
    def normalise(x, scale, bias, mean, variance):  # type: ignore[no-untyped-def]
        return _normalise(x, scale, bias, mean, variance, epsilon, activation)[0]

    return jax.vjp(normalise, *kept)[1](dy)


_batch_norm.defvjp(lambda *arguments: (_batch_norm(*arguments), arguments[:5]), _batch_norm_given_backward)
batch_norm_train.defvjp(_batch_norm_forward, _batch_norm_backward)
