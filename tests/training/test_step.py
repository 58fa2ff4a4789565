import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from scaling_search.networks.blocks import BatchNorm
from scaling_search.recipe import Recipe
from scaling_search.training.step import compile_program

RECIPE = Recipe(epochs=2, learning_rate=8.0, warmup_epochs=0.0)


class Small(nnx.Module):
    """A convolution, batch norm and a head; with `auxiliary`, a second head in training."""

    def __init__(self, auxiliary=False):
        rngs = nnx.Rngs(0)
        self.conv = nnx.Conv(3, 4, (3, 3), rngs=rngs)
        self.norm = BatchNorm(4)
        self.classifier = nnx.Linear(4, 2, rngs=rngs)
        self.auxiliary = nnx.Linear(4, 2, rngs=rngs) if auxiliary else None
        self.use_running_average = False

    def __call__(self, images):
        x = self.norm(self.conv(images)).mean((1, 2))
        if self.auxiliary is None or self.use_running_average:
            return self.classifier(x)
        return self.classifier(x), self.auxiliary(x)


@pytest.fixture(scope="module")
def batch():
    labels = jnp.arange(8) % 2
    images = np.random.default_rng(0).integers(0, 100, (8, 6, 6, 3)) + 100 * np.asarray(labels)[:, None, None, None]
    return jnp.asarray(images, jnp.uint8), labels.astype(jnp.int32)


def trained(network, batch, steps=5, **options):
    images, labels = batch
    program = compile_program(
        network,
        RECIPE,
        images=jax.ShapeDtypeStruct(images.shape, images.dtype),
        mean=jnp.full(3, 100.0),
        std=jnp.full(3, 60.0),
        steps_per_epoch=5,
        **options,
    )
    state, losses = program.start(network), []
    for _ in range(steps):
        state, loss = program.train(state, images, labels)
        losses.append(float(loss))
    return nnx.to_flat_state(program.averaged(state)), losses


def moved(network, after):
    before = nnx.to_flat_state(nnx.state(network))
    return {
        path[0]
        for (path, old), (_, new) in zip(before, after, strict=True)
        # Averaging rounds: what is not trained may move in its last digit.
        if not np.allclose(np.asarray(old[...]), np.asarray(new), rtol=1e-5, atol=1e-7)
    }


def test_everything_is_trained(batch):
    after, losses = trained(Small(), batch)
    assert moved(Small(), after) == {"conv", "norm", "classifier"} and losses[-1] < losses[0]


def test_a_head_alone_is_trained_on_features_that_stay(batch):
    after, losses = trained(Small(), batch, trained="head")
    assert moved(Small(), after) == {"classifier"} and losses[-1] < losses[0]


def test_an_auxiliary_head_adds_to_the_loss_and_is_trained(batch):
    after, losses = trained(Small(auxiliary=True), batch)
    assert "auxiliary" in moved(Small(auxiliary=True), after)
    assert losses[0] > trained(Small(), batch, 1)[1][0] + 0.05
