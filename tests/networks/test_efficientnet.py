import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_search.cost import cost
from scaling_search.errors import UserError
from scaling_search.family import Cost, load_family
from scaling_search.networks.efficientnet import (
    B0_STAGES,
    EFFICIENTNET,
    EFFICIENTNET_TINY,
    EfficientNetFamily,
    efficientnet,
)
from scaling_search.networks.initialise import abstract_network
from scaling_search.rule import Scale

PARAMETERS = {
    "efficientnet_b0": 5_288_548,
    "efficientnet_b1": 7_794_184,
    "efficientnet_b2": 9_109_994,
    "efficientnet_b3": 12_233_232,
    "efficientnet_b4": 19_341_616,
    "efficientnet_b5": 30_389_784,
    "efficientnet_b6": 43_040_704,
    "efficientnet_b7": 66_347_960,
}
TABLE_2_BILLIONS = dict(zip(PARAMETERS, (0.39, 0.70, 1.0, 1.8, 4.2, 9.9, 19, 37), strict=True))

scales = st.builds(Scale, st.floats(0.3, 3.0), st.floats(0.25, 2.0), st.floats(0.5, 2.0))


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
def test_published_models_have_their_parameters_exactly(name, parameters):
    family = load_family(name)
    assert family.plan(Scale(), 1000).cost(family.resolution).parameters == parameters


@pytest.mark.parametrize(("name", "billions"), TABLE_2_BILLIONS.items())
def test_multiply_adds_are_within_5_percent_of_table_2(name, billions):
    family = load_family(name)
    assert family.plan(Scale(), 1000).cost(family.resolution).multiply_adds == pytest.approx(billions * 1e9, rel=0.05)


def test_b0_has_5_288_548_parameters_when_built():
    network = efficientnet(Scale(), 1000, rngs=nnx.Rngs(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network, nnx.Param))) == 5_288_548


@pytest.mark.parametrize("name", ["efficientnet_b8", "efficientnet_l2"])
def test_b8_and_l2_build(name):
    family = load_family(name)
    planned = family.plan(Scale(), 1000).cost(family.resolution)
    network = abstract_network(family, Scale(), 1000)
    assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network, nnx.Param))) == planned.parameters
    assert planned.parameters > PARAMETERS["efficientnet_b7"]


def test_stage_6_sees_14_pixels_not_28():
    side = 112
    inputs = []
    for stage in B0_STAGES:
        inputs.append(side)
        side //= stage.stride
    assert inputs == [112, 112, 56, 28, 14, 14, 7]


small_scales = st.builds(Scale, st.floats(0.1, 0.7), st.floats(0.1, 3.0))


# Tracing takes seconds where there are many layers; the benchmarks compare 1,000.
@settings(max_examples=5)
@given(small_scales, st.integers(9, 300), st.sampled_from([1, 2]))
def test_the_plan_costs_what_the_traced_network_costs(scale, resolution, stem_stride):
    family = EfficientNetFamily(stem_stride=stem_stride)
    assert family.plan(scale, 10).cost(resolution) == cost(abstract_network(family, scale, 10), resolution)


@given(scales, st.floats(0, 1), st.integers(16, 600))
def test_cost_grows_with_depth_width_and_resolution(scale, more, resolution):
    def at(scale, resolution=resolution):
        return EFFICIENTNET.plan(scale, 10).cost(resolution)

    base = at(scale)
    deeper = at(Scale(scale.depth + more, scale.width))
    wider = at(Scale(scale.depth, scale.width + more))
    for grown in (deeper, wider):
        assert grown.parameters >= base.parameters and grown.multiply_adds >= base.multiply_adds
    larger = at(scale, resolution + round(100 * more))
    assert larger.multiply_adds >= base.multiply_adds and larger.parameters == base.parameters


def test_equal_plans_are_one_network():
    one, same, other = (EFFICIENTNET_TINY.plan(Scale(1, width), 10) for width in (1.0, 1.01, 2.0))
    assert one == same and hash(one) == hash(same) and one != other


def test_squeeze_excite_is_a_quarter_of_the_blocks_input():
    assert [block.squeezed for stage in EFFICIENTNET.plan(Scale(), 1000).blocks[:3] for block in stage][:4] == [
        8,
        4,
        6,
        6,
    ]


def test_drop_connect_rises_linearly_from_0():
    rates = [block.drop_connect for stage in EFFICIENTNET.plan(Scale(), 1000).blocks for block in stage]
    np.testing.assert_allclose(rates, 0.2 * np.arange(16) / 16)


SMALLEST = EfficientNetFamily(depth=0.25, width=0.1, stem_stride=1, dropout=0.0, drop_connect=0.0)
IMAGES = jnp.asarray(np.random.default_rng(0).standard_normal((4, 9, 9, 3)), jnp.float32)


@nnx.jit
def run(network, images):
    return network(images)


def test_it_classifies_odd_sides_and_says_float32():
    network = SMALLEST.build(Scale(), 7, rngs=nnx.Rngs(0))
    network.eval()
    logits = run(network, IMAGES)
    assert logits.shape == (4, 7) and logits.dtype == jnp.float32


@pytest.mark.slow
def test_bfloat16_computes_about_the_same():
    logits = {}
    for dtype in ("float32", "bfloat16"):
        network = dataclasses.replace(SMALLEST, dtype=dtype).build(Scale(), 10, rngs=nnx.Rngs(0))
        network.eval()
        assert jax.eval_shape(lambda images, net=network: net.features(images), IMAGES).dtype == dtype
        logits[dtype] = run(network, IMAGES)
    largest = float(jnp.abs(logits["float32"]).max())
    np.testing.assert_allclose(logits["bfloat16"], logits["float32"], atol=0.05 * largest)


def test_training_updates_statistics_by_a_hundredth():
    network = SMALLEST.build(Scale(), 10, rngs=nnx.Rngs(0))
    stem = network.stem_norm
    images = jnp.asarray(IMAGES)
    expected = 0.01 * np.asarray(network.stem(images).mean((0, 1, 2)))
    stem(network.stem(images))
    np.testing.assert_allclose(stem.mean[...], expected, rtol=1e-4, atol=1e-6)
    network.eval()
    stem(network.stem(images))
    np.testing.assert_allclose(stem.mean[...], expected, rtol=1e-4, atol=1e-6)


def test_a_seed_names_its_initial_values():
    def kernel(seed):
        return np.asarray(EFFICIENTNET_TINY.build(Scale(), 10, rngs=nnx.Rngs(seed)).head.kernel[...])

    assert np.array_equal(kernel(1), kernel(1)) and not np.array_equal(kernel(1), kernel(2))


def test_kernels_start_with_variance_2_over_fan_out():
    network = efficientnet(Scale(), 10, rngs=nnx.Rngs(0))
    assert float(network.head.kernel[...].std()) == pytest.approx((2 / 1280) ** 0.5, rel=0.02)
    filters = network.stages[-1][-1].filter.kernel[...]
    assert float(filters.std()) == pytest.approx((2 / 9) ** 0.5, rel=0.02)


@pytest.mark.parametrize("bad", [{"dtype": "float16"}, {"dropout": 1.0}, {"stem_stride": 0}, {"width": 0.0}])
def test_bad_options_are_refused(bad):
    with pytest.raises(UserError):
        EfficientNetFamily(**bad)


def test_costs_add():
    assert Cost(1, 2, 3) + Cost(10, 20, 30) == Cost(11, 22, 33)
