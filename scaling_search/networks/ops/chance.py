"""What is kept of a batch in training, and what is dropped by chance."""

import jax
import jax.numpy as jnp
from jax import Array

from scaling_search import native
from scaling_search.native import calls
from scaling_search.networks.lowering import Form, by_platform

NATIVE_KEYS = "threefry2x32"
"""The keys, JAX's own, whose numbers the native kernel draws."""


def kept(key: Array, count: Array, share: float, shape: tuple[int, ...]) -> Array:
    """1 / share for what is kept, each with probability `share`, and 0 for the rest: float32 of this shape.

    Decisions are `jax.random.bernoulli`'s, with the key that `count` is folded into. In one call on a CPU, where XLA
    would loop through small operations.
    """
    static = (str(jax.random.key_impl(key)), share, shape)
    forms = {"cpu": Form(_kept_on_cpu, static), "plain": Form(_kept, static)}
    return by_platform(jax.random.key_data(key), count, out=[jax.ShapeDtypeStruct(shape, jnp.float32)], **forms)[0]


def _kept(data: Array, count: Array, keys: str, share: float, shape: tuple[int, ...]) -> list[Array]:
    key = jax.random.fold_in(jax.random.wrap_key_data(data, impl=keys), count)
    return [jnp.where(jax.random.bernoulli(key, share, shape), jnp.float32(1 / share), 0)]


def _kept_on_cpu(data: Array, count: Array, keys: str, share: float, shape: tuple[int, ...]) -> list[Array]:
    ours = keys == NATIVE_KEYS and jax.config.jax_threefry_partitionable  # type: ignore[attr-defined]
    if ours and native.available():
        return [calls.kept(data, count, share, shape)]
    return _kept(data, count, keys, share, shape)
