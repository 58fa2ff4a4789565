"""Parts that several baselines share."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from scaling_search.baselines.inception_v3 import INCEPTION_V3
from scaling_search.baselines.parts import AuxiliaryHead, halving_stages
from scaling_search.networks.initialise import abstract_network
from scaling_search.rule import Scale
from scaling_search.weights.transfer import _flat_state, _tensors

TINY = Scale(depth=0.1, width=0.125)


@pytest.mark.parametrize("window", [5, 6])
@pytest.mark.parametrize("side", [1, 4, 17, 30])
def test_an_auxiliary_head_takes_maps_of_any_side(window, side):
    head = nnx.eval_shape(lambda: AuxiliaryHead(4, 0.1, 7, window=window, rngs=nnx.Rngs(0)))
    graphdef, state = nnx.split(head)
    maps = jax.ShapeDtypeStruct((2, side, side, 4), jnp.float32)
    assert jax.eval_shape(lambda state, x: nnx.merge(graphdef, state)(x), state, maps).shape == (2, 7)


def test_stages_halve_the_image_but_for_the_first():
    class Block(nnx.Module):
        def __init__(self, *made):
            self.made = made

    stages = halving_stages(3, [8, 16], [2, 2], Block)
    assert [[block.made for block in stage] for stage in stages] == [[(0, 3, 1), (0, 8, 1)], [(1, 8, 2), (1, 16, 1)]]


def test_inception_v3_s_auxiliary_head_is_called_as_in_torchvision():
    family = replace(INCEPTION_V3, auxiliary=True)
    names = {
        tensor.name
        for tensor in _tensors(_flat_state(abstract_network(family, TINY, 7)), family.namings["torchvision"])
    }
    assert {
        "AuxLogits.conv0.conv.weight",
        "AuxLogits.conv0.bn.running_mean",
        "AuxLogits.conv1.conv.weight",
        "AuxLogits.conv1.bn.bias",
        "AuxLogits.fc.weight",
    } <= names
