"""The paper's recipe as an optimiser and two schedules, stretched to the length of the run.

Section 5.2 of "EfficientNet": RMSProp with decay 0.9 and momentum 0.9, batch-norm momentum 0.99, weight decay 1e-5,
initial learning rate 0.256 that decays by 0.97 every 2.4 epochs; 4096 images a step, 350 epochs, five of warm-up, and
averaged weights, by the authors' code.
"""

import jax.numpy as jnp
import optax
from jax import Array

from scaling_search.config import Recipe

PAPER_BATCH = 4096
"""Images a step for which the paper's learning rate is given."""


def learning_rate(recipe: Recipe, steps_per_epoch: int) -> optax.Schedule:
    """The learning rate at a step: linear warm-up, then exponential decay in stairs.

    Both keep their share of the run: a run of 12 epochs decays as far as the paper's does in 350. The peak is in
    proportion to the batch ("Accurate, Large Minibatch SGD", Goyal et al., 2017).
    """
    total = recipe.epochs * steps_per_epoch
    peak = recipe.learning_rate * recipe.batch_size / PAPER_BATCH
    warmup = total * recipe.warmup_epochs / recipe.paper_epochs
    stair = total * recipe.decay_epochs / recipe.paper_epochs

    def schedule(step: Array) -> Array:
        warm = jnp.minimum(1.0, (step + 1) / max(warmup, 1.0))
        return jnp.asarray(peak * warm * recipe.decay_rate ** jnp.floor(step / stair), jnp.float32)

    return schedule


def optimiser(recipe: Recipe, steps_per_epoch: int) -> optax.GradientTransformation:
    """RMSProp with L2 weight decay, for parameters packed as {"kernels": vector, "rest": vector}."""
    return optax.chain(
        optax.add_decayed_weights(recipe.weight_decay, mask={"kernels": True, "rest": False}),
        optax.rmsprop(
            learning_rate(recipe, steps_per_epoch),
            decay=recipe.rms_decay,
            eps=recipe.epsilon,
            momentum=recipe.momentum,
            # TensorFlow's RMSProp, which the paper used, starts its mean squares at 1.
            initial_scale=1.0,
        ),
    )


def ema_decay(recipe: Recipe, step: Array) -> Array:
    """Decay of the averaged weights after `step` steps: warmed up, so that short runs forget their start."""
    return jnp.minimum(recipe.ema_decay, (1.0 + step) / (10.0 + step))


def batch_norm_momentum(recipe: Recipe, total_steps: int) -> float:
    """Momentum of batch norm's running averages: they average over a tenth of the run at the most."""
    return min(recipe.batch_norm_momentum, max(0.5, 1 - 10 / total_steps))
