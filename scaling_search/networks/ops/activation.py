"""Activations by their names, and their slopes."""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array, lax

from scaling_search.networks import shifts
from scaling_search.networks.lowering import Form, by_platform

Activation = Literal["silu", "relu", "relu6", "none"]


def sigmoid_by_tanh(x: Array) -> Array:
    """The sigmoid as XLA computes it fastest on a CPU: its tanh takes no exponential."""
    # Rounded at the end alone: a tanh near -1 in bfloat16 would leave nothing of a small sigmoid.
    halved = 0.5 * x.astype(shifts.wide(x))
    return (0.5 * jnp.tanh(halved) + 0.5).astype(x.dtype)


def activate(x: Array, activation: Activation, sigmoid: Callable[[Array], Array] = lax.logistic) -> Array:
    """Applies an activation by its name."""
    match activation:
        case "silu":
            return x * sigmoid(x)
        case "relu":
            return jnp.maximum(x, 0)
        case "relu6":
            return jnp.clip(x, 0, 6)
        case "none":
            return x


def activation_gradient(
    z: Array, activation: Activation, sigmoid: Callable[[Array], Array] = lax.logistic
) -> Array | None:
    """The slope of an activation at z; None where it is 1 everywhere."""
    match activation:
        case "silu":
            share = sigmoid(z)
            return share * (1 + z * (1 - share))
        case "relu":
            return (z > 0).astype(z.dtype)
        case "relu6":
            return ((z > 0) & (z < 6)).astype(z.dtype)
        case "none":
            return None


def relu(x: Array) -> Array:
    """`jax.nn.relu`, of which a GPU keeps the result alone for the gradient: what follows keeps that as well."""
    # Networks are named by their program in float32, which stays as it was.
    return _relu(x) if x.dtype == jnp.bfloat16 else jax.nn.relu(x)


@jax.custom_vjp
def _relu(x: Array) -> Array:
    return by_platform(x, out=[x], cpu=Form(_rectified), plain=Form(_rectified), gpu=Form(_rectified_once))[0]


def _rectified(x):  # type: ignore[no-untyped-def]
    return [jnp.maximum(x, 0)]


def _rectified_once(x):  # type: ignore[no-untyped-def]
    # Else XLA asks x whether the result is above 0, and writes both to memory.
    return lax.optimization_barrier(_rectified(x))


def _relu_forward(x: Array) -> tuple[Array, Array]:
    y = _relu(x)
    return y, y


_relu.defvjp(_relu_forward, lambda y, dy: (jnp.where(y > 0, dy, 0),))
