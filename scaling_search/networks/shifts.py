"""A depthwise convolution and its gradients as sums of shifted products: what XLA compiles well for a CPU.

Images are NHWC; the kernel is (K, K, 1, C) with any K; padding is given in pixels.
"""

import jax.numpy as jnp
from jax import Array, lax

from scaling_search.networks.sums import channel_sums

Pads = tuple[tuple[int, int], tuple[int, int]]


def wide(x: Array) -> jnp.dtype:
    """What sums over x are taken in: float32, or float64 where x is that."""
    return jnp.promote_types(x.dtype, jnp.float32)


def depthwise(x: Array, kernel: Array, stride: int, pads: Pads) -> Array:
    """x (N, H, W, C) -> (N, H', W', C)."""
    kernel, pads, _ = _cropped(x, kernel, stride, pads)
    parts = _shifted_once(x, kernel.shape[:2], stride, pads)
    return sum(part * tap for part, tap in zip(parts, kernel.reshape(-1, x.shape[3]), strict=True))  # type: ignore[return-value]


def depthwise_gradient(x: Array, kernel: Array, dy: Array, stride: int, pads: Pads) -> tuple[Array, Array]:
    """The gradients of x and kernel."""
    kernel, pads, cut = _cropped(x, kernel, stride, pads)
    dkernel = _kernel_gradient(x, kernel, dy, stride, pads)
    return _input_gradient(x, kernel, dy, stride, pads), jnp.pad(dkernel, (*cut, (0, 0), (0, 0)))


def _cropped(x: Array, kernel: Array, stride: int, pads: Pads) -> tuple[Array, Pads, Pads]:
    """The kernel without the rows and columns that meet nothing but padding, its pads, and how many were cut off.

    Of a kernel of 5x5 on a last map of one pixel, that pixel's tap is left.
    """
    cut = []
    for side, taps, (before, after) in zip(x.shape[1:3], kernel.shape[:2], pads, strict=True):
        begins = range(-before, side + after - taps + 1, stride)
        meeting = [tap for tap in range(taps) if any(0 <= begin + tap < side for begin in begins)] or [0, taps - 1]
        cut.append((meeting[0], taps - 1 - meeting[-1]))
    (top, bottom), (left, right) = cut
    rows, columns = kernel.shape[:2]
    left_over = [(before - first, after - last) for (before, after), (first, last) in zip(pads, cut, strict=True)]
    return kernel[top : rows - bottom, left : columns - right], tuple(left_over), tuple(cut)  # type: ignore[return-value]


def _kernel_gradient(x: Array, kernel: Array, dy: Array, stride: int, pads: Pads) -> Array:
    rows, columns, _, channels = kernel.shape
    # XLA's library takes this sum as it is, so that dy has to lie in memory: else each of the loops below would compute
    # what dy is computed from. It adds nothing, but XLA may not leave it out.
    nothing = 0 * dy.reshape(-1, channels).astype(wide(x)).sum(0)
    products = [(part * dy).astype(wide(x)) for part in _shifted_once(x, (rows, columns), stride, pads)]
    # More than a row of taps at once would be more sums than a loop has registers for.
    sums = [total for row in range(rows) for total in channel_sums(*products[row * columns : (row + 1) * columns])]
    return (jnp.stack(sums) + nothing).reshape(kernel.shape).astype(kernel.dtype)


def _shifted_once(x: Array, window: tuple[int, ...], stride: int, pads: Pads) -> list[Array]:
    # Without the barrier, taps that meet no padding would read x itself, and both would be written to memory.
    padded = lax.optimization_barrier(jnp.pad(x, ((0, 0), *pads, (0, 0))))
    return shifted(padded, window, stride, ((0, 0), (0, 0)))


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
    # How far taps of the first phase reach before dy, and taps of the last one behind it.
    reach = [
        (max(-((before - taps + 1) // stride), 0), max(steps + (stride - 1 + before) // stride - side, 0))
        for before, taps, steps, side in zip((top, left), (rows, columns), (height, width), dy.shape[1:3], strict=True)
    ]
    padded = jnp.pad(dy, ((0, 0), *reach, (0, 0)))
    (above, _), (aside, _) = reach

    def phase(p: int, q: int) -> Array:
        terms = [
            padded[:, above + u : above + u + height, aside + v : aside + v + width] * kernel[i, j, 0]
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
