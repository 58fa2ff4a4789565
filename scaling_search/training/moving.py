"""What an optimiser does to parameters packed as vectors, and to their averages."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

Packed = dict[str, Array]
"""Vectors by name: {"kernels": vector, "rest": vector}."""
Pieces = dict[str, list[Array]]
"""Of each vector, arrays of any shapes that lie one after another in it."""


class Optimiser(NamedTuple):
    """An optimiser that moves packed parameters."""

    init: Callable[[Packed], Any]
    """Parameters -> what it remembers of them."""
    move: Callable[[Pieces, Any, Packed, Packed, Array, Array | None], tuple[Packed, Any, Packed]]
    """(gradients, memory, parameters, averages, keep, times) -> (parameters, memory, averages).

    An average becomes keep * average + (1 - keep) * parameter. The learning rate is multiplied by `times` where given.
    """


def by_optax(rule: optax.GradientTransformation) -> Optimiser:
    """An optimiser of Optax's, with updates in proportion to the learning rate and a memory that starts as zeros."""

    def init(params: Packed) -> Any:
        return filled_like(jax.eval_shape(rule.init, params), 0)

    def move(
        gradients: Pieces, memory: Any, params: Packed, averages: Packed, keep: Array, times: Array | None
    ) -> tuple[Packed, Any, Packed]:
        joined = {name: joined_pieces(pieces) for name, pieces in gradients.items()}
        updates, memory = rule.update(joined, memory, params)
        if times is not None:
            updates = jax.tree.map(lambda leaf: times * leaf, updates)
        params = optax.apply_updates(params, updates)  # type: ignore[assignment]
        return params, memory, towards(averages, params, keep)

    return Optimiser(init, move)


def filled_like(tree: Any, value: float) -> Any:
    """Arrays of one value with the shapes of others; by NumPy, as XLA would compile a program for each shape."""
    return jax.tree.map(lambda leaf: jnp.asarray(np.full(leaf.shape, value, leaf.dtype), leaf.dtype), tree)


def joined_pieces(pieces: Sequence[Array]) -> Array:
    """One after another, in one vector."""
    return jnp.concatenate([piece.reshape(-1) for piece in pieces] or [jnp.zeros(0)])


def towards(old: Any, new: Any, keep: Array) -> Any:
    """keep * average + (1 - keep) * value, of each array."""
    return jax.tree.map(lambda average, value: keep * average + (1 - keep) * value, old, new)
