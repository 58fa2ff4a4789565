"""Many small arrays at once, for each of which XLA would compile a loop of its own."""

import math
from collections.abc import Sequence
from functools import partial
from itertools import accumulate

import jax
import jax.numpy as jnp
from jax import Array, lax

from scaling_search.native import calls
from scaling_search.networks.lowering import Form, by_platform, takes_native

CUT_AT_RUN_TIME = 2**20
"""Elements of a vector up to which a GPU is told at run time where its parts begin: where compiling is what counts."""


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
    forms = {"cpu": Form(_split_on_cpu, shapes), "plain": Form(_split, shapes), "gpu": Form(_split_on_gpu, shapes)}
    return by_platform(vector, out=out, **forms)


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


def _split_on_gpu(vector, *shapes):  # type: ignore[no-untyped-def]
    if vector.size > CUT_AT_RUN_TIME:
        return _split(vector, *shapes)
    sizes = list(map(math.prod, shapes))
    # Behind the barrier XLA does not know where a part begins, so that one kernel serves all blocks of a stage.
    begins = lax.optimization_barrier(
        [jnp.uint32(end - size) for size, end in zip(sizes, accumulate(sizes), strict=True)]
    )
    parts = zip(begins, sizes, shapes, strict=True)
    return [lax.dynamic_slice(vector, (begin,), (size,)).reshape(shape) for begin, size, shape in parts]


def _split_on_cpu(vector, *shapes):  # type: ignore[no-untyped-def]
    return calls.split(vector, shapes) if takes_native(vector) else _split(vector, *shapes)


split.defvjp(
    lambda vector, shapes: (split(vector, shapes), None),
    lambda shapes, _, parts: (jnp.concatenate([part.reshape(-1) for part in parts]),),
)
