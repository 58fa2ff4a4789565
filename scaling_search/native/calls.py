"""The native kernels as functions of JAX arrays, for programs compiled for a CPU.

Arrays are float32, but what convolutions by AMX take and make, which is bfloat16, and the images of batch norm, alone
or joined with what follows, which may be.

Each answers with the gradients of its operation in a call of its own; `networks.ops` and `networks.joined` join the
two. Shapes are checked when a call runs.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

ACTIVATIONS = ("none", "relu", "relu6", "silu")
"""By their numbers in kernels.h."""
Pads = tuple[tuple[int, int], tuple[int, int]]
Shape = tuple[int, ...]
Attribute = np.generic | np.ndarray
Made = Shape | jax.ShapeDtypeStruct
"""What a call makes; where a shape is all that is said, float32."""


def shape_of(x: Array, kernel: Array, stride: int, pads: Pads) -> Shape:
    """That of the result of a convolution, (N, H', W', F)."""
    sides = (
        max(0, (side + sum(pad) - taps) // stride + 1)
        for side, pad, taps in zip(x.shape[1:3], pads, kernel.shape[:2], strict=True)
    )
    return (x.shape[0], *sides, kernel.shape[3])


def depthwise(x: Array, kernel: Array, stride: int, pads: Pads) -> Array:
    """x (N, H, W, C) with kernel (K, K, 1, C): (N, H', W', C)."""
    return _call("depthwise", [shape_of(x, kernel, stride, pads)], x, kernel, **_window(stride, pads))[0]


def depthwise_gradient(x: Array, kernel: Array, dy: Array, stride: int, pads: Pads) -> tuple[Array, Array]:
    """The gradients of x and kernel."""
    dx, dkernel = _call("depthwise_gradient", [x.shape, kernel.shape], x, kernel, dy, **_window(stride, pads))
    return dx, dkernel


def dense(x: Array, kernel: Array, stride: int, pads: Pads) -> Array:
    """x (N, H, W, C) with kernel (K, K, C, F): (N, H', W', F)."""
    return _call("dense", [shape_of(x, kernel, stride, pads)], x, kernel, **_window(stride, pads))[0]


def dense_dx(kernel: Array, dy: Array, shape: Shape, stride: int, pads: Pads) -> Array:
    """The gradient of x, which has this shape."""
    return _call("dense_dx", [shape], kernel, dy, **_window(stride, pads))[0]


def dense_dkernel(x: Array, dy: Array, shape: Shape, stride: int, pads: Pads) -> Array:
    """The gradient of the kernel, which has this shape."""
    return _call("dense_dkernel", [shape], x, dy, **_window(stride, pads))[0]


def amx(x: Array, kernel: Array, stride: int, pads: Pads) -> Array:
    """x (N, H, W, C) with kernel (K, K, C, F), both bfloat16: (N, H', W', F)."""
    return _call("amx", [_half(shape_of(x, kernel, stride, pads))], x, kernel, **_window(stride, pads))[0]


def amx_dx(kernel: Array, dy: Array, shape: Shape, stride: int, pads: Pads) -> Array:
    """The gradient of x, which has this shape, in bfloat16."""
    return _call("amx_dx", [_half(shape)], kernel, dy, **_window(stride, pads))[0]


def amx_dkernel(x: Array, dy: Array, shape: Shape, stride: int, pads: Pads) -> Array:
    """The gradient of the kernel, which has this shape, in bfloat16."""
    return _call("amx_dkernel", [_half(shape)], x, dy, **_window(stride, pads))[0]


def pointwise(x: Array, kernel: Array) -> Array:
    """x (N, H, W, C) with kernel (1, 1, C, F): (N, H, W, F)."""
    return _call("pointwise", [(*x.shape[:-1], kernel.shape[3])], x, kernel)[0]


def pointwise_gradient(x: Array, kernel: Array, dy: Array) -> tuple[Array, Array]:
    """The gradients of x and kernel."""
    dx, dkernel = _call("pointwise_gradient", [x.shape, kernel.shape], x, kernel, dy)
    return dx, dkernel


def gathered(x: Array, kernel: Array, stride: int, pads: Pads) -> Array:
    """`dense`, for few channels."""
    return _call("gathered", [shape_of(x, kernel, stride, pads)], x, kernel, **_window(stride, pads))[0]


def gathered_dkernel(x: Array, dy: Array, shape: Shape, stride: int, pads: Pads) -> Array:
    """The gradient of the kernel, which has this shape."""
    return _call("gathered_dkernel", [shape], x, dy, **_window(stride, pads))[0]


def grouped(x: Array, kernel: Array, stride: int, pads: Pads) -> Array:
    """x (N, H, W, C) in groups with kernel (K, K, C / groups, F): (N, H', W', F)."""
    return _call("grouped", [shape_of(x, kernel, stride, pads)], x, kernel, **_window(stride, pads))[0]


def grouped_dx(kernel: Array, dy: Array, shape: Shape, stride: int, pads: Pads) -> Array:
    """The gradient of x, which has this shape."""
    return _call("grouped_dx", [shape], kernel, dy, **_window(stride, pads))[0]


def grouped_dkernel(x: Array, dy: Array, shape: Shape, stride: int, pads: Pads) -> Array:
    """The gradient of the kernel, which has this shape."""
    return _call("grouped_dkernel", [shape], x, dy, **_window(stride, pads))[0]


def max_pool(x: Array, shape: Shape, window: int, stride: int, pads: Pads) -> Array:
    """The largest value in each window of x (N, H, W, C), of which there are as many as the result's shape says."""
    return _call("max_pool", [shape], x, window=np.int64(window), **_window(stride, pads))[0]


def max_pool_gradient(x: Array, y: Array, dy: Array, window: int, stride: int, pads: Pads) -> Array:
    """The gradient of x, whose largest values are y."""
    return _call("max_pool_gradient", [x.shape], x, y, dy, window=np.int64(window), **_window(stride, pads))[0]


def batch_norm(x: Array, scale: Array, bias: Array, epsilon: float, activation: str) -> tuple[Array, Array, Array]:
    """y (..., C), and the batch's mean and variance (C,)."""
    results = _like(x), scale.shape, scale.shape
    y, mean, variance = _call(_of(x, "batch_norm"), results, x, scale, bias, **_norm(epsilon, activation))
    return y, mean, variance


def batch_norm_gradient(
    x: Array, scale: Array, bias: Array, mean: Array, variance: Array, dy: Array, epsilon: float, activation: str
) -> tuple[Array, Array, Array]:
    """The gradients of x, scale and bias."""
    arrays, static = (x, scale, bias, mean, variance, dy), _norm(epsilon, activation)
    dx, dscale, dbias = _call(_of(x, "batch_norm_gradient"), [_like(x), scale.shape, bias.shape], *arrays, **static)
    return dx, dscale, dbias


def norm_depthwise(
    x: Array, scale: Array, bias: Array, kernel: Array, epsilon: float, activation: str, stride: int, pads: Pads
) -> tuple[Array, Array, Array]:
    """`depthwise` of `batch_norm`: y (N, H', W', C), and the batch's mean and variance (C,)."""
    out = jax.ShapeDtypeStruct(shape_of(x, kernel, stride, pads), x.dtype)
    arrays, static = (x, scale, bias, kernel), _norm(epsilon, activation) | _window(stride, pads)
    y, mean, variance = _call(_of(x, "norm_depthwise"), [out, scale.shape, scale.shape], *arrays, **static)
    return y, mean, variance


def norm_depthwise_gradient(
    x: Array,
    scale: Array,
    bias: Array,
    mean: Array,
    variance: Array,
    kernel: Array,
    dy: Array,
    epsilon: float,
    activation: str,
    stride: int,
    pads: Pads,
) -> tuple[Array, Array, Array, Array]:
    """The gradients of x, scale, bias and kernel."""
    results = _like(x), scale.shape, scale.shape, kernel.shape
    arrays, static = (x, scale, bias, mean, variance, kernel, dy), _norm(epsilon, activation) | _window(stride, pads)
    dx, dscale, dbias, dkernel = _call(_of(x, "norm_depthwise_gradient"), results, *arrays, **static)
    return dx, dscale, dbias, dkernel


def norm_residual(x: Array, scale: Array, bias: Array, shortcut: Array, epsilon: float) -> tuple[Array, Array, Array]:
    """relu(shortcut + `batch_norm`): y (..., C), and the batch's mean and variance (C,)."""
    results, arrays = (_like(x), scale.shape, scale.shape), (x, scale, bias, shortcut)
    y, mean, variance = _call(_of(x, "norm_residual"), results, *arrays, epsilon=np.float32(epsilon))
    return y, mean, variance


def normalise(
    x: Array, scale: Array, bias: Array, mean: Array, variance: Array, epsilon: float, activation: str
) -> Array:
    """y (..., C), by statistics given (C,)."""
    arrays = (x, scale, bias, mean, variance)
    return _call(_of(x, "normalise"), [_like(x)], *arrays, **_norm(epsilon, activation))[0]


def squeeze_excite(
    x: Array, squeeze: Array, squeeze_bias: Array, excite: Array, excite_bias: Array, activation: str
) -> tuple[Array, Array, Array, Array]:
    """y (N, H, W, C), and what the gradient needs: means (N, C), hidden values (N, S), gates (N, C)."""
    (images, *_, channels), squeezed = x.shape, squeeze.shape[1]
    shapes, arrays = [x.shape, (images, channels), (images, squeezed), (images, channels)], (x, squeeze, squeeze_bias)
    y, mean, hidden, gate = _call(
        "squeeze_excite", shapes, *arrays, excite, excite_bias, activation=_activation(activation)
    )
    return y, mean, hidden, gate


def squeeze_excite_gradient(
    x: Array, squeeze: Array, excite: Array, mean: Array, hidden: Array, gate: Array, dy: Array, activation: str
) -> tuple[Array, Array, Array, Array, Array]:
    """The gradients of x and of the two layers: kernel, bias, kernel, bias."""
    shapes = [x.shape, squeeze.shape, squeeze.shape[1:], excite.shape, excite.shape[1:]]
    arrays = (x, squeeze, excite, mean, hidden, gate, dy)
    dx, dsqueeze, dsqueeze_bias, dexcite, dexcite_bias = _call(
        "squeeze_excite_gradient", shapes, *arrays, activation=_activation(activation)
    )
    return dx, dsqueeze, dsqueeze_bias, dexcite, dexcite_bias


def norm_squeeze_excite(
    x: Array,
    scale: Array,
    bias: Array,
    squeeze: Array,
    squeeze_bias: Array,
    excite: Array,
    excite_bias: Array,
    epsilon: float,
    activation: str,
    inner: str,
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """`squeeze_excite` of `batch_norm`: y, the batch's mean and variance (C,), and what the gates' gradient needs."""
    (images, *_, channels), squeezed = x.shape, squeeze.shape[1]
    kept = [(images, channels), (images, squeezed), (images, channels)]
    static = _norm(epsilon, activation) | {"inner": _activation(inner)}
    arrays = (x, scale, bias, squeeze, squeeze_bias, excite, excite_bias)
    results: list[Made] = [_like(x), scale.shape, scale.shape, *kept]
    y, mean, variance, pooled, hidden, gate = _call(_of(x, "norm_squeeze_excite"), results, *arrays, **static)
    return y, mean, variance, pooled, hidden, gate


def norm_squeeze_excite_gradient(
    x: Array,
    scale: Array,
    bias: Array,
    mean: Array,
    variance: Array,
    squeeze: Array,
    excite: Array,
    pooled: Array,
    hidden: Array,
    gate: Array,
    dy: Array,
    epsilon: float,
    activation: str,
    inner: str,
) -> Sequence[Array]:
    """The gradients of x, scale and bias, and of the two layers: kernel, bias, kernel, bias."""
    layers = [squeeze.shape, squeeze.shape[1:], excite.shape, excite.shape[1:]]
    static = _norm(epsilon, activation) | {"inner": _activation(inner)}
    arrays = (x, scale, bias, mean, variance, squeeze, excite, pooled, hidden, gate, dy)
    results: list[Made] = [_like(x), scale.shape, scale.shape, *layers]
    return _call(_of(x, "norm_squeeze_excite_gradient"), results, *arrays, **static)


def split(vector: Array, shapes: Sequence[Shape]) -> Sequence[Array]:
    """The vector's parts in order, as arrays of these shapes."""
    return _call("split", shapes, vector)


def moving_average(averages: Sequence[Array], values: Sequence[Array], momentum: float) -> Sequence[Array]:
    """momentum * average + (1 - momentum) * value, of each pair."""
    pairs = [array for pair in zip(averages, values, strict=True) for array in pair]
    return _call("moving_average", [array.shape for array in averages], *pairs, momentum=np.float32(momentum))


def muon(
    ahead: Array,
    kernels: Array,
    updates: Array,
    rate: Array,
    matrices: Sequence[tuple[int, int, int]],
    coefficients: Sequence[float],
    iterations: int,
    weight_decay: float,
) -> Array:
    """Updates of packed kernels: those given, but for `matrices` (offset, rows, columns), which take a step of Muon."""
    # The largest first, as each is one thread's.
    matrices = sorted(matrices, key=lambda matrix: -matrix[1] * matrix[2])
    offsets, rows, columns = np.asarray(matrices, np.int64).reshape(-1, 3).T
    return _call(
        "muon",
        [ahead.shape],
        *(ahead, kernels, updates, rate),
        offsets=offsets,
        rows=rows,
        columns=columns,
        coefficients=np.asarray(coefficients, np.float32),
        iterations=np.int64(iterations),
        weight_decay=np.float32(weight_decay),
    )[0]


def rmsprop(
    vectors: Sequence[Array],
    rate: Array,
    keep: Array,
    gradients: Sequence[Array],
    momentum: float,
    decay: float,
    epsilon: float,
    weight_decay: float,
) -> Sequence[Array]:
    """Packed parameters, mean squares, updates and averaged parameters after a step of RMSProp.

    Where `vectors`, which are these before it, may be changed, they are. Gradients are in pieces, which lie one after
    another in the vectors.
    """
    results = [jax.ShapeDtypeStruct(array.shape, jnp.float32) for array in vectors]
    named = {"momentum": momentum, "decay": decay, "epsilon": epsilon, "weight_decay": weight_decay}
    static = {name: np.float32(value) for name, value in named.items()}
    call = jax.ffi.ffi_call("scaling_search_rmsprop", results, input_output_aliases={n: n for n in range(len(results))})
    found: Sequence[Array] = call(*vectors, rate, keep, *gradients, **static)
    return found


def kept(key: Array, count: Array, share: float, shape: Shape) -> Array:
    """1 / share for each number of this shape that is kept, and 0 for the others, by the key (2,) and count, uint32."""
    return _call("kept", [shape], key, count, share=np.float32(share))[0]


def _call(name: str, results: Sequence[Made], *arrays: Array, **attributes: Attribute) -> Sequence[Array]:
    made = [jax.ShapeDtypeStruct(one, jnp.float32) if isinstance(one, tuple) else one for one in results]
    found: Sequence[Array] = jax.ffi.ffi_call(f"scaling_search_{name}", made)(*arrays, **attributes)
    return found


def _like(x: Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype)


def _half(shape: Shape) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.bfloat16)


def _of(x: Array, name: str) -> str:
    """The name of a call for images like x."""
    return f"half_{name}" if x.dtype == jnp.bfloat16 else name


def _window(stride: int, pads: Pads) -> dict[str, np.generic]:
    return {"stride": np.int64(stride), "top": np.int64(pads[0][0]), "left": np.int64(pads[1][0])}


def _norm(epsilon: float, activation: str) -> dict[str, np.generic]:
    return {"epsilon": np.float32(epsilon), "activation": _activation(activation)}


def _activation(name: str) -> np.int64:
    return np.int64(ACTIVATIONS.index(name))
