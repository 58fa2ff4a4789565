"""What a training computes in: float32, or bfloat16 with everything that adds up kept in float32."""

from typing import Any

import jax.numpy as jnp
from flax import nnx

from scaling_search.family import HEAD
from scaling_search.recipe import Precision, Recipe


def precision_of(recipe: Recipe, platform: str) -> Precision:
    """The recipe's precision; where it leaves that open, float32 on a CPU and bfloat16 on a GPU or TPU."""
    return recipe.precision or ("float32" if platform == "cpu" else "bfloat16")


def compute_in(network: nnx.Module, precision: Precision) -> None:
    """Tells the Flax layers of a network what to compute in; blocks of ours follow the dtype of their input.

    Parameters and batch statistics stay float32, and so does the classifier.
    """
    if precision == "float32":
        return
    for path, module in nnx.iter_modules(network):
        layer: Any = module
        if HEAD not in path and getattr(layer, "dtype", "") is None:
            layer.dtype = jnp.dtype(precision)
