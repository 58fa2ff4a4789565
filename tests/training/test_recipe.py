import jax.numpy as jnp
import numpy as np
import pytest

from scaling_search.config import Recipe
from scaling_search.training.recipe import batch_norm_momentum, ema_decay, learning_rate, optimiser


def test_at_the_papers_size_the_learning_rate_is_the_papers():
    steps_per_epoch = 312
    rate = learning_rate(Recipe(epochs=350, batch_size=4096), steps_per_epoch)
    assert float(rate(0)) == pytest.approx(0.256 / (5 * steps_per_epoch))
    assert float(rate(5 * steps_per_epoch)) == pytest.approx(0.256 * 0.97**2)
    for epoch in (6, 24, 100, 349):
        assert float(rate(epoch * steps_per_epoch + 1)) == pytest.approx(0.256 * 0.97 ** (epoch // 2.4), rel=1e-5)


def test_a_short_run_decays_as_far_as_a_long_one():
    short, long = (learning_rate(Recipe(epochs=epochs), 20) for epochs in (12, 350))
    assert float(short(12 * 20 - 1)) == pytest.approx(float(long(350 * 20 - 1)), rel=0.05)


def test_the_learning_rate_is_in_proportion_to_the_batch():
    small, large = (learning_rate(Recipe(epochs=100, batch_size=size), 100) for size in (32, 128))
    assert float(large(5000)) == pytest.approx(4 * float(small(5000)))


def test_rmsprop_steps_as_the_formula_says():
    recipe = Recipe(epochs=350, batch_size=4096, warmup_epochs=0, weight_decay=0.1)
    rule = optimiser(recipe, 10**6)
    params = {"kernels": jnp.array([2.0]), "rest": jnp.array([2.0])}
    gradient = {"kernels": jnp.array([0.5]), "rest": jnp.array([0.5])}
    state = rule.init(params)
    expected = {}
    for part, decay in (("kernels", 0.1), ("rest", 0.0)):
        mean_square, momentum = 1.0, 0.0
        for _ in range(3):
            g = 0.5 + decay * 2.0
            mean_square = 0.9 * mean_square + 0.1 * g * g
            momentum = 0.9 * momentum + 0.256 * g / np.sqrt(mean_square + 1e-3)
        expected[part] = -momentum
    for _ in range(3):
        updates, state = rule.update(gradient, state, params)
    for part in expected:
        assert float(updates[part][0]) == pytest.approx(expected[part], rel=1e-5)


def test_averages_forget_the_start_of_a_short_run():
    assert float(ema_decay(Recipe(), jnp.asarray(0))) == pytest.approx(0.1)
    assert float(ema_decay(Recipe(), jnp.asarray(10**6))) == pytest.approx(0.9999)
    assert batch_norm_momentum(Recipe(), 10**6) == 0.99
    assert batch_norm_momentum(Recipe(), 100) == pytest.approx(0.9)
    assert batch_norm_momentum(Recipe(), 1) == 0.5
