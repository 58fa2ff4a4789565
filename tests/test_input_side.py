import itertools
from dataclasses import dataclass, replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from scaling_search.cost import cost, cost_of_scale
from scaling_search.errors import UserError
from scaling_search.experiments.costs import fit
from scaling_search.family import Cost, load_family
from scaling_search.input_side import InputTooSmallError, last_map_side, smallest_side, total_stride
from scaling_search.networks.initialise import abstract_network
from scaling_search.networks.pooling import max_pool
from scaling_search.recipe import Recipe
from scaling_search.rule import CompoundRule, Grid, Scale, round_channels, round_layers
from scaling_search.search.grid import lay_out
from scaling_search.search.nas.limits import Limits
from scaling_search.search.nas.space import counter_of
from scaling_search.training.epochs import compile_epochs
from scaling_search.training.step import compile_program
from tests.tiny import TINY


class Narrowing(nnx.Module):
    """3x3 convolutions without padding, one of them behind a pool: with two, 8 pixels become 1 and fewer none."""

    def __init__(self, layers, channels, num_classes, *, rngs):
        widths = [3, *[channels] * layers]
        self.first = nnx.List(
            nnx.Conv(*pair, (3, 3), padding="VALID", rngs=rngs) for pair in itertools.pairwise(widths)
        )
        self.second = nnx.Conv(channels, channels, (3, 3), padding="VALID", rngs=rngs)
        self.classifier = nnx.Linear(channels, num_classes, rngs=rngs)

    def __call__(self, x):
        for conv in self.first:
            x = jax.nn.relu(conv(x))
        x = self.second(max_pool(x, 2, 2))
        return self.classifier(x.mean((1, 2)))


@dataclass(frozen=True)
class NarrowingFamily:
    name: str = "narrowing"
    resolution: int = 12
    channels: int = 4

    def build(self, scale, num_classes, *, rngs):
        channels = round_channels(self.channels, scale.width, 1)
        return Narrowing(round_layers(1, scale.depth), channels, num_classes, rngs=rngs)


@dataclass(frozen=True)
class NarrowingPlan:
    def cost(self, resolution):
        return Cost(1, resolution, 1)

    def last_map_side(self, resolution):
        return max(0, (resolution - 2) // 2 - 2)


class PlannedNarrowing(NarrowingFamily):
    def plan(self, scale, num_classes):
        return NarrowingPlan()


@pytest.mark.parametrize("family", [NarrowingFamily(), PlannedNarrowing()])
def test_an_input_that_leaves_a_map_without_pixels_is_refused_and_the_smallest_named(family):
    assert cost_of_scale(family, Scale(), 10, 8)[0].multiply_adds > 0
    assert smallest_side(family, Scale(), 10) == 8
    for side in (1, 4, 7):
        with pytest.raises(UserError, match=rf"{side} x {side} pixels is too small for narrowing.*smallest .* is 8"):
            cost_of_scale(family, Scale(), 10, side)


def test_a_network_is_refused_without_its_family_too():
    with pytest.raises(UserError, match=r"too small for Narrowing.*smallest input side is 8"):
        cost(abstract_network(NarrowingFamily(), Scale(), 10), 5)


def test_a_network_that_raises_for_small_inputs_says_the_smallest_as_well():
    class Raises(nnx.Module):
        def __call__(self, x):
            if x.shape[1] < 20:
                raise ValueError("too few pixels")
            return x.mean((1, 2))

    with pytest.raises(InputTooSmallError, match="smallest input side is 20"):
        cost(Raises(), 9)


def test_a_part_without_channels_is_no_lost_map():
    class Split(nnx.Module):
        def __call__(self, x):
            none, rest = jnp.split(x, [0], axis=-1)
            return jnp.concatenate([rest, none], axis=-1).mean((1, 2))

    assert cost(Split(), 4) == Cost(0, 0, 0)


@pytest.mark.parametrize(("name", "smallest"), [("xception", 7), ("densenet169", 29), ("efficientnet_b0", 1)])
def test_the_smallest_sides_of_published_networks(name, smallest):
    assert smallest_side(load_family(name), Scale(0.1, 0.1), 10) == smallest


@pytest.mark.slow
def test_inception_v3_takes_75_pixels_or_more():
    with pytest.raises(UserError, match="smallest input side is 75"):
        cost_of_scale(load_family("inception_v3"), Scale(0.1, 0.1), 10, 32)


@pytest.mark.parametrize("family", [NarrowingFamily(), PlannedNarrowing()])
def test_fit_never_proposes_an_input_too_small(family):
    least = cost_of_scale(family, Scale(), 1000, 8)[0].multiply_adds
    rule = CompoundRule(1.0, 1.0, 1.2)
    assert fit(family, rule, flops=float(least))["input_resolution"] == 8
    with pytest.raises(UserError, match=r"no network of narrowing fits this budget.*smallest input side, 8"):
        fit(family, rule, flops=float(least - 1))


def test_a_point_of_the_grid_whose_input_is_too_small_is_rejected_and_the_others_stay():
    layout = lay_out(
        NarrowingFamily(resolution=8), replace(TINY, grid=Grid("coefficients", step=0.2, tolerance=0.2)), 10
    )
    refused = [point for point in layout.points if point.rejected]
    assert 0 < len(refused) < len(layout.points)
    for point in layout.points:
        smallest = 8 if point.rule.alpha == 1 else 10
        assert (point.rejected is not None) == (point.network.input_resolution < smallest)
        assert point.rejected is None or f"smallest input side is {smallest}" in point.rejected
    assert not {point.network.fingerprint for point in refused} & {one.fingerprint for one in layout.networks}


def test_training_on_images_too_small_is_refused():
    with pytest.raises(UserError, match=r"7 x 7 pixels is too small for Narrowing.*smallest input side is 8"):
        compile_program(
            NarrowingFamily().build(Scale(), 10, rngs=nnx.Rngs(0)),
            Recipe(batch_size=4),
            images=jax.ShapeDtypeStruct((4, 7, 7, 3), jnp.uint8),
            mean=jnp.zeros(3),
            std=jnp.ones(3),
            steps_per_epoch=2,
        )


def test_training_whole_epochs_on_images_too_small_is_refused():
    images = SimpleNamespace(train_images=np.zeros((4, 7, 7, 3), np.uint8))
    network = NarrowingFamily().build(Scale(), 10, rngs=nnx.Rngs(0))
    with pytest.raises(UserError, match=r"smallest input side is 8"):
        compile_epochs(None, [], images, network, mesh=None, resident=True)


class SidesSpace:
    family = "tests.test_input_side:NarrowingFamily"
    decisions = {"resolution": (4, 8, 16)}  # noqa: RUF012

    def options(self, genotype):
        return (f"resolution={self.decisions['resolution'][genotype[0]]}",)


def test_a_search_for_a_baseline_leaves_out_inputs_too_small():
    counts = counter_of(SidesSpace(), (), 10)(np.array([[0], [1], [2]]))
    assert Limits(None, None, None, 32).allow(counts).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("name", "resolution", "side", "stride"),
    [("efficientnet_b0", 224, 7, 32), ("efficientnet_tiny", 17, 2, 16), ("mobilenet_v1", 224, 7, 32)],
)
def test_the_last_map_and_the_total_stride_of_published_networks(name, resolution, side, stride):
    family = load_family(name)
    assert last_map_side(family, Scale(0.1, 0.1), 10, resolution) == side
    assert total_stride(family, Scale(0.1, 0.1), 10) == stride


def test_the_last_map_of_a_network_that_does_not_name_it_is_what_it_makes_something_flat_of():
    assert last_map_side(NarrowingFamily(), Scale(), 10, 13) == 3
    assert total_stride(NarrowingFamily(), Scale(), 10) == 2
    with pytest.raises(UserError, match="smallest input side is 8"):
        last_map_side(NarrowingFamily(), Scale(), 10, 7)
