"""Batch normalisation joined with what follows it, computed as one on a CPU: what lies between is not kept.

Native kernels make what lies between piece by piece, and again for the gradient, so that it is neither written to
memory nor read from there; their results are those of the two operations one after the other but for rounding. Without
them the two are what is computed. That a gradient makes again what the forward pass made then costs nothing, as XLA
computes what is equal once; where a depthwise convolution is joined it is made again, which takes less memory.

Images are NHWC.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from scaling_search.native import calls
from scaling_search.networks import ops, shifts
from scaling_search.networks.lowering import Form, by_platform, takes_native
from scaling_search.networks.ops import Activation, Padding
from scaling_search.networks.shifts import Pads, wide


def batch_norm_conv2d_train(
    x: Array,
    scale: Array,
    bias: Array,
    kernel: Array,
    *,
    epsilon: float,
    activation: Activation,
    stride: int = 1,
    padding: Padding = "SAME",
) -> tuple[Array, Array, Array]:
    """`ops.batch_norm_train` of x (N, H, W, C), then a depthwise convolution with kernel (K, K, 1, C).

    Returns (N, H', W', C), and the batch's mean and (biased) variance, both (C,), through which no gradient flows.
    """
    pads = ops.pads_of(x.shape, kernel.shape, stride, padding)
    return _norm_conv2d(x, scale, bias, kernel, (epsilon, activation, stride, pads))


def batch_norm_squeeze_excite_train(
    x: Array,
    scale: Array,
    bias: Array,
    layers: Sequence[Array],
    *,
    epsilon: float,
    activation: Activation,
    inner: Activation,
) -> tuple[Array, Array, Array]:
    """`ops.batch_norm_train` of x (N, H, W, C), then `ops.squeeze_excite` by its four arrays and `inner` activation.

    Returns (N, H, W, C), and the batch's mean and (biased) variance, both (C,), through which no gradient flows.
    """
    return _norm_gate(x, scale, bias, *layers, (epsilon, activation, inner))


def batch_norm_residual_train(
    x: Array, scale: Array, bias: Array, shortcut: Array, *, epsilon: float
) -> tuple[Array, Array, Array]:
    """`ops.batch_norm_train` of x (..., C) without an activation, added to a shortcut like x, then a ReLU.

    Returns (..., C), and the batch's mean and (biased) variance, both (C,), through which no gradient flows. The result
    is kept for the gradient, so that XLA does not add up a stage's residuals anew wherever one of its sums is read.
    """
    return _norm_residual(x, scale, bias, shortcut, epsilon)


# Batch norm and a depthwise convolution

ConvStatic = tuple[float, Activation, int, Pads]


@partial(jax.custom_vjp, nondiff_argnums=(4,))
def _norm_conv2d(x: Array, scale: Array, bias: Array, kernel: Array, static: ConvStatic) -> tuple[Array, Array, Array]:
    return _norm_conv2d_forward(x, scale, bias, kernel, static)[0]


def _norm_conv2d_forward(x, scale, bias, kernel, static):  # type: ignore[no-untyped-def]
    vector = jax.ShapeDtypeStruct(scale.shape, jnp.float32)
    y, mean, variance = by_platform(
        *(x, scale, bias, kernel),
        out=[jax.ShapeDtypeStruct(calls.shape_of(x, kernel, *static[2:]), x.dtype), vector, vector],
        cpu=Form(_norm_then_conv2d_on_cpu, static),
        plain=Form(_norm_then_conv2d, static),
    )
    return (y, mean, variance), (x, scale, bias, mean, variance, kernel)


def _norm_conv2d_backward(static, kept, gradients):  # type: ignore[no-untyped-def]
    x, scale, bias, _, _, kernel = kept
    forms = {"cpu": Form(_norm_conv2d_gradient_on_cpu, static), "plain": Form(_norm_conv2d_gradient, static)}
    return tuple(by_platform(*kept, gradients[0], out=[x, scale, bias, kernel], **forms))


_norm_conv2d.defvjp(_norm_conv2d_forward, _norm_conv2d_backward)


def _norm_then_conv2d(x, scale, bias, kernel, epsilon, activation, stride, pads):  # type: ignore[no-untyped-def]
    z, mean, variance = ops.batch_norm_train(x, scale, bias, epsilon, activation)
    return [ops.conv2d(z, kernel, stride=stride, padding=pads, groups=x.shape[3]), mean, variance]


def _norm_then_conv2d_on_cpu(*arguments):  # type: ignore[no-untyped-def]
    form: Callable[..., Any] = (
        calls.norm_depthwise if takes_native(*arguments[1:4], images=arguments[:1]) else _norm_then_conv2d
    )
    return form(*arguments)


def _norm_conv2d_gradient(x, scale, bias, mean, variance, kernel, dy, *static):  # type: ignore[no-untyped-def]
    return jax.vjp(lambda *arrays: _norm_then_conv2d(*arrays, *static)[0], x, scale, bias, kernel)[1](dy)


def _norm_conv2d_gradient_on_cpu(*arguments):  # type: ignore[no-untyped-def]
    x, *others, dy = arguments[:7]
    native = takes_native(*others, images=[x, dy])
    form: Callable[..., Any] = calls.norm_depthwise_gradient if native else _norm_conv2d_gradient_anew
    return form(*arguments)


def _norm_conv2d_gradient_anew(x, scale, bias, mean, variance, kernel, dy, *static):  # type: ignore[no-untyped-def]
    epsilon, activation, stride, pads = static
    # Behind the barrier XLA does not know what it has computed before, and keeps nothing for the gradient but x.
    again, mean, variance = lax.optimization_barrier((x, mean, variance))
    z = ops.batch_norm(again, scale, bias, mean, variance, epsilon=epsilon, activation=activation)
    dz, dkernel = shifts.depthwise_gradient(z, kernel, dy, stride, pads)
    return *ops.batch_norm_gradient(x, scale, bias, mean, variance, dz, epsilon, activation), dkernel


# Batch norm and squeeze-and-excitation

GateStatic = tuple[float, Activation, Activation]


@partial(jax.custom_vjp, nondiff_argnums=(7,))
def _norm_gate(
    x: Array,
    scale: Array,
    bias: Array,
    squeeze: Array,
    squeeze_bias: Array,
    excite: Array,
    excite_bias: Array,
    static: GateStatic,
) -> tuple[Array, Array, Array]:
    return _norm_gate_forward(x, scale, bias, squeeze, squeeze_bias, excite, excite_bias, static)[0]


def _norm_gate_forward(x, scale, bias, squeeze, squeeze_bias, excite, excite_bias, static):  # type: ignore[no-untyped-def]
    vector = jax.ShapeDtypeStruct(scale.shape, jnp.float32)
    pooled = jax.ShapeDtypeStruct((x.shape[0], x.shape[3]), wide(x))
    hidden = jax.ShapeDtypeStruct((x.shape[0], squeeze.shape[1]), wide(x))
    arrays = (x, scale, bias, squeeze, squeeze_bias, excite, excite_bias)
    y, mean, variance, *gates = by_platform(
        *arrays,
        out=[x, vector, vector, pooled, hidden, pooled],
        cpu=Form(_norm_then_gate_on_cpu, static),
        plain=Form(_norm_then_gate, static),
    )
    return (y, mean, variance), (*arrays, mean, variance, *gates)


def _norm_gate_backward(static, kept, gradients):  # type: ignore[no-untyped-def]
    forms = {"cpu": Form(_norm_gate_gradient_on_cpu, static), "plain": Form(_norm_gate_gradient, static)}
    return tuple(by_platform(*kept, gradients[0], out=kept[:7], **forms))


_norm_gate.defvjp(_norm_gate_forward, _norm_gate_backward)


def _norm_then_gate(*arguments):  # type: ignore[no-untyped-def]
    x, scale, bias, squeeze, squeeze_bias, excite, excite_bias, epsilon, activation, inner = arguments
    z, mean, variance = ops.batch_norm_train(x, scale, bias, epsilon, activation)
    y, gates = ops.squeeze_excite_kept(z, squeeze, squeeze_bias, excite, excite_bias, inner)
    return [y, mean, variance, *gates]


def _norm_then_gate_on_cpu(*arguments):  # type: ignore[no-untyped-def]
    form: Callable[..., Any] = (
        calls.norm_squeeze_excite if takes_native(*arguments[1:7], images=arguments[:1]) else _norm_then_gate
    )
    return form(*arguments)


def _norm_gate_gradient(*arguments):  # type: ignore[no-untyped-def]
    *kept, dy, epsilon, activation, inner = arguments

    def result(*arrays):  # type: ignore[no-untyped-def]
        x, scale, bias, *layers = arrays
        return ops.squeeze_excite(ops.batch_norm_train(x, scale, bias, epsilon, activation)[0], *layers, inner)

    return jax.vjp(result, *kept[:7])[1](dy)


def _norm_gate_gradient_on_cpu(*arguments):  # type: ignore[no-untyped-def]
    first, *others, dy = arguments[:13]
    if not takes_native(*others, images=[first, dy]):
        return _norm_gate_gradient(*arguments)
    x, scale, bias, squeeze, _, excite, _, mean, variance, *rest = arguments
    dx, dscale, dbias, *layers = calls.norm_squeeze_excite_gradient(
        x, scale, bias, mean, variance, squeeze, excite, *rest
    )
    return dx, dscale, dbias, *layers


# Batch norm and a residual


@partial(jax.custom_vjp, nondiff_argnums=(4,))
def _norm_residual(x: Array, scale: Array, bias: Array, shortcut: Array, epsilon: float) -> tuple[Array, Array, Array]:
    return _norm_residual_forward(x, scale, bias, shortcut, epsilon)[0]


def _norm_residual_forward(x, scale, bias, shortcut, epsilon):  # type: ignore[no-untyped-def]
    vector = jax.ShapeDtypeStruct(scale.shape, jnp.float32)
    y, mean, variance = by_platform(
        *(x, scale, bias, shortcut),
        out=[x, vector, vector],
        cpu=Form(_norm_then_residual_on_cpu, (epsilon,)),
        plain=Form(_norm_then_residual, (epsilon,)),
    )
    return (y, mean, variance), (x, scale, bias, mean, variance, y)


def _norm_residual_backward(epsilon, kept, gradients):  # type: ignore[no-untyped-def]
    x, scale, bias, mean, variance, y = kept
    dz = jnp.where(y > 0, gradients[0], 0)
    return *ops.batch_norm_gradient(x, scale, bias, mean, variance, dz, epsilon, "none"), dz


_norm_residual.defvjp(_norm_residual_forward, _norm_residual_backward)


def _norm_then_residual(x, scale, bias, shortcut, epsilon):  # type: ignore[no-untyped-def]
    z, mean, variance = ops.batch_norm_train(x, scale, bias, epsilon, "none")
    return [ops.relu(shortcut + z), mean, variance]


def _norm_then_residual_on_cpu(x, scale, bias, shortcut, epsilon):  # type: ignore[no-untyped-def]
    form: Callable[..., Any] = (
        calls.norm_residual if takes_native(scale, bias, images=[x, shortcut]) else _norm_then_residual
    )
    return form(x, scale, bias, shortcut, epsilon)
