"""Each baseline beside its reference implementation, from the stored figures that reference.py makes."""

import json
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.experimental.compilation_cache import compilation_cache

from scaling_search.baselines import amoebanet, nasnet, pnasnet
from scaling_search.cost import cost, count
from scaling_search.family import load_family, registered_families
from scaling_search.networks import initialise
from scaling_search.networks.initialise import abstract_network
from scaling_search.rule import Scale
from scaling_search.weights.transfer import _flat_state, _tensors, import_weights, namings_of
from tests.baselines.reference import FOLDER, drawn, pictures

NAMES = [name for name, entry in registered_families().items() if entry.value.startswith("scaling_search.baselines.")]
FIGURES = {file.stem: json.loads(file.read_text()) for file in FOLDER.glob("*.json")}
BETWEEN = {f"efficientnet_{name}" for name in ("b1", "b2", "b3", "b4", "b5", "b6", "lite1", "lite2", "lite3")}
"""Between the smallest and the largest of their kind, of which they have every operation."""
NAMED = [name for name in FIGURES if "logits" in FIGURES[name] and name.removesuffix("_symmetric") not in BETWEEN]
BUILT = {*NAMES} & {*NAMED}
"""Counted where they are built to answer: to build a network without a plan is most of the work of counting it."""
SYMMETRIC = ("padding=SYMMETRIC", "batch_norm_epsilon=1e-05")
"""EfficientNet as its PyTorch versions have it, beside the authors' own padding."""
TINY = Scale(depth=0.1, width=0.125)
DEEPER = {"resnet152", "densenet264"}
"""Of the same blocks as resnet50 and densenet169."""


@pytest.fixture(autouse=True)
def forgotten():
    """Networks are large, and no test needs what another has traced."""
    yield
    zeros.cache_clear()
    jax.clear_caches()


@pytest.fixture(scope="module", autouse=True)
def unwritten():
    """Nor what another has compiled, which takes longer to write down than to make."""
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()
    yield
    jax.config.update("jax_enable_compilation_cache", True)
    compilation_cache.reset_cache()


def family_of(name):
    base = name.removesuffix("_symmetric")
    return load_family(base, SYMMETRIC if base != name else ())


def test_every_baseline_has_figures_of_a_reference():
    assert set(NAMES) <= FIGURES.keys()


def assert_costs(counted, name):
    reference = FIGURES[name]
    assert counted.parameters == pytest.approx(reference["parameters"], rel=0.01)
    if reference["multiply_adds"] is not None:
        assert counted.multiply_adds == pytest.approx(reference["multiply_adds"], rel=0.03)


@pytest.mark.parametrize("name", FIGURES)
def test_its_resolution_is_its_reference_s(name):
    family = family_of(name)
    assert family.resolution == FIGURES[name]["resolution"]
    assert name not in NAMES or family.resolution == family.published.resolution


@pytest.mark.parametrize("name", [name for name in FIGURES if name not in BUILT])
def test_it_costs_what_its_reference_costs(name):
    family = family_of(name)
    assert_costs(count(family, Scale(), 1000, family.resolution), name)


@pytest.mark.parametrize("name", NAMES)
def test_depth_and_width_grow_it(name):
    family = load_family(name)

    def parameters(scale):
        return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(abstract_network(family, scale, 10), nnx.Param)))

    base = parameters(Scale(0.25, 0.5))
    assert parameters(Scale(0.5, 0.5)) > 1.1 * base
    assert 2.5 * base < parameters(Scale(0.25, 1.0)) < 4.5 * base


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name not in DEEPER])
def test_a_training_step_lowers_the_loss(name, monkeypatch):
    # One stage of searched cells, after the stem's two, has every operation that three have.
    for module in (amoebanet, nasnet, pnasnet):
        monkeypatch.setattr(module, "STAGES", 1)
    network = load_family(name).build(TINY, 7, rngs=nnx.Rngs(0))
    # Where two images leave a last map of one pixel, batch norm divides by next to nothing: no step is short enough.
    images = jnp.asarray(pictures(128))
    labels = jnp.asarray([2, 5])
    graphdef, params, rest = nnx.split(network, nnx.Param, ...)

    @jax.jit
    def step(params):
        def loss(params):
            merged = nnx.merge(graphdef, params, rest, copy=True)
            merged.train()
            logits = merged(images)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), logits

        (value, logits), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        # As long as it takes to lower the loss by a hundredth where it were a plane: no rate suits every network.
        rate = 0.01 * value / optax.tree.norm(gradients, squared=True)
        return value, logits, jax.tree.map(lambda one, slope: one - rate * slope, params, gradients)

    before, logits, moved = step(params)
    after, *_ = step(moved)
    assert logits.shape == (2, 7) and float(after) < 0.998 * float(before)


class NoDraws:
    """Of initial values that are replaced at once: up to 80 million, which take seconds to draw and to multiply."""

    shape = ()

    def standard_normal(self, shape, dtype):
        self.shape = shape
        return self

    random = standard_normal

    def _itself(self, number):
        return self

    __mul__ = __rmul__ = __sub__ = _itself

    def __jax_array__(self):
        return zeros(self.shape)


@cache
def zeros(shape):
    """One array for all parameters of a shape: nobody writes to it."""
    return initialise.filled(shape, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMED)
def test_it_answers_and_costs_as_its_reference_does(name, monkeypatch):
    monkeypatch.setattr(initialise, "_generator", lambda key: NoDraws())
    family, reference = family_of(name), FIGURES[name]
    network = family.build(Scale(), 1000, rngs=nnx.Rngs(0))
    network.eval()
    naming = next(iter(namings_of(family)))
    arrays = {
        tensor.name: drawn(tensor.name, tensor.shape, reference["gain"])
        for tensor in _tensors(_flat_state(network), namings_of(family)[naming])
    }
    assert import_weights(network, arrays, namings_of(family)).naming == naming
    # By leaves and not by nnx.jit, which goes through the whole network some times more.
    graphdef, state = nnx.split(network)
    leaves, structure = jax.tree.flatten(state)
    answer = jax.jit(lambda leaves, images: nnx.merge(graphdef, jax.tree.unflatten(structure, leaves))(images))
    found = np.asarray(answer(leaves, pictures(reference["small_resolution"])), np.float64)
    if name in BUILT:
        assert_costs(cost(network, family.resolution), name)
    np.testing.assert_allclose(found[:, :8], reference["logits"], rtol=0, atol=1e-3)
    assert found.mean() == pytest.approx(reference["logits_mean"], abs=1e-3)
    assert found.std() == pytest.approx(reference["logits_std"], abs=1e-3)
