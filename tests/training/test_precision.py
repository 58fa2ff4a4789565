from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from scaling_search.config import Split
from scaling_search.family import load_family, registered_families
from scaling_search.networks.initialise import abstract_network
from scaling_search.recipe import Recipe
from scaling_search.rule import Scale
from scaling_search.training.precision import compute_in, precision_of
from scaling_search.training.step import compile_program
from scaling_search.trial import Network, Spec
from tests.tiny import TWO_STAGES


def test_the_default_depends_on_the_platform():
    assert [precision_of(Recipe(), platform) for platform in ("cpu", "gpu", "tpu")] == [
        "float32",
        "bfloat16",
        "bfloat16",
    ]
    assert precision_of(Recipe(precision="bfloat16"), "cpu") == "bfloat16"
    assert precision_of(Recipe(precision="float32"), "gpu") == "float32"


def convolved_in(family):
    """The dtypes that convolutions of a training's forward pass take, and that of its logits."""
    network = abstract_network(load_family(family), Scale(depth=0.1, width=0.125), 10)
    compute_in(network, "bfloat16")
    graphdef, state = nnx.split(network)

    def forward(state, images):
        net = nnx.merge(graphdef, state, copy=True)
        net.train()
        answer = net(images)
        return answer[0] if isinstance(answer, tuple) else answer

    side = 96
    program = jax.make_jaxpr(forward)(state, jax.ShapeDtypeStruct((2, side, side, 3), jnp.bfloat16))
    return set(dtypes_of(program.jaxpr)), program.out_avals[0].dtype


def dtypes_of(jaxpr):
    for equation in jaxpr.eqns:
        if equation.primitive.name == "conv_general_dilated":
            yield from (str(one.aval.dtype) for one in equation.invars)
        for inner in equation.params.values():
            if hasattr(inner, "jaxpr"):
                inner = inner.jaxpr
            if hasattr(inner, "eqns"):
                yield from dtypes_of(inner)


@pytest.mark.parametrize(
    "family", ["efficientnet_tiny", "resnet50", "mobilenet_v2", "examples.plain_cnn:PlainCNNFamily"]
)
def test_every_convolution_is_in_bfloat16_and_logits_are_not(family):
    assert convolved_in(family) == ({"bfloat16"}, jnp.float32)


# The first by name of each module's families; they differ in size alone.
OF_EACH_MODULE = {entry.module: name for name, entry in sorted(registered_families().items(), reverse=True)}.values()


@pytest.mark.slow
@pytest.mark.parametrize("family", OF_EACH_MODULE)
def test_every_family_computes_in_bfloat16(family):
    assert convolved_in(family) == ({"bfloat16"}, jnp.float32)


def curve(precision, steps=25):
    """Losses of a small EfficientNet on images that say their class, and the dtypes of its state."""
    network = replace(TWO_STAGES, dropout=0.0).build(Scale(), 4, rngs=nnx.Rngs(0))
    rng = np.random.default_rng(0)
    labels = np.arange(32, dtype=np.int32) % 4
    images = (rng.integers(0, 120, (32, 12, 12, 3)) + 40 * labels[:, None, None, None]).astype(np.uint8)
    program = compile_program(
        network,
        Recipe(epochs=1, batch_size=32, learning_rate=1.0),
        images=jax.ShapeDtypeStruct(images.shape, images.dtype),
        mean=jnp.full(3, 120.0),
        std=jnp.full(3, 60.0),
        steps_per_epoch=steps,
        precision=precision,
    )
    state = program.start(network)
    losses = []
    for _ in range(steps):
        state, loss = program.train(state, images, labels)
        losses.append(loss)
    return np.array(losses), {str(leaf.dtype) for leaf in jax.tree.leaves((state.params, state.statistics, state.ema))}


@pytest.mark.slow
def test_bfloat16_learns_as_float32_does():
    (wide, kept), (narrow, narrow_kept) = curve("float32"), curve("bfloat16")
    assert kept == narrow_kept == {"float32"}
    assert not np.array_equal(wide, narrow)
    assert wide[-1] < 0.7 * wide[0]
    # Of most steps: at a high rate one step may jump in one precision alone.
    assert np.median(np.abs(narrow - wide) / wide) < 0.15
    assert narrow[-1] < 0.7 * narrow[0]


def test_a_precision_names_a_trial_only_where_it_was_chosen():
    network = Network("f", (), Scale(), 8, 10, "fingerprint", 1, 1, 1)
    spec = Spec(network, Recipe(), "data:0", Split(validation=0.55, test=0.2), 0)
    # As versions without the choice named it.
    assert spec.key == "f107ea5943293d5e6519"
    chosen = {replace(spec, recipe=replace(spec.recipe, precision=one)).key for one in ("float32", "bfloat16")}
    assert len(chosen | {spec.key}) == 3
