"""Muon: momentum whose steps are orthogonalised, kernel by kernel, beside another optimiser for what is no matrix.

Keller Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024). A convolution's kernel
(height, width, inputs, outputs) is a matrix from height x width x inputs to outputs. Depthwise kernels, dense layers,
scales and biases are left to the other optimiser.
"""

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax

from scaling_search.native import calls
from scaling_search.networks import ops
from scaling_search.networks.lowering import Form, by_platform, takes_native
from scaling_search.training.moving import Packed, joined_pieces

ITERATIONS = 5
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic that brings singular values to between 0.7 and 1.2 within five iterations."""

PADDED_UP_TO = 1e8
"""Multiply-adds of a round on a GPU, up to which all matrices are padded to one shape."""

Shape = tuple[int, ...]


class MuonState(NamedTuple):
    """What Muon remembers."""

    step: Array
    momentum: Array
    """Average gradient of all kernels, packed as these."""
    other: optax.OptState


def orthogonalised(matrices: Array) -> Array:
    """Matrices (N, rows, columns) with their singular values brought to about 1."""
    a, b, c = _COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.swapaxes(1, 2) if tall else matrices
    x = x / (jnp.linalg.norm(x, axis=(1, 2), keepdims=True) + 1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.swapaxes(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.swapaxes(1, 2) if tall else x


def is_matrix(shape: Shape) -> bool:
    """Whether Muon takes a kernel: a convolution's that mixes channels."""
    return len(shape) == 4 and shape[2] > 1


def muon(
    rate: optax.Schedule,
    shapes: Sequence[Shape],
    *,
    momentum: float,
    weight_decay: float,
    other: optax.GradientTransformation,
) -> optax.GradientTransformation:
    """Muon for the kernels of `shapes`, which are packed one after the other, and `other` for the other parameters.

    Weight decay is decoupled. A step of a matrix is `rate` times an orthogonal one, times the root of outputs / inputs
    where there are more outputs. On a CPU all matrices take theirs in one native call, where that is there.
    """
    static = (tuple(shapes), weight_decay)
    forms = {"cpu": Form(_moved_on_cpu, static), "plain": Form(_moved, static), "gpu": Form(_moved_on_gpu, static)}

    def init(params: Packed) -> MuonState:
        return MuonState(jnp.zeros((), jnp.int32), jnp.zeros_like(params["kernels"]), other.init(params))

    def update(gradients: Packed, state: MuonState, params: Packed) -> tuple[Packed, MuonState]:
        updates, of_other = other.update(gradients, state.other, params)
        average = momentum * state.momentum + (1 - momentum) * gradients["kernels"]
        ahead = momentum * average + (1 - momentum) * gradients["kernels"]
        arrays = ahead, params["kernels"], updates["kernels"], rate(state.step)
        (moved,) = by_platform(*arrays, out=[ahead], **forms)
        return {**updates, "kernels": moved}, MuonState(state.step + 1, average, of_other)

    return optax.GradientTransformation(init, update)  # type: ignore[arg-type]


def _moved(  # type: ignore[no-untyped-def]
    ahead: Array, kernels: Array, updates: Array, rate: Array, shapes: tuple[Shape, ...], weight_decay: float
):
    """Updates of all kernels, packed: Muon's of matrices, for momentum `ahead`, and the given ones of the others."""
    groups: dict[tuple[int, int], list[int]] = {}
    for index, shape in enumerate(shapes):
        if is_matrix(shape):
            groups.setdefault((math.prod(shape[:-1]), shape[-1]), []).append(index)
    steps, before, packed = (list(ops.split(vector, shapes)) for vector in (ahead, kernels, updates))
    for (inputs, outputs), members in groups.items():
        step = orthogonalised(jnp.stack([steps[index].reshape(inputs, outputs) for index in members]))
        step *= max(1.0, outputs / inputs) ** 0.5
        for index, one in zip(members, step, strict=True):
            packed[index] = -rate * (one.reshape(shapes[index]) + weight_decay * before[index])
    return [joined_pieces(packed)]


def _moved_on_gpu(  # type: ignore[no-untyped-def]
    ahead: Array, kernels: Array, updates: Array, rate: Array, shapes: tuple[Shape, ...], weight_decay: float
):
    """`_moved`, of matrices that are padded with zeros to one shape where that is little to compute.

    A product of its own for each shape takes longer to launch than the zeros take, and each kernel takes XLA longer to
    compile than either.
    """
    sides = [sorted((math.prod(shape[:-1]), shape[-1])) for shape in shapes if is_matrix(shape)]
    rows, columns = (max(lengths) for lengths in zip(*sides, strict=True)) if sides else (0, 0)
    if not 0 < len(sides) * rows * rows * (2 * columns + rows) <= PADDED_UP_TO:
        return _moved(ahead, kernels, updates, rate, shapes, weight_decay)
    places, back, factors = _padded(shapes, rows, columns)
    # Else XLA would compute what is gathered anew for each element.
    ahead = lax.optimization_barrier(ahead)
    x = orthogonalised(ahead.at[places].get(mode="fill", fill_value=0)) * factors
    step = x.reshape(-1).at[back].get(mode="fill", fill_value=0)
    return [jnp.where(back < x.size, -rate * (step + weight_decay * kernels), updates)]


def _padded(shapes: tuple[Shape, ...], rows: int, columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How the matrices among packed kernels lie in an array (N, rows, columns), none taller than wide.

    Where in the vector each element is from, and where in the array each element of the vector is; the size of the
    other where it is in none. And what the step of each matrix is multiplied by, (N, 1, 1).
    """
    taken = [index for index, shape in enumerate(shapes) if is_matrix(shape)]
    ends = list(accumulate(map(math.prod, shapes)))
    places = np.full((len(taken), rows, columns), ends[-1], np.int32)
    factors = np.ones((len(taken), 1, 1), np.float32)
    for place, factor, index in zip(places, factors, taken, strict=True):
        one = np.arange(ends[index] - math.prod(shapes[index]), ends[index]).reshape(-1, shapes[index][-1])
        factor[:] = max(1.0, one.shape[1] / one.shape[0]) ** 0.5
        one = one.T if one.shape[0] > one.shape[1] else one
        place[: one.shape[0], : one.shape[1]] = one
    back = np.full(ends[-1] + 1, places.size, np.int32)
    back[places.ravel()] = np.arange(places.size)
    return places, back[:-1], factors


def _moved_on_cpu(*arguments):  # type: ignore[no-untyped-def]
    ahead, kernels, updates, rate, shapes, weight_decay = arguments
    if not takes_native(ahead, kernels, updates, rate):
        return _moved(*arguments)
    ends = accumulate(map(math.prod, shapes))
    matrices = [
        (end - math.prod(shape), math.prod(shape[:-1]), shape[-1])
        for shape, end in zip(shapes, ends, strict=True)
        if is_matrix(shape)
    ]
    return [calls.muon(ahead, kernels, updates, rate, matrices, _COEFFICIENTS, ITERATIONS, weight_decay)]
