"""A depthwise convolution and its gradients as sums of shifted products: what XLA compiles well for a CPU.

Images are NHWC; the kernel is (K, K, 1, C) with any K; padding is given in pixels.
"""

import jax.numpy as jnp
from jax import Array

Pads = tuple[tuple[int, int], tuple[int, int]]


def wide(x: Array) -> jnp.dtype:
    """What sums over x are taken in: float32, or float64 where x is that."""
    return jnp.promote_types(x.dtype, jnp.float32)


def depthwise(x: Array, kernel: Array, stride: int, pads: Pads) -> Array:
    """x (N, H, W, C) -> (N, H', W', C)."""
    parts = shifted(x, kernel.shape[:2], stride, pads)
    return sum(part * tap for part, tap in zip(parts, kernel.reshape(-1, x.shape[3]), strict=True))  # type: ignore[return-value]


def depthwise_gradient(x: Array, kernel: Array, dy: Array, stride: int, pads: Pads) -> tuple[Array, Array]:
    """The gradients of x and kernel."""
    parts = shifted(x, kernel.shape[:2], stride, pads)
    products = [(part * dy).reshape(-1, x.shape[3]).astype(wide(x)).sum(0) for part in parts]
    dkernel = jnp.stack(products).reshape(kernel.shape).astype(kernel.dtype)
    return _input_gradient(x, kernel, dy, stride, pads), dkernel


def shifted(x: Array, window: tuple[int, ...], stride: int, pads: Pads) -> list[Array]:
    """For each tap of a window, row by row: the part of padded x that it meets, of the output's size."""
    padded = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    height, width = ((side - taps) // stride + 1 for side, taps in zip(padded.shape[1:3], window, strict=True))
    return [
        padded[:, i : i + (height - 1) * stride + 1 : stride, j : j + (width - 1) * stride + 1 : stride]
        for i in range(window[0])
        for j in range(window[1])
    ]


def _input_gradient(x: Array, kernel: Array, dy: Array, stride: int, pads: Pads) -> Array:
    """The gradient of x: dx[y] = sum over i of kernel[i] * dy[(y + pad - i) / stride], where that is whole.

    Rows (and columns) of x with the same remainder by the stride meet the same taps, so each such phase is a sum of
    shifted products of its own, and the phases are interleaved at the end. No zeros are multiplied.
    """
    (top, _), (left, _) = pads
    rows, columns = kernel.shape[:2]
    height, width = (-(-side // stride) for side in x.shape[1:3])
    # Taps reach at most `rows` beyond either end of dy, which itself may be shorter than the phase.
    padded = jnp.pad(dy, ((0, 0), (rows, rows + height), (columns, columns + width), (0, 0)))

    def phase(p: int, q: int) -> Array:
        terms = [
            padded[:, rows + u : rows + u + height, columns + v : columns + v + width] * kernel[i, j, 0]
            for i in range((p + top) % stride, rows, stride)
            for j in range((q + left) % stride, columns, stride)
            for u, v in [((p + top - i) // stride, (q + left - j) // stride)]
        ]
        return sum(terms) if terms else jnp.zeros((x.shape[0], height, width, x.shape[3]), x.dtype)  # type: ignore[return-value]

    if stride == 1:
        return phase(0, 0)
    grid = jnp.stack([jnp.stack([phase(p, q) for q in range(stride)], 3) for p in range(stride)], 2)
    interleaved = grid.reshape(x.shape[0], height * stride, width * stride, x.shape[3])
    return interleaved[:, : x.shape[1], : x.shape[2]]
