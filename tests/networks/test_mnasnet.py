import dataclasses
import json

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
from scaling_search.networks.efficientnet import EfficientNetFamily
from scaling_search.networks.initialise import abstract_network
from scaling_search.networks.mnasnet import (
    EFFICIENTNET_B0,
    MNASNET_A1,
    MOBILENET_V2,
    STRIDES,
    Architecture,
    Block,
    MnasNetFamily,
    layer,
    layer_plan,
)
from scaling_search.rule import Scale

blocks = st.builds(
    Block,
    st.sampled_from(["conv", "sep", "mb3", "mb6"]),
    st.sampled_from([3, 5, 7]),
    st.booleans(),
    st.sampled_from(["pool", "identity", "none"]),
    st.integers(1, 400),
    st.integers(1, 5),
)
architectures = st.builds(Architecture, st.tuples(*[blocks] * len(STRIDES)))
IMAGES = jnp.asarray(np.random.default_rng(0).standard_normal((4, 9, 9, 3)), jnp.float32)


@given(architectures)
def test_an_architecture_round_trips_through_text_and_json(architecture):
    assert Architecture.parse(str(architecture)) == architecture
    again = Architecture.from_json(json.loads(json.dumps(architecture.to_json())))
    assert again == architecture and hash(again) == hash(architecture)


def test_mobilenet_v2_is_a_point_and_costs_what_the_baseline_costs():
    family = load_family("mobilenet_v2")
    ours = load_family("mnasnet", (f"architecture={MOBILENET_V2}",))
    for scale in (Scale(), Scale(1.4, 1.3, 1.2), Scale(0.5, 0.75, 0.5)):
        side = round(224 * scale.resolution)
        assert ours.plan(scale, 1000).cost(side) == family.plan(scale, 1000).cost(side)


def test_efficientnet_b0_is_a_point_and_costs_what_b0_costs():
    family = load_family("efficientnet")
    ours = load_family("mnasnet", (f"architecture={EFFICIENTNET_B0}",))
    for scale in (Scale(), Scale(1.4, 1.3, 1.2), Scale(0.5, 0.75, 0.5)):
        side = round(224 * scale.resolution)
        assert ours.plan(scale, 1000).cost(side) == family.plan(scale, 1000).cost(side)


def test_mnasnet_a1_costs_what_was_published():
    family = load_family("mnasnet_a1")
    assert family.architecture == str(MNASNET_A1)
    found = family.plan(Scale(), 1000).cost(224)
    assert found.parameters == pytest.approx(3.9e6, rel=0.005)
    assert found.multiply_adds == pytest.approx(312e6, rel=0.005)


def test_b0_as_an_architecture_is_the_same_network_from_the_same_seed():
    options = {"depth": 0.25, "width": 0.25, "stem_stride": 1, "resolution": 16}
    ours = MnasNetFamily(architecture=str(EFFICIENTNET_B0), **options).build(Scale(), 5, rngs=nnx.Rngs(3))
    theirs = EfficientNetFamily(**options).build(Scale(), 5, rngs=nnx.Rngs(3))
    for one, other in zip(
        jax.tree.leaves(nnx.state(ours, nnx.Param)), jax.tree.leaves(nnx.state(theirs, nnx.Param)), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    ours.eval(), theirs.eval()
    np.testing.assert_array_equal(
        nnx.jit(lambda net, x: net(x))(ours, IMAGES), nnx.jit(lambda net, x: net(x))(theirs, IMAGES)
    )


scales = st.builds(Scale, st.floats(0.1, 0.4), st.floats(0.1, 2.0))


# Tracing takes seconds where there are many layers.
@settings(max_examples=6)
@given(architectures, scales, st.integers(9, 300), st.sampled_from([1, 2]))
def test_the_plan_costs_what_the_traced_network_costs(architecture, scale, resolution, stem_stride):
    family = MnasNetFamily(architecture=str(architecture), stem_stride=stem_stride)
    assert family.plan(scale, 10).cost(resolution) == cost(abstract_network(family, scale, 10), resolution)


def test_architectures_that_come_to_the_same_layers_have_equal_plans():
    """An identity that fits nowhere is none."""
    texts = [str(MOBILENET_V2).replace("sepk3n16x1", f"sepk3{skip}16x1") for skip in "inp"]
    identity, none, pool = (MnasNetFamily(architecture=text).plan(Scale(), 10) for text in texts)
    assert identity == none != pool


def layer_of(operation, skip, before, filters, stride, gate=False):
    plan = layer_plan(Block(operation, 3, gate, skip, filters, 1), before, filters, stride, 0.0, "silu")
    return plan, layer(plan, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("operation", ["conv", "sep", "mb3", "mb6"])
def test_skips_add_what_they_say(operation):
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 5, 5, 8)), jnp.float32)
    without = layer_of(operation, "none", 8, 8, 1, gate=True)[1](x)
    np.testing.assert_allclose(layer_of(operation, "identity", 8, 8, 1, gate=True)[1](x), without + x, atol=1e-5)
    pooled = layer_of(operation, "pool", 8, 8, 1, gate=True)[1](x) - without
    np.testing.assert_allclose(pooled[:, 1, 1], x[:, :3, :3].mean((1, 2)), atol=1e-5)
    np.testing.assert_allclose(pooled[:, 0, 0], x[:, :2, :2].mean((1, 2)), atol=1e-5)


@pytest.mark.parametrize("filters", [4, 12])
def test_a_pooled_skip_goes_to_the_channels_that_both_have(filters):
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 6, 6, 8)), jnp.float32)
    without = layer_of("sep", "none", 8, filters, 2)[1](x)
    added = layer_of("sep", "pool", 8, filters, 2)[1](x) - without
    assert without.shape == (2, 3, 3, filters)
    shared = min(8, filters)
    assert float(jnp.abs(added[..., :shared]).min()) > 0
    np.testing.assert_allclose(added[..., shared:], 0, atol=1e-6)


def test_an_identity_that_does_not_fit_is_none():
    assert layer_of("mb3", "identity", 8, 8, 2)[0].skip == layer_of("mb3", "identity", 8, 12, 1)[0].skip == "none"


def test_drop_connect_is_for_layers_with_a_skip():
    plan = MnasNetFamily(architecture=str(MOBILENET_V2)).plan(Scale(), 10)
    layers = [one for stage in plan.stages for one in stage]
    for index, one in enumerate(layers):
        assert one.drop_connect == pytest.approx(0.0 if one.skip == "none" else 0.2 * index / len(layers))


@given(architectures)
@settings(max_examples=20)
def test_it_grows_with_depth_width_and_resolution(architecture):
    family = MnasNetFamily(architecture=str(architecture))

    def at(scale: Scale, side: int = 64) -> Cost:
        return family.plan(scale, 10).cost(side)

    base = at(Scale())
    assert at(Scale(depth=2)).multiply_adds > base.multiply_adds
    assert at(Scale(width=2)).parameters > base.parameters
    assert at(Scale(), 128).multiply_adds > base.multiply_adds


def test_it_classifies_odd_sides():
    text = "convk3sei16x2-sepk5p24x1-mb3k3sep32x2-mb6k5n64x1-convk3p96x1-sepk3sei160x2-mb3k5p320x1"
    family = MnasNetFamily(architecture=text, depth=0.5, width=0.1, stem_stride=1)
    network = family.build(Scale(), 7, rngs=nnx.Rngs(0))
    network.eval()
    assert nnx.jit(lambda net, x: net(x))(network, IMAGES).shape == (4, 7)


@pytest.mark.parametrize("text", ["", "mb3k5", "mb4k3i16x1", "mb3k4i16x1", "mb3k3i0x1", "mb3k3i16x0", "mb3k3sx16x1"])
def test_what_is_no_block_is_refused(text):
    with pytest.raises(UserError):
        Block.parse(text)


@pytest.mark.parametrize("count", [0, 6, 8])
def test_an_architecture_has_seven_blocks(count):
    with pytest.raises(UserError, match=r"blocks? given|block ''"):
        Architecture.parse("-".join(["mb3k3i16x1"] * count))


@pytest.mark.parametrize(
    "tree", [[{"operation": "conv"}] * 7, [{**dataclasses.asdict(MOBILENET_V2.blocks[0]), "more": 1}]]
)
def test_json_that_is_no_architecture_is_refused(tree):
    with pytest.raises(UserError):
        Architecture.from_json(tree)


@pytest.mark.parametrize(
    "option", ["architecture=mb3", "activation=tanh", "stem_stride=0", "dropout=1", "width=0", "drop_connect=-1"]
)
def test_bad_options_are_refused(option):
    with pytest.raises(UserError):
        load_family("mnasnet", (option,))
