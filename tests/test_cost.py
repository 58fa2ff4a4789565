import math
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from scaling_search import native
from scaling_search.cost import cost, cost_of_scale, costs_in_bulk, memory
from scaling_search.errors import UserError
from scaling_search.family import Cost, load_family
from scaling_search.networks.initialise import abstract_network
from scaling_search.recipe import Recipe
from scaling_search.rule import Scale
from scaling_search.training.step import compile_program


class Small(nnx.Module):
    def __init__(self, *, rngs):
        self.conv = nnx.Conv(3, 8, (3, 3), strides=2, rngs=rngs)
        self.depthwise = nnx.Conv(8, 8, (5, 5), feature_group_count=8, use_bias=False, rngs=rngs)
        self.dense = nnx.Linear(8, 10, rngs=rngs)

    def __call__(self, x):
        return self.dense(self.depthwise(self.conv(x)).mean((1, 2)))


def test_a_small_network_costs_what_a_hand_counts():
    parameters = (27 * 8 + 8) + 25 * 8 + (8 * 10 + 10)
    multiply_adds = 16 * 16 * 8 * 27 + 16 * 16 * 8 * 25 + 80
    activations = 2 * 16 * 16 * 8 + 10
    assert cost(Small(rngs=nnx.Rngs(0)), 32) == Cost(parameters, multiply_adds, activations)


def test_a_scan_counts_as_often_as_it_runs():
    class Repeats(nnx.Module):
        def __init__(self, *, rngs):
            self.dense = nnx.Linear(3, 3, use_bias=False, rngs=rngs)

        def __call__(self, x):
            kernel = self.dense.kernel[...]
            return jax.lax.scan(lambda y, _: (y @ kernel, None), x.mean((1, 2)), length=5)[0]

    assert cost(Repeats(rngs=nnx.Rngs(0)), 8).multiply_adds == 5 * 9


def test_a_while_loop_around_a_layer_is_refused():
    class Loops(nnx.Module):
        def __init__(self, *, rngs):
            self.dense = nnx.Linear(3, 3, rngs=rngs)

        def __call__(self, x):
            kernel = self.dense.kernel[...]
            return jax.lax.while_loop(lambda y: jnp.all(y < 9), lambda y: y @ kernel, x.mean((1, 2)))

    with pytest.raises(UserError, match="while loop"):
        cost(Loops(rngs=nnx.Rngs(0)), 8)


def test_a_network_that_does_not_take_images_says_so():
    class Wrong(nnx.Module):
        def __init__(self, *, rngs):
            self.dense = nnx.Linear(4, 3, rngs=rngs)

        def __call__(self, x):
            return self.dense(x)

    with pytest.raises(UserError, match="does not take an image of 8 x 8 x 3"):
        cost(Wrong(rngs=nnx.Rngs(0)), 8)


@pytest.mark.slow
def test_b7_at_600_pixels_is_costed_from_shapes_alone():
    b7 = load_family("efficientnet_b7")
    network = abstract_network(b7, Scale(), 1000)
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(nnx.state(network)))
    began = time.perf_counter()
    traced = cost(network, 600)
    assert traced == b7.plan(Scale(), 1000).cost(600)
    assert traced.parameters == 66_347_960
    print(f"B7 at 600 px traced in {time.perf_counter() - began:.2f} s")


def test_two_scales_that_trace_alike_have_one_fingerprint(plain_family):
    one, same, other = (cost_of_scale(plain_family, Scale(1.0, w), 10, 16)[1] for w in (1.0, 1.01, 2.0))
    assert one == same != other


def test_a_head_with_another_number_of_classes_is_refused(plain_family):
    class FixedHead:
        name, resolution = "fixed", 16

        def build(self, scale, num_classes, *, rngs):
            return plain_family.build(scale, 4, rngs=rngs)

    with pytest.raises(UserError, match="10 classes"):
        cost_of_scale(FixedHead(), Scale(), 10, 16)


def test_memory_grows_with_the_batch_and_with_parameters():
    small, large = Cost(10, 0, 100), Cost(1000, 0, 100)
    assert memory(small, 8, 1) < memory(small, 8, 2) and memory(small, 8, 1) < memory(large, 8, 1)


def estimate_by_xlas_analysis(name, resolution, batch_size):
    """The estimate of a training's memory over what XLA says that its step takes."""
    family = load_family(name)
    program = compile_program(
        family.build(Scale(), 10, rngs=nnx.Rngs(0)),
        Recipe(batch_size=batch_size),
        images=jax.ShapeDtypeStruct((batch_size, resolution, resolution, 3), jnp.uint8),
        mean=jnp.zeros(3),
        std=jnp.ones(3),
        steps_per_epoch=10,
    )
    counted, _ = cost_of_scale(family, Scale(), 10, resolution)
    of_step = program.train.memory_analysis()
    in_all = of_step.argument_size_in_bytes + of_step.output_size_in_bytes + of_step.temp_size_in_bytes
    return memory(counted, resolution, batch_size) / (in_all - of_step.alias_size_in_bytes)


MEASURED = {"examples.plain_cnn:PlainCNNFamily": (32, 64), "efficientnet_tiny": (16, 32)}


@pytest.mark.slow
@pytest.mark.parametrize("family", MEASURED)
def test_the_estimate_of_memory_is_near_xlas_own_analysis(family):
    # Rather too much than too little: with native kernels an EfficientNet keeps less than other networks.
    assert 0.75 < estimate_by_xlas_analysis(family, *MEASURED[family]) < 1.6


@pytest.mark.slow
@pytest.mark.parametrize("family", MEASURED)
def test_it_is_near_without_native_kernels_too(family, monkeypatch):
    monkeypatch.setattr(native, "available", lambda: False)
    jax.clear_caches()
    assert estimate_by_xlas_analysis(family, *MEASURED[family]) == pytest.approx(1, abs=0.25)
    jax.clear_caches()


def _with_initial_kernels(plain_family, initialise):
    """The plain family, whose classifier starts from `initialise`: its computation is the same."""

    class Family:
        name, resolution = plain_family.name, plain_family.resolution

        def build(self, scale, num_classes, *, rngs):
            network = plain_family.build(scale, num_classes, rngs=rngs)
            kernel = network.classifier.kernel
            kernel.set_value(initialise(rngs.params(), kernel.shape))
            return network

    return Family()


@pytest.mark.parametrize(
    "initialise",
    [
        lambda key, shape: jnp.zeros(shape),
        lambda key, shape: jax.random.normal(key, shape),
        lambda key, shape: 2 * jax.random.normal(key, shape),
        lambda key, shape: jnp.asarray(np.full(shape, 0.5, np.float32)),
        lambda key, shape: jnp.asarray(np.linspace(0, 1, math.prod(shape), dtype=np.float32).reshape(shape)),
    ],
)
def test_networks_that_differ_in_their_initial_values_have_different_fingerprints(plain_family, initialise):
    other = _with_initial_kernels(plain_family, initialise)
    one, again, plain = (cost_of_scale(family, Scale(), 10, 16) for family in (other, other, plain_family))
    assert one == again
    assert one[0] == plain[0] and one[1] != plain[1]


def test_an_error_without_a_message_is_named_by_its_type():
    class Silent(nnx.Module):
        def __call__(self, x):
            raise ValueError

    with pytest.raises(UserError, match="16 x 16 x 3: ValueError"):
        cost(Silent(), 16)


@pytest.mark.parametrize("name", ["efficientnet", "efficientnet_small", "efficientnet_lite0", "mobilenet_v2"])
def test_costs_in_bulk_are_those_of_one_network_at_a_time(name):
    family = load_family(name)
    rng = np.random.default_rng(0)
    depths, widths = rng.uniform(0.3, 4, 60), rng.uniform(0.1, 4, 60)
    # Values on which roundings turn.
    depths[:8], widths[:8] = np.linspace(0.5, 4, 8), np.linspace(0.5, 4, 8)
    sides = rng.integers(32, 640, 60)
    bulk = costs_in_bulk(family, depths, widths, sides, num_classes=10)
    singly = [cost_of_scale(family, Scale(d, w), 10, int(s))[0] for d, w, s in zip(depths, widths, sides, strict=True)]
    for field in ("parameters", "multiply_adds", "activations"):
        assert getattr(bulk, field).tolist() == [getattr(one, field) for one in singly]


def test_costs_in_bulk_are_broadcast_and_refuse_what_is_no_size():
    family = load_family("efficientnet_b0")
    assert costs_in_bulk(family, 1, [[1.0], [2.0]], [224, 256]).multiply_adds.shape == (2, 2)
    with pytest.raises(UserError, match="a width of 0 given"):
        costs_in_bulk(family, 1, [1, 0], 224)
