import math
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from scaling_search import native
from scaling_search.baselines.resnet import RESNET50
from scaling_search.errors import UserError
from scaling_search.family import load_family
from scaling_search.recipe import PAPER, SHORT, Recipe
from scaling_search.rule import Scale
from scaling_search.training.moving import by_optax
from scaling_search.training.muon import _moved, _moved_on_cpu, _moved_on_gpu, muon, orthogonalised
from scaling_search.training.optimiser import batch_norm_momentum, ema_decay, learning_rate, optimiser, starting
from scaling_search.training.step import _batch_norms, _biases


def test_at_the_papers_size_the_learning_rate_is_the_papers():
    steps_per_epoch = 312
    rate = learning_rate(PAPER, steps_per_epoch)
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


@pytest.mark.parametrize(("epochs", "steps_per_epoch"), [(8, 75), (5, 40), (1, 10)])
def test_one_cycle_rises_to_its_peak_in_a_quarter_of_the_run_and_falls_to_almost_nothing(epochs, steps_per_epoch):
    total = epochs * steps_per_epoch
    recipe = replace(SHORT, epochs=epochs, learning_rate=0.5, warmup_share=0.25)
    rates = np.array([float(learning_rate(recipe, steps_per_epoch)(jnp.asarray(step))) for step in range(total)])
    peak = int(rates.argmax())
    assert rates[peak] == pytest.approx(0.5, rel=0.01) and abs(peak + 1 - total / 4) <= 1
    assert np.allclose(np.diff(rates[:peak]), rates[0], rtol=1e-3)
    assert (np.diff(rates[peak:]) < 0).all() and 0 < rates[-1] < 0.05 * 0.5
    # Half a cosine is as far above its middle as below it.
    assert rates[peak:].mean() == pytest.approx(0.25, rel=2 / total + 0.1)


@pytest.mark.parametrize(
    ("name", "decays_biases"), [("rmsprop", True), ("sgd", False), ("adamw", False), ("muon", False)]
)
def test_a_rate_may_be_multiplied(name, decays_biases):
    """What training several rates in one program rests on."""
    recipe = replace(SHORT, optimiser=name, decay_biases=decays_biases)
    shapes, rng = [(3, 3, 2, 4), (1, 1, 4, 6)], np.random.default_rng(0)
    params = {"kernels": jnp.asarray(rng.normal(size=96), jnp.float32), "rest": jnp.ones(5)}
    slow, fast = (optimiser(replace(recipe, learning_rate=rate), 4, shapes, jnp.ones(5)) for rate in (0.01, 0.05))
    states = [(params, slow.init(params), params), (params, fast.init(params), params)]
    for _ in range(3):
        gradients = {name: [jnp.asarray(rng.normal(size=leaf.shape), jnp.float32)] for name, leaf in params.items()}
        for n, (rule, times) in enumerate(((slow, jnp.float32(5)), (fast, None))):
            now, memory, averages = states[n]
            states[n] = rule.move(gradients, memory, now, averages, jnp.float32(0.9), times)
    (one, _, of_one), (other, _, of_other) = states
    for found, expected in ((one, other), (of_one, of_other)):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, expected)


def test_one_step_is_a_cycle_too():
    assert float(learning_rate(replace(SHORT, epochs=1), 1)(jnp.asarray(0))) == pytest.approx(SHORT.learning_rate)


def test_only_rmsprops_learning_rate_depends_on_the_batch():
    for name, times in (("rmsprop", 2), ("adamw", 1), ("sgd", 1)):
        small, large = (
            learning_rate(Recipe(optimiser=name, batch_size=size, warmup_epochs=0), 100) for size in (32, 64)
        )
        assert float(large(0)) == pytest.approx(times * float(small(0)))


def moved(rule, gradients, memory, params):
    """Parameters after a step, and what the rule remembers."""
    pieces = {name: [gradient] for name, gradient in gradients.items()}
    params, memory, _ = rule.move(pieces, memory, params, params, jnp.float32(0.5), None)
    return params, memory


def stepped(recipe, gradients, start=2.0):
    """Parameters after a step for each of `gradients`, of a kernel and of another one."""
    rule = optimiser(recipe, 10**6)
    params = {"kernels": jnp.array([start]), "rest": jnp.array([start])}
    state = rule.init(params)
    for gradient in gradients:
        params, state = moved(rule, {name: jnp.array([gradient]) for name in params}, state, params)
    return {name: float(value[0]) for name, value in params.items()}


def test_adamw_decays_kernels_apart_from_their_gradient():
    recipe = Recipe(optimiser="adamw", learning_rate=0.1, warmup_epochs=0, rms_decay=0.99, epsilon=1e-8)
    found = stepped(replace(recipe, weight_decay=0.5), [3.0])
    # The first step is the rate in the gradient's direction, whatever its size.
    assert found["rest"] == pytest.approx(2 - 0.1)
    assert found["kernels"] == pytest.approx(2 - 0.1 - 0.1 * 0.5 * 2)


def test_sgd_looks_ahead():
    recipe = Recipe(optimiser="sgd", learning_rate=0.1, warmup_epochs=0, weight_decay=0.0, momentum=0.9)
    expected, velocity = 2.0, 0.0
    for gradient in (1.0, -0.5, 2.0):
        velocity = 0.9 * velocity + gradient
        expected -= 0.1 * (gradient + 0.9 * velocity)
    assert stepped(recipe, [1.0, -0.5, 2.0])["rest"] == pytest.approx(expected, rel=1e-5)


def test_a_recipe_starts_branches_as_zeros_where_the_family_can():
    @dataclass(frozen=True)
    class Own:
        name: str = "own"
        resolution: int = 8

    assert starting(RESNET50, SHORT) == replace(RESNET50, zero_init_residual=True)
    assert starting(RESNET50, PAPER) is RESNET50
    own = Own()
    assert starting(own, SHORT) is own


def test_rmsprop_steps_as_the_formula_says():
    recipe = Recipe(epochs=350, batch_size=4096, warmup_epochs=0, weight_decay=0.1)
    found = stepped(recipe, [0.5, 0.5, 0.5])
    for part, decay in (("kernels", 0.1), ("rest", 0.0)):
        parameter, mean_square, momentum = 2.0, 1.0, 0.0
        for _ in range(3):
            g = 0.5 + decay * parameter
            mean_square = 0.9 * mean_square + 0.1 * g * g
            momentum = 0.9 * momentum + 0.256 * g / np.sqrt(mean_square + 1e-3)
            parameter -= momentum
        assert found[part] == pytest.approx(parameter, rel=1e-5)


def test_averages_forget_the_start_of_a_short_run():
    assert float(ema_decay(Recipe(), jnp.asarray(0))) == pytest.approx(0.1)
    assert float(ema_decay(Recipe(), jnp.asarray(10**6))) == pytest.approx(0.9999)
    assert batch_norm_momentum(Recipe(), 10**6) == 0.99
    assert batch_norm_momentum(Recipe(), 100) == pytest.approx(0.9)
    assert batch_norm_momentum(Recipe(), 1) == 0.5


def test_muon_orthogonalises_its_steps():
    rng = np.random.default_rng(0)
    for shape in ((3, 27, 8), (2, 8, 27), (1, 5, 5)):
        values = np.linalg.svd(orthogonalised(jnp.asarray(rng.standard_normal(shape), jnp.float32)), compute_uv=False)
        assert (values > 0.3).all() and (values < 1.3).all()


@pytest.mark.skipif(not native.available(), reason=native.status())
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e4])
def test_muon_in_one_native_call_moves_as_the_plain_form_does(size):
    """Tall and wide matrices, smaller and larger than the blocks in which they are computed, one of a single column."""
    shapes = (
        (3, 3, 3, 12),
        (1, 1, 23, 69),
        (3, 3, 1, 30),
        (1, 1, 69, 23),
        (3, 3, 70, 33),
        (2, 1, 1, 1),
        (1, 1, 2, 7),
        (1, 1, 7, 1),
        (5, 3),
    )
    rng = np.random.default_rng(0)
    arrays = [jnp.asarray(rng.standard_normal(sum(map(math.prod, shapes))), jnp.float32) for _ in range(3)]
    arguments = (size * arrays[0], *arrays[1:], jnp.float32(0.02), shapes, 0.01)
    (plain,), (found,) = _moved(*arguments), _moved_on_cpu(*arguments)
    np.testing.assert_allclose(found, plain, atol=2e-5 * np.abs(plain).max())


@pytest.mark.parametrize("matrices", [True, False])
def test_muon_of_padded_matrices_moves_as_the_plain_form_does(matrices):
    shapes = ((3, 3, 3, 12), (1, 1, 23, 69), (3, 3, 1, 30), (1, 1, 69, 23), (1, 1, 2, 7), (1, 1, 7, 1), (5, 3))
    shapes = shapes if matrices else shapes[2:3] + shapes[-1:]
    rng = np.random.default_rng(0)
    arrays = [jnp.asarray(rng.standard_normal(sum(map(math.prod, shapes))), jnp.float32) for _ in range(3)]
    arguments = (*arrays, jnp.float32(0.02), shapes, 0.01)
    (plain,), (found,) = _moved(*arguments), _moved_on_gpu(*arguments)
    np.testing.assert_allclose(found, plain, atol=2e-5 * np.abs(plain).max())


def test_a_gradient_that_is_no_number_makes_no_number_of_its_kernel_alone():
    shapes = ((1, 1, 20, 30), (1, 1, 30, 20))
    ahead = jnp.ones(1200).at[3].set(jnp.nan)
    (found,) = _moved_on_cpu(ahead, jnp.ones(1200), jnp.ones(1200), jnp.float32(0.02), shapes, 0.01)
    assert np.isnan(found[:600]).all() and np.isfinite(found[600:]).all()


def test_muon_moves_kernels_that_mix_channels_and_leaves_the_others_to_adamw():
    shapes = [(3, 3, 4, 8), (3, 3, 1, 8), (8, 10)]
    recipe = Recipe(optimiser="muon", learning_rate=0.1, warmup_epochs=0, weight_decay=0.01, epsilon=1e-8)
    rng = np.random.default_rng(0)
    sizes = [int(np.prod(shape)) for shape in shapes]
    params, gradients = (
        {"kernels": jnp.asarray(rng.standard_normal(sum(sizes)), jnp.float32), "rest": jnp.ones(5)} for _ in range(2)
    )

    def step(recipe):
        rule = optimiser(recipe, 10**6, shapes)
        after, _ = moved(rule, gradients, rule.init(params), params)
        updates = {name: np.asarray(after[name], np.float64) - np.asarray(params[name]) for name in params}
        return np.split(updates["kernels"], np.cumsum(sizes)[:-1]), updates["rest"]

    (mixing, *others), rest = step(recipe)
    (_, *expected), expected_rest = step(replace(recipe, optimiser="adamw"))
    assert all(np.allclose(found, one, atol=1e-6) for found, one in zip(others, expected, strict=True))
    assert np.allclose(rest, expected_rest, atol=1e-6)
    weights = np.asarray(params["kernels"][: sizes[0]])
    values = np.linalg.svd((-mixing / 0.1 - 0.01 * weights).reshape(36, 8), compute_uv=False)
    assert (values > 0.5).all() and (values < 1.3).all()


def test_biases_are_decayed_where_the_recipe_says_so_and_batch_norm_never() -> None:
    network = load_family("efficientnet_tiny").build(Scale(), 10, rngs=nnx.Rngs(0))
    biases = _biases(network, "all", _batch_norms(network))
    state = nnx.state(network, nnx.Param)
    gates = [gate for stage in network.stages for block in stage if (gate := block.gate) is not None]
    counted = sum(layer.bias[...].size for gate in gates for layer in (gate.squeeze, gate.excite)) + 10
    assert biases.sum() == counted
    assert len(biases) == sum(leaf.size for leaf in jax.tree.leaves(state) if leaf.ndim < 2)
    params = {"kernels": jnp.ones(3), "rest": jnp.ones(4)}
    still = jax.tree.map(jnp.zeros_like, params)
    for decays, expected in ((False, 0.0), (True, 0.5)):
        recipe = Recipe(optimiser="sgd", momentum=0.0, weight_decay=0.5, decay_biases=decays, learning_rate=1.0)
        rule = optimiser(recipe, 100, (), jnp.array([1.0, 1.0, 0.0, 0.0]))
        after, _ = moved(rule, still, rule.init(params), params)
        updates = jax.tree.map(jnp.subtract, after, params)
        np.testing.assert_allclose(updates["rest"][:2] / updates["kernels"][0], expected / 0.5)
        assert not updates["rest"][2:].any()


def test_drop_connect_is_the_recipes_where_it_says_so() -> None:
    assert starting(load_family("efficientnet_small"), PAPER).drop_connect == 0.2
    assert starting(load_family("efficientnet_small"), SHORT).drop_connect == 0.0
    with pytest.raises(UserError, match="decay_biases given with muon"):
        replace(SHORT, decay_biases=True)


@pytest.mark.skipif(not native.available(), reason=native.status())
@pytest.mark.parametrize("decays_biases", [False, True])
def test_rmsprop_by_native_kernels_is_that_of_optax(decays_biases):
    recipe = Recipe(warmup_epochs=0, weight_decay=0.1, decay_biases=decays_biases)
    rng = np.random.default_rng(0)
    # Enough for several threads, and no multiple of a register; pieces end within a thread's share, one is empty.
    shapes = {"kernels": [(3, 3, 7), (0,), (40_003, 1), (2, 20_000)], "rest": [(20,), (1,)]}
    sizes = {name: sum(map(math.prod, those)) for name, those in shapes.items()}
    params = {name: jnp.asarray(rng.normal(size=size), jnp.float32) for name, size in sizes.items()}
    biases = jnp.arange(21.0) % 2
    rule = optimiser(recipe, 100, (), biases)
    squares = {"decay": recipe.rms_decay, "eps": recipe.epsilon, "initial_scale": 1.0}
    plain = optax.rmsprop(learning_rate(recipe, 100), **squares, momentum=recipe.momentum)
    decays = {"kernels": 0.1, "rest": 0.1 * biases if decays_biases else 0.0}
    states = [(params, rule.init(params), params), (params, plain.init(params), params)]
    assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])
    move = jax.jit(rule.move)
    for _ in range(3):
        pieces = {
            name: [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in those]
            for name, those in shapes.items()
        }
        now, memory, averages = states[0]
        states[0] = move(pieces, memory, now, averages, jnp.float32(0.75), None)
        now, memory, averages = states[1]
        gradients = {name: jnp.concatenate([piece.ravel() for piece in those]) for name, those in pieces.items()}
        penalised = {name: gradients[name] + decays[name] * now[name] for name in now}
        updates, memory = plain.update(penalised, memory, now)
        now = optax.apply_updates(now, updates)
        states[1] = now, memory, jax.tree.map(lambda old, new: 0.75 * old + 0.25 * new, averages, now)
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-6), *states)


@pytest.mark.parametrize(
    "rule",
    [
        optax.adamw(0.1, mask={"kernels": True, "rest": False}),
        optax.sgd(0.1, 0.9, nesterov=True),
        muon(0.1, [(3, 4), (2, 2)], momentum=0.9, weight_decay=0.1, other=optax.adamw(0.1)),
    ],
)
def test_what_an_optimiser_remembers_starts_as_optax_has_it(rule: optax.GradientTransformation) -> None:
    params = {"kernels": jnp.ones(16), "rest": jnp.ones(5)}
    found, expected = by_optax(rule).init(params), rule.init(params)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
