"""Initial values of parameters, and networks that have shapes but no values."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from scaling_search.family import Family
from scaling_search.rule import Scale
from scaling_search.uncollected import uncollected

_SHAPES_ALONE: ContextVar[bool] = ContextVar("_SHAPES_ALONE", default=False)
"""Whether nobody looks at how initial values are made: tracing that takes most of the time of building a network."""

_ON_HOST: ContextVar[bool] = ContextVar("_ON_HOST", default=False)
"""Whether initial values stay with NumPy, which draws them."""


@contextmanager
def on_host() -> Iterator[None]:
    """Networks that are built in the body hold NumPy's arrays, for whoever packs them anyway.

    To hand hundreds of small arrays to JAX takes a quarter of the time of building a network.
    """
    token = _ON_HOST.set(True)
    try:
        yield
    finally:
        _ON_HOST.reset(token)


def normal(deviation: float) -> nnx.Initializer:
    """An initializer of independent normal values with mean 0.

    NumPy draws them from the key: a network has some eighty shapes, and compiling XLA's generator for each would take
    longer than training on small images. Under a trace, where a key has no value yet, JAX draws them.
    """

    def initialise(key, shape, dtype=jnp.float32, out_sharding=None):  # type: ignore[no-untyped-def]
        if _SHAPES_ALONE.get():
            return jax.lax.full(shape, 0, dtype)
        if isinstance(key, jax.core.Tracer):
            return deviation * jax.random.normal(key, shape, dtype)
        return _array(_generator(key).standard_normal(shape, np.float32) * np.float32(deviation), dtype)

    return initialise


def uniform(bound: float) -> nnx.Initializer:
    """An initializer of independent values between -bound and bound, drawn as in `normal`."""

    def initialise(key, shape, dtype=jnp.float32, out_sharding=None):  # type: ignore[no-untyped-def]
        if _SHAPES_ALONE.get():
            return jax.lax.full(shape, 0, dtype)
        if isinstance(key, jax.core.Tracer):
            return jax.random.uniform(key, shape, dtype, -bound, bound)
        return _array((2 * _generator(key).random(shape, np.float32) - 1) * np.float32(bound), dtype)

    return initialise


def filled(shape: tuple[int, ...], value: float) -> Array:
    """A float32 array of one value; by NumPy, as XLA would compile a program for each shape."""
    return _array(np.full(shape, value, np.float32), jnp.float32)


def zeros(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32, out_sharding: Any = None) -> Array:
    """An initializer of zeros."""
    return filled(shape, 0.0)


def _array(values: np.ndarray[Any, Any], dtype: Any) -> Any:
    # Without a dtype, JAX's asarray compiles a copy.
    return (np if _ON_HOST.get() else jnp).asarray(values, dtype)


def _generator(key: Array) -> np.random.Generator:
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


class _OneKeyStream(nnx.RngStream):
    """A stream whose keys are all the same. Counting keys under a trace takes flax time quadratic in their number."""

    def __call__(self) -> Array:
        return self.key[...]


def abstract_network(family: Family, scale: Scale, num_classes: int) -> nnx.Module:
    """The network with ShapeDtypeStructs for values: nothing is allocated or compiled. For costs, not for running."""
    token = _SHAPES_ALONE.set(True)
    try:
        return traced_network(family, scale, num_classes)[0]
    finally:
        _SHAPES_ALONE.reset(token)


@uncollected()
def traced_network(family: Family, scale: Scale, num_classes: int) -> tuple[nnx.Module, Any]:
    """The abstract network, and the traced program (a ClosedJaxpr) that makes its initial values from a key."""
    graph: list[Any] = []

    def build(key: Array) -> Any:
        rngs: Any = nnx.Rngs(0)
        rngs.default = _OneKeyStream(key, tag="default")
        graphdef, state = nnx.split(family.build(scale, num_classes, rngs=rngs))
        graph.append(graphdef)
        return state

    program, shapes = jax.make_jaxpr(build, return_shape=True)(jax.random.key(0))
    return nnx.merge(graph[0], shapes), program
