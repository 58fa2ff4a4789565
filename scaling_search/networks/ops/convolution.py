"""Convolution, of whatever kind its kernel and its groups make it."""

from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from scaling_search import native
from scaling_search.native import calls, choice
from scaling_search.networks import shifts
from scaling_search.networks.lowering import Form, by_platform, in_float32, takes_amx, takes_native
from scaling_search.networks.shifts import Pads

Padding = Literal["SAME", "SYMMETRIC", "VALID"] | Sequence[tuple[int, int]]
"""SAME is TensorFlow's, which pads the end more at even sizes and strides; SYMMETRIC is PyTorch's (K - 1) // 2."""


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


def _takes_native_dense(*arrays: Array) -> bool:
    return takes_native(*arrays) and native.convolves()


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


def _kernel_gradient_on_cpu(rows: Array, drows: Array) -> Array:
    if rows.shape[1] <= drows.shape[1]:
        return _kernel_gradient(rows, drows)
    # The product takes up to twice as long with the shorter side last, as XLA would have it without the barrier.
    return lax.optimization_barrier(lax.dot_general(drows, rows, (((0,), (0,)), ((), ())))).T


def _matrix_product(x, kernel, stride, pads):  # type: ignore[no-untyped-def]
    return [x[:, ::stride, ::stride] @ kernel[0, 0]]


def _matrix_product_gradient(x, kernel, dy, stride, pads, kernel_gradient=_kernel_gradient):  # type: ignore[no-untyped-def]
    used = x[:, ::stride, ::stride]
    rows, drows = used.reshape(-1, x.shape[3]), dy.reshape(-1, dy.shape[3])
    dx = lax.dot_general(drows, kernel[0, 0], (((1,), (1,)), ((), ()))).reshape(used.shape)
    if stride > 1:
        # Pixels between those that were used have no gradient; so many follow the last.
        left = [(side - 1) % stride for side in x.shape[1:3]]
        dx = lax.pad(dx, jnp.zeros((), dx.dtype), [(0, 0, 0), *((0, after, stride - 1) for after in left), (0, 0, 0)])
    return dx, kernel_gradient(rows, drows)[None, None]


def _matrix_product_on_cpu(x, kernel, stride, pads):  # type: ignore[no-untyped-def]
    if stride == 1 and choice.pointwise(kernel.shape) and _takes_native_dense(x, kernel):
        return [calls.pointwise(x, kernel)]
    return _matrix_product(x, kernel, stride, pads)


def _matrix_product_gradient_on_cpu(x, kernel, dy, stride, pads):  # type: ignore[no-untyped-def]
    takes_native_dense = _takes_native_dense(x, kernel, dy)
    pixels = dy.size // dy.shape[3]
    if stride == 1 and takes_native_dense and choice.pointwise_gradient(pixels, kernel.shape):
        return calls.pointwise_gradient(x, kernel, dy)
    dx, dkernel = _matrix_product_gradient(x, kernel, dy, stride, pads, _kernel_gradient_on_cpu)
    if takes_native_dense and choice.kernel_gradient(kernel.shape):
        dkernel = calls.dense_dkernel(x, dy, kernel.shape, stride, pads)
    return dx, dkernel


def _dense_on_cpu(x, kernel, stride, pads):  # type: ignore[no-untyped-def]
    if not _takes_native_dense(x, kernel):
        return [_plain(x, kernel, stride, pads, 1)]
    form = calls.dense
    if choice.gathers_windows(kernel.shape):
        form = calls.gathered
    elif choice.is_direct(calls.shape_of(x, kernel, stride, pads), stride, native.lanes()):
        form = calls.grouped
    return [form(x, kernel, stride, pads)]


def _native_dense_gradient(x, kernel, dy, stride, pads):  # type: ignore[no-untyped-def]
    # Each gradient is a call of its own, as a first layer's input needs none.
    is_direct = choice.is_direct(x.shape, stride, native.lanes())
    dx = (calls.grouped_dx if is_direct else calls.dense_dx)(kernel, dy, x.shape, stride, pads)
    form = calls.dense_dkernel
    if choice.gathers_windows(kernel.shape):
        form = calls.gathered_dkernel
    elif choice.has_direct_gradient(dy.shape, stride, native.lanes()):
        form = calls.grouped_dkernel
    return dx, form(x, dy, kernel.shape, stride, pads)


def _dense_gradient_on_cpu(x, kernel, dy, stride, pads):  # type: ignore[no-untyped-def]
    if _takes_native_dense(x, kernel, dy):
        return _native_dense_gradient(x, kernel, dy, stride, pads)
    (dx,) = jax.vjp(lambda x: _plain(x, kernel, stride, pads, 1), x)[1](dy)
    # For the kernel's gradient XLA makes a convolution with an image-sized kernel, and transposes both operands.
    parts = [part.reshape(-1, x.shape[3]) for part in shifts.shifted(x, kernel.shape[:2], stride, pads)]
    drows = dy.reshape(-1, dy.shape[3])
    if x.shape[3] < FEW_CHANNELS:
        dkernel = _kernel_gradient(jnp.concatenate(parts, 1), drows)
    else:
        dkernel = jnp.stack([_kernel_gradient(part, drows) for part in parts])
    return dx, dkernel.reshape(kernel.shape)


@in_float32
def _grouped_on_cpu(x, kernel, stride, pads):  # type: ignore[no-untyped-def]
    if _takes_native_dense(x, kernel):
        return [calls.grouped(x, kernel, stride, pads)]
    return [_plain(x, kernel, stride, pads, x.shape[3] // kernel.shape[2])]


@in_float32
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


@in_float32
def _depthwise_on_cpu(x, kernel, stride, pads):  # type: ignore[no-untyped-def]
    form = calls.depthwise if takes_native(x, kernel) else shifts.depthwise
    return [form(x, kernel, stride, pads)]


@in_float32
def _depthwise_gradient_on_cpu(x, kernel, dy, stride, pads):  # type: ignore[no-untyped-def]
    form = calls.depthwise_gradient if takes_native(x, kernel, dy) else shifts.depthwise_gradient
    return form(x, kernel, dy, stride, pads)


def _by_amx(computed: Computed) -> Computed:
    """A form for a CPU that multiplies bfloat16 by its tile instructions where it has any, else in float32."""
    forward, gradient = in_float32(computed.forward), in_float32(computed.gradient)

    @wraps(computed.forward)
    def forward_by_amx(x, kernel, stride, pads):  # type: ignore[no-untyped-def]
        if takes_amx(x, kernel):
            return [calls.amx(x, kernel, stride, pads)]
        return forward(x, kernel, stride, pads)

    @wraps(computed.gradient)
    def gradient_by_amx(x, kernel, dy, stride, pads):  # type: ignore[no-untyped-def]
        if takes_amx(x, kernel, dy):
            # Each gradient is a call of its own, as a first layer's input needs none.
            dx = calls.amx_dx(kernel, dy, x.shape, stride, pads)
            return dx, calls.amx_dkernel(x, dy, kernel.shape, stride, pads)
        return gradient(x, kernel, dy, stride, pads)

    return Computed(forward_by_amx, gradient_by_amx)


MATRIX_PRODUCT = Computed(_matrix_product, _matrix_product_gradient)
MATRIX_PRODUCT_ON_CPU = _by_amx(Computed(_matrix_product_on_cpu, _matrix_product_gradient_on_cpu))

POINTWISE = Kind(MATRIX_PRODUCT_ON_CPU, MATRIX_PRODUCT)
STRIDED_POINTWISE = Kind(MATRIX_PRODUCT_ON_CPU)
"""A convolution on a GPU: XLA 0.11's fusion of a strided slice into a matrix product ends the process."""
DENSE = Kind(_by_amx(Computed(_dense_on_cpu, _dense_gradient_on_cpu)))
GROUPED = Kind(Computed(_grouped_on_cpu, _grouped_gradient_on_cpu))
DEPTHWISE = Kind(Computed(_depthwise_on_cpu, _depthwise_gradient_on_cpu))
