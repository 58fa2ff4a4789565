"""Activations by their names, and their slopes."""

from typing import Literal

import jax.numpy as jnp
from jax import Array, lax

Activation = Literal["silu", "relu", "relu6", "none"]


def activate(x: Array, activation: Activation) -> Array:
    """Applies an activation by its name."""
    match activation:
        case "silu":
            return x * lax.logistic(x)
        case "relu":
            return jnp.maximum(x, 0)
        case "relu6":
            return jnp.clip(x, 0, 6)
        case "none":
            return x


def activation_gradient(z: Array, activation: Activation) -> Array | None:
    """The slope of an activation at z; None where it is 1 everywhere."""
    match activation:
        case "silu":
            sigmoid = lax.logistic(z)
            return sigmoid * (1 + z * (1 - sigmoid))
        case "relu":
            return (z > 0).astype(z.dtype)
        case "relu6":
            return ((z > 0) & (z < 6)).astype(z.dtype)
        case "none":
            return None
