import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from scaling_search.family import load_family
from scaling_search.rule import Scale
from scaling_search.search.nas.zero_cost import SCORES, gradient_norm, jacobian_covariance, synflow

RNG = np.random.default_rng(0)
IMAGES = jnp.asarray(RNG.standard_normal((8, 12, 12, 3)), jnp.float32)
LABELS = jnp.asarray(RNG.integers(0, 4, 8))


class Linear(nnx.Module):
    """Two dense layers without bias: scores that a hand can count."""

    def __init__(self, seed=0):
        rngs = nnx.Rngs(seed)
        self.first = nnx.Linear(3, 5, use_bias=False, rngs=rngs)
        self.second = nnx.Linear(5, 4, use_bias=False, rngs=rngs)

    def __call__(self, images):
        return self.second(self.first(images.mean((1, 2))))


def test_synflow_of_a_linear_network_is_the_layers_times_the_sum_of_paths():
    network = Linear()
    paths = np.abs(network.first.kernel[...]) @ np.abs(network.second.kernel[...])
    assert synflow(network, 6) == pytest.approx(np.log(2 * paths.sum()), rel=1e-5)


def test_the_gradient_norm_of_a_linear_network():
    network = Linear()
    first, second = np.asarray(network.first.kernel[...]), np.asarray(network.second.kernel[...])
    means = np.asarray(IMAGES.mean((1, 2)))
    errors = (np.asarray(jax.nn.softmax(means @ first @ second)) - np.eye(4)[np.asarray(LABELS)]) / len(means)
    by_hand = [means.T @ errors @ second.T, (means @ first).T @ errors]
    expected = np.sqrt(sum((gradient**2).sum() for gradient in by_hand))
    assert gradient_norm(network, IMAGES, LABELS) == pytest.approx(expected, rel=1e-4)


def test_a_linear_network_answers_alike_to_all_images():
    """All its Jacobians are one: the correlations' only eigenvalue above 0 is N."""
    count, jitter = len(IMAGES), 1e-5
    expected = count - (np.log(count) + 1 / count) - (count - 1) * (np.log(jitter) + 1 / jitter)
    assert jacobian_covariance(Linear(), IMAGES) == pytest.approx(expected, rel=0.05)


def test_unlike_answers_score_0():
    class Squares(Linear):
        def __call__(self, images):
            return jnp.stack([(images**2).sum((1, 2, 3))] * 4, -1)

    assert -1 < jacobian_covariance(Squares(), IMAGES) <= 0


@pytest.mark.parametrize("score", SCORES)
def test_scores_leave_the_network_as_it_is_and_are_the_same_again(score, plain_family):
    network = plain_family.build(Scale(), 4, rngs=nnx.Rngs(0))
    before = jax.tree.map(np.asarray, nnx.state(network))
    values = [SCORES[score](network, IMAGES, LABELS) for _ in range(2)]
    assert np.isfinite(values).all() and values[0] == values[1]
    jax.tree.map(np.testing.assert_array_equal, before, jax.tree.map(np.asarray, nnx.state(network)))


@pytest.fixture
def with_every_part():
    """A network with every part of the space."""
    architecture = "convk3sei16x1-sepk5p24x1-mb3k3sep32x1-mb6k5n64x1-convk3p96x1-sepk3sei160x1-mb3k5p320x1"
    return load_family("mnasnet_tiny", (f"architecture={architecture}",)).build(Scale(), 4, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("score", [name for name in SCORES if name != "synflow"])
def test_scores_take_networks_with_every_part_of_the_space(score, with_every_part):
    assert np.isfinite(SCORES[score](with_every_part, IMAGES, LABELS))


def test_the_flow_is_a_number_far_beyond_float32_whose_logarithms_end_at_88(with_every_part):
    parameters = nnx.state(with_every_part, nnx.Param)
    nnx.update(with_every_part, jax.tree.map(lambda leaf: jnp.asarray(1e4 * np.asarray(leaf), jnp.float32), parameters))
    assert 88 < SCORES["synflow"](with_every_part, IMAGES, LABELS) < 709


def test_a_wider_network_has_more_flow(plain_family):
    flows = [synflow(plain_family.build(Scale(width=w), 4, rngs=nnx.Rngs(0)), 12) for w in (0.5, 2.0)]
    assert flows == sorted(flows)
