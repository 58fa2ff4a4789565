"""Convolution, batch normalisation and squeeze-and-excitation, each with the form that suits the platform.

XLA lowers a depthwise convolution on a CPU to something many times slower than it need be, fuses a transpose of the
large operand into the weight gradient of a 1x1 convolution, and takes tens of milliseconds to compile each of the many
small loops of a batch norm. So on a CPU float32 goes through native kernels where they are there (`native`), of dense
convolutions where they were measured to be faster (`native.choice`); else a depthwise convolution is computed as a sum
of k * k shifted products; and a 1x1 convolution is a matrix product, which it is on a GPU as well. Elsewhere the plain
form stays. Gradients are written by hand. `lowering` makes the choice when a program is compiled: whoever reads the
traced program finds the plain form in it.

Images are NHWC, kernels HWIO.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from scaling_search import native
from scaling_search.native import calls, choice
from scaling_search.networks import shifts
from scaling_search.networks.lowering import Form, by_platform
from scaling_search.networks.shifts import Pads

Padding = Literal["SAME", "SYMMETRIC", "VALID"] | Sequence[tuple[int, int]]
"""SAME is TensorFlow's, which pads the end more at even sizes and strides; SYMMETRIC is PyTorch's (K - 1) // 2."""
Activation = Literal["silu", "relu", "relu6", "none"]


def conv2d(x: Array, kernel: Array, *, stride: int = 1, padding: Padding = "SAME", groups: int = 1) -> Array:
    """Convolves x (N, H, W, C) with kernel (K, K, C / groups, F): (N, H', W', F), in the dtype of x."""
    pads = pads_of(x.shape, kernel.shape, stride, padding)
    kernel = kernel.astype(x.dtype)
    if kernel.shape[2:] == (1, groups) and groups == x.shape[3]:
        return _convolve(x, kernel, stride, pads, groups, DEPTHWISE)
    if groups > 1:
        return _convolve(x, kernel, stride, pads, groups, GROUPED)
    kind = DENSE
    if kernel.shape[:2] == (1, 1) and pads == NO_PADS:
        kind = POINTWISE if stride == 1 else STRIDED_POINTWISE
    return _convolve(x, kernel, stride, pads, groups, kind)


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


@partial(jax.custom_vjp, nondiff_argnums=(5,))
def squeeze_excite(
    x: Array, squeeze: Array, squeeze_bias: Array, excite: Array, excite_bias: Array, activation: Activation
) -> Array:
    """Scales each channel of x (N, H, W, C) by a gate: two dense layers, (C, S) and (S, C), on the mean over pixels."""
    return _squeeze_excite_forward(x, squeeze, squeeze_bias, excite, excite_bias, activation)[0]


def moving_average(averages: Sequence[Array], values: Sequence[Array], momentum: float) -> list[Array]:
    """momentum * average + (1 - momentum) * value, of each pair; no gradient flows."""
    arrays = map(lax.stop_gradient, (*averages, *values))
    static = (len(averages), momentum)
    forms = {"cpu": Form(_moving_average_on_cpu, static), "plain": Form(_moving_average, static)}
    return by_platform(*arrays, out=averages, **forms)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def split(vector: Array, shapes: tuple[tuple[int, ...], ...]) -> list[Array]:
    """Cuts a vector into arrays of these shapes, in order.

    In one call on a CPU, where XLA would compile a loop of its own for each.
    """
    out = [jax.ShapeDtypeStruct(shape, vector.dtype) for shape in shapes]
    return by_platform(vector, out=out, cpu=Form(_split_on_cpu, shapes), plain=Form(_split, shapes))


def activate(x: Array, activation: Activation) -> Array:
    """Applies an activation by its name."""
    match activation:
        case "silu":
            return x * lax.logistic(x)
        case "relu":
            return jnp.maximum(x, 0)
        case "relu6":
            return jnp.clip(x, 0, 6)
        case "none":
            return x


def _activation_gradient(z: Array, activation: Activation) -> Array | None:
    match activation:
        case "silu":
            sigmoid = lax.logistic(z)
            return sigmoid * (1 + z * (1 - sigmoid))
        case "relu":
            return (z > 0).astype(z.dtype)
        case "relu6":
            return ((z > 0) & (z < 6)).astype(z.dtype)
        case "none":
            return None


def takes_native(*arrays: Array) -> bool:
    """Whether native kernels compute these arrays on a CPU."""
    return all(array.dtype == jnp.float32 for array in arrays) and native.available()


def _takes_native_dense(*arrays: Array) -> bool:
    return takes_native(*arrays) and native.convolves()


# Batch norm


def _affine(x: Array, factor: Array, offset: Array) -> Array:
    # In float32: of bfloat16's eight bits the difference of two large terms would keep none.
    return (x.astype(shifts.wide(x)) * factor + offset).astype(x.dtype)


def _channel_sum(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1]).astype(jnp.float32).sum(0)


def _batch_norm_forward(x, scale, bias, epsilon, activation):  # type: ignore[no-untyped-def]
    vector = jax.ShapeDtypeStruct(scale.shape, jnp.float32)
    static = (epsilon, activation)
    y, mean, variance = by_platform(
        *(x, scale, bias),
        out=[x, vector, vector],
        cpu=Form(_normalise_by_own_on_cpu, static),
        plain=Form(_normalise_by_own, static),
    )
    return (y, mean, variance), (x, scale, bias, mean, variance)


def _normalise(x, scale, bias, mean, variance, epsilon, activation):  # type: ignore[no-untyped-def]
    factor = scale * lax.rsqrt(variance + epsilon)
    return [activate(_affine(x, factor, bias - mean * factor), activation)]


def _normalise_on_cpu(x, scale, bias, mean, variance, epsilon, activation):  # type: ignore[no-untyped-def]
    if takes_native(x, scale, bias, mean, variance):
        return [calls.normalise(x, scale, bias, mean, variance, epsilon, activation)]
    return _normalise(x, scale, bias, mean, variance, epsilon, activation)


def _normalise_by_own(x, scale, bias, epsilon, activation):  # type: ignore[no-untyped-def]
    count = x.size // x.shape[-1]
    wide = x.astype(jnp.float32)
    mean = _channel_sum(wide) / count
    variance = jnp.maximum(_channel_sum(wide * wide) / count - mean * mean, 0)
    return *_normalise(x, scale, bias, mean, variance, epsilon, activation), mean, variance


def _normalise_by_own_on_cpu(x, scale, bias, epsilon, activation):  # type: ignore[no-untyped-def]
    if takes_native(x, scale, bias):
        return calls.batch_norm(x, scale, bias, epsilon, activation)
    return _normalise_by_own(x, scale, bias, epsilon, activation)


def _batch_norm_backward(epsilon, activation, kept, gradients):  # type: ignore[no-untyped-def]
    x, scale, bias, *_ = kept
    static = (epsilon, activation)
    forms = {"cpu": Form(_batch_norm_gradient_on_cpu, static), "plain": Form(_batch_norm_gradient, static)}
    return tuple(by_platform(*kept, gradients[0], out=[x, scale, bias], **forms))


def _batch_norm_gradient(x, scale, bias, mean, variance, dz, epsilon, activation):  # type: ignore[no-untyped-def]
    inverse = lax.rsqrt(variance + epsilon)
    factor = scale * inverse
    slope = _activation_gradient(_affine(x, factor, bias - mean * factor), activation)
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


def _batch_norm_gradient_on_cpu(x, scale, bias, mean, variance, dy, epsilon, activation):  # type: ignore[no-untyped-def]
    if takes_native(x, scale, bias, dy):
        return calls.batch_norm_gradient(x, scale, bias, mean, variance, dy, epsilon, activation)
    return _batch_norm_gradient(x, scale, bias, mean, variance, dy, epsilon, activation)


def _batch_norm_given_backward(epsilon, activation, kept, dy):  # type: ignore[no-untyped-def]
    def normalise(x, scale, bias, mean, variance):  # type: ignore[no-untyped-def]
        return _normalise(x, scale, bias, mean, variance, epsilon, activation)[0]

    return jax.vjp(normalise, *kept)[1](dy)


_batch_norm.defvjp(lambda *arguments: (_batch_norm(*arguments), arguments[:5]), _batch_norm_given_backward)
batch_norm_train.defvjp(_batch_norm_forward, _batch_norm_backward)


# Squeeze-and-excitation


def _squeeze_excite_forward(x, squeeze, squeeze_bias, excite, excite_bias, activation):  # type: ignore[no-untyped-def]
    wide = jax.ShapeDtypeStruct((x.shape[0], x.shape[3]), shifts.wide(x))
    hidden = jax.ShapeDtypeStruct((x.shape[0], squeeze.shape[1]), shifts.wide(x))
    y, *kept = by_platform(
        *(x, squeeze, squeeze_bias, excite, excite_bias),
        out=[x, wide, hidden, wide],
        cpu=Form(_gate_on_cpu, (activation,)),
        plain=Form(_gate, (activation,)),
    )
    return y, (x, squeeze, excite, *kept)


def _gate(x, squeeze, squeeze_bias, excite, excite_bias, activation):  # type: ignore[no-untyped-def]
    mean = x.mean((1, 2), dtype=shifts.wide(x))
    hidden = mean @ squeeze + squeeze_bias
    gate = lax.logistic(activate(hidden, activation) @ excite + excite_bias)
    return x * gate[:, None, None].astype(x.dtype), mean, hidden, gate


def _gate_on_cpu(x, squeeze, squeeze_bias, excite, excite_bias, activation):  # type: ignore[no-untyped-def]
    form = calls.squeeze_excite if takes_native(x, squeeze, squeeze_bias, excite, excite_bias) else _gate
    return form(x, squeeze, squeeze_bias, excite, excite_bias, activation)


def _squeeze_excite_backward(activation, kept, dy):  # type: ignore[no-untyped-def]
    x, squeeze, excite, _, hidden, gate = kept
    out = [x, squeeze, hidden[0], excite, gate[0]]
    forms = {"cpu": Form(_gate_gradient_on_cpu, (activation,)), "plain": Form(_gate_gradient, (activation,))}
    return tuple(by_platform(*kept, dy, out=out, **forms))


def _gate_gradient(x, squeeze, excite, mean, hidden, gate, dy, activation):  # type: ignore[no-untyped-def]
    pixels = x.shape[1] * x.shape[2]
    dgate = (dy * x).sum((1, 2), dtype=shifts.wide(x)) * gate * (1 - gate)
    dhidden = dgate @ excite.T
    slope = _activation_gradient(hidden, activation)
    if slope is not None:
        dhidden = dhidden * slope
    dmean = (dhidden @ squeeze.T / pixels).astype(x.dtype)
    dx = dy * gate[:, None, None].astype(x.dtype) + dmean[:, None, None]
    return dx, mean.T @ dhidden, dhidden.sum(0), activate(hidden, activation).T @ dgate, dgate.sum(0)


def _gate_gradient_on_cpu(x, squeeze, excite, mean, hidden, gate, dy, activation):  # type: ignore[no-untyped-def]
    form = calls.squeeze_excite_gradient if takes_native(x, squeeze, excite, dy) else _gate_gradient
    return form(x, squeeze, excite, mean, hidden, gate, dy, activation)


squeeze_excite.defvjp(_squeeze_excite_forward, _squeeze_excite_backward)


# Many small arrays


def _moving_average(*arguments):  # type: ignore[no-untyped-def]
    *arrays, count, momentum = arguments
    pairs = zip(arrays[:count], arrays[count:], strict=True)
    return [momentum * average + (1 - momentum) * value for average, value in pairs]


def _moving_average_on_cpu(*arguments):  # type: ignore[no-untyped-def]
    *arrays, count, momentum = arguments
    if takes_native(*arrays):
        return calls.moving_average(arrays[:count], arrays[count:], momentum)
    return _moving_average(*arguments)


def _split(vector, *shapes):  # type: ignore[no-untyped-def]
    ends = list(accumulate(map(math.prod, shapes)))
    return [vector[end - math.prod(shape) : end].reshape(shape) for shape, end in zip(shapes, ends, strict=True)]


def _split_on_cpu(vector, *shapes):  # type: ignore[no-untyped-def]
    return calls.split(vector, shapes) if takes_native(vector) else _split(vector, *shapes)


split.defvjp(
    lambda vector, shapes: (split(vector, shapes), None),
    lambda shapes, _, parts: (jnp.concatenate([part.reshape(-1) for part in parts]),),
)


# Convolutions


NO_PADS: Pads = ((0, 0), (0, 0))
FEW_CHANNELS = 16
"""Below this, a matrix product for each tap of a kernel would read the whole gradient for a handful of channels."""


def pads_of(x: tuple[int, ...], window: tuple[int, ...], stride: int, padding: Padding) -> Pads:
    """Pixels of padding before and after the rows and the columns of x (N, H, W, C), for a window (K, K')."""
    if padding == "SYMMETRIC":
        padding = [((taps - 1) // 2, (taps - 1) // 2) for taps in window[:2]]
    elif isinstance(padding, str):
        padding = lax.padtype_to_pads(x[1:3], window[:2], (stride, stride), padding)
    (top, bottom), (left, right) = padding
    return (top, bottom), (left, right)


def _plain(x: Array, kernel: Array, stride: int, pads: Pads, groups: int) -> Array:
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups
    )


def _convolution(x, kernel, stride, pads, groups):  # type: ignore[no-untyped-def]
    return [_plain(x, kernel, stride, pads, groups)]


def _convolution_gradient(x, kernel, dy, stride, pads, groups):  # type: ignore[no-untyped-def]
    return jax.vjp(lambda x, kernel: _plain(x, kernel, stride, pads, groups), x, kernel)[1](dy)


class Computed(NamedTuple):
    """How a device computes a kind of convolution and its gradients, by (stride, pads)."""

    forward: Callable[..., list[Array]]
    gradient: Callable[..., tuple[Array, Array]]


class Kind(NamedTuple):
    """A kind of convolution, by the devices with a form of their own for it."""

    cpu: Computed
    gpu: Computed | None = None


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def _convolve(x: Array, kernel: Array, stride: int, pads: Pads, groups: int, kind: Kind) -> Array:
    """A convolution with kernel (K, K, C / groups, F)."""
    return by_platform(
        *(x, kernel),
        out=[jax.ShapeDtypeStruct(calls.shape_of(x, kernel, stride, pads), x.dtype)],
        cpu=Form(kind.cpu.forward, (stride, pads)),
        plain=Form(_convolution, (stride, pads, groups)),
        gpu=Form(kind.gpu.forward, (stride, pads)) if kind.gpu else None,
    )[0]


def _convolve_backward(stride, pads, groups, kind, kept, dy):  # type: ignore[no-untyped-def]
    forms: Any = {
        "cpu": Form(kind.cpu.gradient, (stride, pads)),
        "plain": Form(_convolution_gradient, (stride, pads, groups)),
        "gpu": Form(kind.gpu.gradient, (stride, pads)) if kind.gpu else None,
    }
    return tuple(by_platform(*kept, dy, out=kept, **forms))


_convolve.defvjp(lambda x, kernel, *static: (_convolve(x, kernel, *static), (x, kernel)), _convolve_backward)


def _kernel_gradient(rows: Array, drows: Array) -> Array:
    """The gradient of a matrix product's kernel (C, F), from what went in (N, C) and its result's gradient (N, F)."""
    # With the gradient first, XLA reads both operands as they lie and transposes only the small result.
    return lax.dot_general(drows, rows, (((0,), (0,)), ((), ()))).T


def _matrix_product(x, kernel, stride, pads):  # type: ignore[no-untyped-def]
    return [x[:, ::stride, ::stride] @ kernel[0, 0]]


def _matrix_product_gradient(x, kernel, dy, stride, pads):  # type: ignore[no-untyped-def]
    used = x[:, ::stride, ::stride]
    rows, drows = used.reshape(-1, x.shape[3]), dy.reshape(-1, dy.shape[3])
    dx = lax.dot_general(drows, kernel[0, 0], (((1,), (1,)), ((), ()))).reshape(used.shape)
    if stride > 1:
        # Pixels between those that were used have no gradient; so many follow the last.
        left = [(side - 1) % stride for side in x.shape[1:3]]
        dx = lax.pad(dx, jnp.zeros((), dx.dtype), [(0, 0, 0), *((0, after, stride - 1) for after in left), (0, 0, 0)])
    return dx, _kernel_gradient(rows, drows)[None, None]


def _matrix_product_gradient_on_cpu(x, kernel, dy, stride, pads):  # type: ignore[no-untyped-def]
    dx, dkernel = _matrix_product_gradient(x, kernel, dy, stride, pads)
    if choice.kernel_gradient(kernel.shape) and _takes_native_dense(x, kernel, dy):
        dkernel = calls.dense_dkernel(x, dy, kernel.shape, stride, pads)
    return dx, dkernel


def _dense_on_cpu(x, kernel, stride, pads):  # type: ignore[no-untyped-def]
    if choice.convolution(kernel.shape) and _takes_native_dense(x, kernel):
        is_direct = choice.is_direct(calls.shape_of(x, kernel, stride, pads), stride, native.lanes())
        return [(calls.grouped if is_direct else calls.dense)(x, kernel, stride, pads)]
    return [_plain(x, kernel, stride, pads, 1)]


def _dense_gradient_on_cpu(x, kernel, dy, stride, pads):  # type: ignore[no-untyped-def]
    # Each gradient is a call of its own, as a first layer's input needs none.
    if choice.input_gradient(kernel.shape) and _takes_native_dense(x, kernel, dy):
        is_direct = choice.is_direct(x.shape, stride, native.lanes())
        dx = (calls.grouped_dx if is_direct else calls.dense_dx)(kernel, dy, x.shape, stride, pads)
    else:
        (dx,) = jax.vjp(lambda x: _plain(x, kernel, stride, pads, 1), x)[1](dy)
    if choice.kernel_gradient(kernel.shape) and _takes_native_dense(x, kernel, dy):
        is_direct = choice.has_direct_gradient(dy.shape, stride, native.lanes())
        return dx, (calls.grouped_dkernel if is_direct else calls.dense_dkernel)(x, dy, kernel.shape, stride, pads)
    # For the kernel's gradient XLA makes a convolution with an image-sized kernel, and transposes both operands.
    parts = [part.reshape(-1, x.shape[3]) for part in shifts.shifted(x, kernel.shape[:2], stride, pads)]
    drows = dy.reshape(-1, dy.shape[3])
    if x.shape[3] < FEW_CHANNELS:
        dkernel = _kernel_gradient(jnp.concatenate(parts, 1), drows)
    else:
        dkernel = jnp.stack([_kernel_gradient(part, drows) for part in parts])
    return dx, dkernel.reshape(kernel.shape)


def _grouped_on_cpu(x, kernel, stride, pads):  # type: ignore[no-untyped-def]
    if _takes_native_dense(x, kernel):
        return [calls.grouped(x, kernel, stride, pads)]
    return [_plain(x, kernel, stride, pads, x.shape[3] // kernel.shape[2])]


def _grouped_gradient_on_cpu(x, kernel, dy, stride, pads):  # type: ignore[no-untyped-def]
    if _takes_native_dense(x, kernel, dy):
        dx = calls.grouped_dx(kernel, dy, x.shape, stride, pads)
        return dx, calls.grouped_dkernel(x, dy, kernel.shape, stride, pads)
    groups = x.shape[3] // kernel.shape[2]
    (dx,) = jax.vjp(lambda x: _plain(x, kernel, stride, pads, groups), x)[1](dy)
    # XLA's own form of the kernel's gradient takes seconds where this takes milliseconds.
    drows = dy.reshape(-1, groups, kernel.shape[3] // groups)
    taps = [
        jnp.einsum("ngc,ngf->cgf", part.reshape(-1, groups, kernel.shape[2]), drows)
        for part in shifts.shifted(x, kernel.shape[:2], stride, pads)
    ]
    return dx, jnp.stack(taps).reshape(kernel.shape)


def _depthwise_on_cpu(x, kernel, stride, pads):  # type: ignore[no-untyped-def]
    form = calls.depthwise if takes_native(x, kernel) else shifts.depthwise
    return [form(x, kernel, stride, pads)]


def _depthwise_gradient_on_cpu(x, kernel, dy, stride, pads):  # type: ignore[no-untyped-def]
    form = calls.depthwise_gradient if takes_native(x, kernel, dy) else shifts.depthwise_gradient
    return form(x, kernel, dy, stride, pads)


MATRIX_PRODUCT = Computed(_matrix_product, _matrix_product_gradient)
MATRIX_PRODUCT_ON_CPU = Computed(_matrix_product, _matrix_product_gradient_on_cpu)

POINTWISE = Kind(MATRIX_PRODUCT_ON_CPU, MATRIX_PRODUCT)
STRIDED_POINTWISE = Kind(MATRIX_PRODUCT_ON_CPU)
"""A convolution on a GPU: XLA 0.11's fusion of a strided slice into a matrix product ends the process."""
DENSE = Kind(Computed(_dense_on_cpu, _dense_gradient_on_cpu))
GROUPED = Kind(Computed(_grouped_on_cpu, _grouped_gradient_on_cpu))
DEPTHWISE = Kind(Computed(_depthwise_on_cpu, _depthwise_gradient_on_cpu))
