"""The optimiser, the schedules and the start of a network that a recipe asks for.

The paper's, by section 5.2 of "EfficientNet": RMSProp with decay 0.9 and momentum 0.9, batch-norm momentum 0.99, weight
decay 1e-5, initial learning rate 0.256 that decays by 0.97 every 2.4 epochs; 4096 images a step, 350 epochs, five of
warm-up, and averaged weights, by the authors' code. It is stretched to the length of the run.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, cast

import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from scaling_search.family import Family, fields_of
from scaling_search.recipe import Recipe
from scaling_search.training.moving import Optimiser, by_optax
from scaling_search.training.muon import muon
from scaling_search.training.rmsprop import rmsprop

PAPER_BATCH = 4096
"""Images a step for which the paper's learning rate is given."""

_KERNELS = {"kernels": True, "rest": False}
"""What weight decay acts on."""


def peak_rate(recipe: Recipe) -> float:
    """The peak of the learning rate as it is used.

    RMSProp's is given for the paper's batch, to which it is in proportion ("Accurate, Large Minibatch SGD", Goyal et
    al., 2017).
    """
    return recipe.learning_rate * (recipe.batch_size / PAPER_BATCH if recipe.optimiser == "rmsprop" else 1.0)


def learning_rate(recipe: Recipe, steps_per_epoch: int) -> optax.Schedule:
    """The learning rate at a step (from 0), by the recipe's schedule."""
    total = recipe.epochs * steps_per_epoch
    return _one_cycle(recipe, total) if recipe.schedule == "one_cycle" else _stairs(recipe, total)


def _stairs(recipe: Recipe, total: int) -> optax.Schedule:
    """Linear warm-up, then exponential decay in stairs.

    Both keep their share of the run: a run of 12 epochs decays as far as the paper's does in 350.
    """
    peak = peak_rate(recipe)
    warmup = total * recipe.warmup_epochs / recipe.paper_epochs
    stair = total * recipe.decay_epochs / recipe.paper_epochs

    def schedule(step: Array) -> Array:
        warm = jnp.minimum(1.0, (step + 1) / max(warmup, 1.0))
        return jnp.asarray(peak * warm * recipe.decay_rate ** jnp.floor(step / stair), jnp.float32)

    return schedule


def _one_cycle(recipe: Recipe, total: int) -> optax.Schedule:
    """Up to the peak in a straight line, then down to zero along half a cosine; what would be zero is left out.

    After "Super-Convergence" (Smith and Topin, 2019) and SGDR (Loshchilov and Hutter, 2017).
    """
    peak = peak_rate(recipe)
    rise = max(recipe.warmup_share * total, 1.0)
    fall = max(total + 1 - rise, 1.0)

    def schedule(step: Array) -> Array:
        done = step + 1.0
        falling = (1 + jnp.cos(jnp.pi * jnp.clip((done - rise) / fall, 0.0, 1.0))) / 2
        return jnp.asarray(peak * jnp.minimum(done / rise, falling), jnp.float32)

    return schedule


def optimiser(
    recipe: Recipe, steps_per_epoch: int, kernels: Sequence[tuple[int, ...]] = (), biases: ArrayLike = 0.0
) -> Optimiser:
    """The recipe's optimiser, for parameters packed as {"kernels": vector, "rest": vector}.

    `kernels` are the shapes of what is packed in the first, which Muon needs; `biases` is 1 where the second holds
    biases that a recipe may decay, 0 elsewhere.
    """
    rate = learning_rate(recipe, steps_per_epoch)
    betas = {"b1": recipe.momentum, "b2": recipe.rms_decay, "eps": recipe.epsilon}
    adamw = optax.adamw(rate, **betas, weight_decay=recipe.weight_decay, mask=_KERNELS)
    match recipe.optimiser:
        case "adamw":
            return by_optax(adamw)
        case "muon":
            return by_optax(
                muon(rate, kernels, momentum=recipe.momentum, weight_decay=recipe.weight_decay, other=adamw)
            )
        case "sgd":
            return by_optax(optax.chain(_penalty(recipe, biases), optax.sgd(rate, recipe.momentum, nesterov=True)))
        case "rmsprop":
            return rmsprop(
                rate,
                momentum=recipe.momentum,
                decay=recipe.rms_decay,
                epsilon=recipe.epsilon,
                weight_decay={
                    "kernels": recipe.weight_decay,
                    "rest": recipe.weight_decay * jnp.asarray(biases) if recipe.decay_biases else 0.0,
                },
            )


def _penalty(recipe: Recipe, biases: ArrayLike) -> optax.GradientTransformation:
    """Adds the gradient of half the squares of what weight decay takes in."""
    penalty = optax.add_decayed_weights(recipe.weight_decay, mask=_KERNELS)
    if not recipe.decay_biases:
        return penalty

    def with_biases(updates: Any, params: Any) -> Any:
        return {**updates, "rest": updates["rest"] + recipe.weight_decay * biases * params["rest"]}

    return optax.chain(penalty, optax.stateless(with_biases))


def starting(family: Family, recipe: Recipe) -> Family:
    """The family as the recipe has its networks built, as far as it can: branches of zeros, drop-connect."""
    asked = {"zero_init_residual": recipe.zero_init_residual or None, "drop_connect": recipe.drop_connect}
    fields = fields_of(family)
    changes = {name: value for name, value in asked.items() if value is not None and name in fields}
    if not changes:
        return family
    return cast(Family, dataclasses.replace(cast(Any, family), **changes))


def ema_decay(recipe: Recipe, step: Array) -> Array:
    """Decay of the averaged weights after `step` steps: warmed up, so that short runs forget their start."""
    return jnp.minimum(recipe.ema_decay, (1.0 + step) / (10.0 + step))


def batch_norm_momentum(recipe: Recipe, total_steps: int) -> float:
    """Momentum of batch norm's running averages: they average over a tenth of the run at the most."""
    return min(recipe.batch_norm_momentum, max(0.5, 1 - 10 / total_steps))
