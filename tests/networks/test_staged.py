"""Options that families of staged networks share, and the names that recorded trials know them by."""

import dataclasses
import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest
from flax import nnx

from scaling_search.baselines.mobilenet_v2 import MOBILENET_V2
from scaling_search.baselines.polynet import POLYNET, Unit
from scaling_search.baselines.resnet import RESNET50, Bottleneck
from scaling_search.baselines.senet import SENET154
from scaling_search.baselines.xception import XCEPTION, XceptionBlock
from scaling_search.cost import cost, cost_of_scale
from scaling_search.errors import UserError
from scaling_search.family import load_family
from scaling_search.networks.efficientnet import EFFICIENTNET, EfficientNetFamily, MBConv
from scaling_search.networks.initialise import abstract_network, on_host
from scaling_search.networks.mnasnet import MNASNET_TINY, MnasNetFamily
from scaling_search.rule import Scale
from tests.tiny import FINE_FAMILY

TABLES = sorted((Path(__file__).parents[2] / "tables").glob("*.parquet"))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.stem)
def test_recorded_networks_keep_their_names(table):
    networks = {
        json.dumps(spec["network"], sort_keys=True): spec["network"]
        for spec in pq.read_table(table)["spec"].to_pylist()
    }
    assert networks
    for network in networks.values():
        family = load_family(network["family"], tuple(network["options"]))
        side = network["input_resolution"]
        counted, name = cost_of_scale(family, Scale(**network["scale"]), network["num_classes"], side)
        assert f"{name}@{side}" == network["fingerprint"]
        assert dataclasses.asdict(counted) == {field: network[field] for field in dataclasses.asdict(counted)}


SMALL = {"depth": 0.5, "width": 0.1, "stem_stride": 1, "dropout": 0.0, "drop_connect": 0.0}
ARCHITECTURE = "sepk3p16x1-mb6k3p24x2-mb6k3i32x1-convk3i64x2-mb3k3n96x2-mb6k3i160x1-mb6k3p320x1"
FAMILIES = {
    "efficientnet": EfficientNetFamily("efficientnet", **SMALL),
    "mnasnet": MnasNetFamily("mnasnet", architecture=ARCHITECTURE, **SMALL),
    "mobilenet_v2": MOBILENET_V2,
    "resnet50": dataclasses.replace(RESNET50, layers=(1, 2, 1, 1)),
}


def small(family):
    return Scale() if hasattr(family, "depth") else Scale(0.3, 0.1)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_residual_branches_that_start_as_zeros_are_another_network_of_the_same_cost(family):
    started = dataclasses.replace(family, zero_init_residual=True)
    (plain, name), (zero, other) = (cost_of_scale(one, small(one), 10, 16) for one in (family, started))
    assert plain == zero and name != other


IDENTICAL = FAMILIES | {
    "mnasnet": dataclasses.replace(FAMILIES["mnasnet"], architecture=ARCHITECTURE.replace("i32x1", "i32x2"), depth=1.0),
    "resnet50": dataclasses.replace(RESNET50, layers=(4, 1, 1, 1)),
    "senet154": dataclasses.replace(SENET154, layers=(4, 1, 1, 1)),
    "xception": XCEPTION,
    "polynet": POLYNET,
}


@pytest.mark.parametrize("family", IDENTICAL.values(), ids=IDENTICAL)
def test_blocks_whose_branches_start_as_zeros_pass_on_what_they_get(family):
    network = dataclasses.replace(family, zero_init_residual=True).build(small(family), 10, rngs=nnx.Rngs(0))
    passed = 0
    for block, channels in skipped_blocks(network):
        x = jnp.asarray(np.random.default_rng(0).random((2, 3, 3, channels)), jnp.float32)
        assert jnp.allclose(block(x), x)
        passed += 1
    assert passed


def skipped_blocks(network):
    """The blocks that add what they make to what they get, and their channels."""
    for _, block in nnx.iter_modules(network):
        match block:
            case Bottleneck(shortcut=None):
                yield block, block.conv1.kernel.shape[2]
            case MBConv() if block.skip.kind == "identity" if hasattr(block, "skip") else block.has_skip:
                yield block, block.project.kernel.shape[-1]
            case XceptionBlock(shortcut=None):
                yield block, block.layers[0].project.kernel.shape[2]
            case Unit():
                yield block, block.blocks[0].expands[0].kernel.shape[-1]


def last_norms(network):
    """The last batch norm of each block, and whether what it makes is added to something."""
    for _, block in nnx.iter_modules(network):
        if isinstance(block, Bottleneck):
            yield block.norm3, True
        elif isinstance(block, MBConv):
            yield block.project_norm, block.skip.kind != "none" if hasattr(block, "skip") else block.has_skip


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_just_the_branches_that_are_added_to_something_start_as_zeros(family):
    network = dataclasses.replace(family, zero_init_residual=True).build(small(family), 10, rngs=nnx.Rngs(0))
    found = [(float(norm.scale[...].max()), residual) for norm, residual in last_norms(network)]
    assert all(scale == (0.0 if residual else 1.0) for scale, residual in found)
    assert {residual for _, residual in found} >= {True}


@pytest.mark.parametrize("name", ["mnasnet", "resnet50"])
def test_branches_that_start_as_zeros_learn(name):
    family = dataclasses.replace(FAMILIES[name], zero_init_residual=True)
    graphdef, params, rest = nnx.split(family.build(small(family), 10, rngs=nnx.Rngs(0)), nnx.Param, ...)
    images = jnp.asarray(np.random.default_rng(0).standard_normal((4, 16, 16, 3)), jnp.float32)

    @jax.jit
    @jax.grad
    def gradients(params):
        return (nnx.merge(graphdef, params, rest, copy=True)(images) ** 2).mean()

    slopes = nnx.merge(graphdef, gradients(params), rest)
    assert all(float(jnp.abs(norm.scale[...]).max()) > 0 for norm, _ in last_norms(slopes))


@pytest.mark.parametrize("family", [EFFICIENTNET, MNASNET_TINY], ids=lambda family: family.name)
@pytest.mark.parametrize(("stem_stride", "strided_stages"), [(1, 0), (1, 2), (2, 1), (2, 4)])
def test_fewer_strided_stages_leave_more_of_the_image(family, stem_stride, strided_stages):
    fewer = dataclasses.replace(family, stem_stride=stem_stride, strided_stages=strided_stages)
    plan = fewer.plan(Scale(0.1, 0.1), 10)
    assert plan.last_map_side(48) == math.ceil(48 / (stem_stride * 2**strided_stages))
    assert plan.cost(48) == cost(abstract_network(fewer, Scale(0.1, 0.1), 10), 48)
    strides = [block.stride for stage in plan.blocks for block in stage]
    assert strides.count(2) == strided_stages


def test_channels_come_in_multiples_of_the_divisor():
    for divisor in (1, 2, 8):
        plan = EfficientNetFamily("fine", width=0.3, divisor=divisor).plan(Scale(), 10)
        channels = [plan.stem, plan.head, *(stage.out_channels for stage in plan.stages)]
        assert all(one % divisor == 0 for one in channels)
    assert [stage.out_channels for stage in FINE_FAMILY.plan(Scale(), 10).stages] == [3, 5, 8, 16, 22, 38, 64]


@pytest.mark.parametrize("bad", [{"divisor": 0}, {"strided_stages": 5}, {"strided_stages": -1}])
def test_options_out_of_bounds_are_refused(bad):
    with pytest.raises(UserError):
        EfficientNetFamily("bad", **bad)


@pytest.mark.parametrize("name", ["efficientnet_tiny", "mnasnet_tiny", "resnet50"])
def test_a_network_built_on_the_host_has_the_same_values_with_numpy(name):
    family = load_family(name)
    usual = nnx.state(family.build(Scale(width=0.25), 10, rngs=nnx.Rngs(3)))
    with on_host():
        there = nnx.state(family.build(Scale(width=0.25), 10, rngs=nnx.Rngs(3)), nnx.Param)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(there))
    jax.tree.map(np.testing.assert_array_equal, there, nnx.filter_state(usual, nnx.Param))
