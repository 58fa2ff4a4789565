"""AmoebaNets beyond what every baseline is tested for: the paper's largest, features, and the auxiliary head."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from scaling_search.baselines.amoebanet import AMOEBANET_A, GPIPE_AMOEBANET_B
from scaling_search.cost import cost
from scaling_search.networks.initialise import abstract_network
from scaling_search.rule import Scale
from tests.baselines.reference import pictures

TINY = Scale(depth=0.1, width=0.125)


def test_the_papers_largest_has_469_million_parameters():
    largest = replace(AMOEBANET_A, filters=448)
    assert cost(abstract_network(largest, Scale(), 1000), 331).parameters == pytest.approx(469e6, rel=0.01)


@pytest.mark.slow
def test_it_classifies_its_features_and_in_training_those_before_the_last_reduction():
    network = replace(GPIPE_AMOEBANET_B, auxiliary=True).build(TINY, 7, rngs=nnx.Rngs(0))
    images = jnp.asarray(pictures(95))

    @nnx.jit
    def both(network, images):
        features = network.features(images)
        return features, network.classify(features), network(images)

    network.eval()
    features, classified, logits = both(network, images)
    assert features.shape[:3] == (2, 3, 3)
    np.testing.assert_allclose(classified, logits, rtol=1e-5, atol=1e-6)
    network.train()
    main, auxiliary = nnx.jit(lambda network, images: network(images))(network, images)
    assert main.shape == auxiliary.shape == (2, 7)
    assert not np.array_equal(main, auxiliary)
