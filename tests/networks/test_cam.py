import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from scaling_search.baselines.densenet import DENSENET169
from scaling_search.errors import UserError
from scaling_search.family import load_family, registered_families
from scaling_search.networks.cam import class_activation_maps
from scaling_search.networks.efficientnet import EFFICIENTNET_TINY
from scaling_search.networks.initialise import abstract_network
from scaling_search.rule import Scale

IMAGES = jnp.asarray(np.random.default_rng(0).standard_normal((2, 32, 32, 3)), jnp.float32)


@pytest.mark.parametrize(("family", "scale"), [(EFFICIENTNET_TINY, Scale()), (DENSENET169, Scale(0.1, 0.25))])
def test_a_map_s_mean_is_its_logit_less_the_bias(family, scale):
    network = family.build(scale, 5, rngs=nnx.Rngs(0))
    network.classifier.bias[...] = jnp.arange(5.0)
    logits, maps = class_activation_maps(network, IMAGES, jnp.asarray([3, 0]))
    np.testing.assert_allclose(maps.mean((1, 2)), [logits[0, 3] - 3, logits[1, 0]], atol=1e-5)
    np.testing.assert_allclose(logits, network(IMAGES), atol=1e-5)


def test_by_default_it_is_the_map_of_what_the_network_answers():
    network = EFFICIENTNET_TINY.build(Scale(), 5, rngs=nnx.Rngs(0))
    logits, maps = class_activation_maps(network, IMAGES)
    _, asked = class_activation_maps(network, IMAGES, logits.argmax(-1))
    np.testing.assert_array_equal(maps, asked)


def test_what_speaks_for_a_class_lies_where_it_lies():
    """A network whose only channel is how bright a place is."""

    class Bright(nnx.Module):
        def features(self, images):
            return images.mean(-1, keepdims=True)

        def classify(self, features):
            return features.mean((1, 2)) * jnp.asarray([1.0, -1.0])

    images = jnp.zeros((1, 8, 8, 3)).at[:, 2:4, 5:7].set(1.0)
    _, maps = class_activation_maps(Bright(), images)
    assert set(zip(*np.nonzero(np.asarray(maps[0])), strict=True)) == {(2, 5), (2, 6), (3, 5), (3, 6)}


# The first by name of each module's families, as the others differ in size alone.
OF_EACH_MODULE = {entry.module: name for name, entry in sorted(registered_families().items(), reverse=True)}.values()


@pytest.mark.parametrize("name", OF_EACH_MODULE)
def test_every_registered_network_has_a_last_feature_map(name):
    network = abstract_network(load_family(name), Scale(0.1, 0.1), 5)
    assert callable(network.features) and callable(network.classify)


def test_a_network_without_one_is_refused():
    with pytest.raises(UserError, match="last feature map"):
        class_activation_maps(nnx.Linear(3, 2, rngs=nnx.Rngs(0)), IMAGES)
