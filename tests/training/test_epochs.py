"""Several seeds in one program, on images that lie on the device or stream to it, on one device or several."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from scaling_search.config import RunConfig, Split
from scaling_search.data import augment, draw_moves, prepare, reach
from scaling_search.family import load_family
from scaling_search.recipe import Recipe
from scaling_search.rule import Scale
from scaling_search.search.candidates import network_at, specs_of
from scaling_search.training import together
from scaling_search.training.epochs import moved
from scaling_search.training.fit import train_group
from scaling_search.training.together import train_together
from scaling_search.trial import Outcome

CONFIG = RunConfig(
    family="tests.tiny:TWO_STAGES",
    recipe=Recipe(epochs=2, batch_size=16, evaluate_every=1, learning_rate=4.0, augment="shift_flip"),
    split=Split(validation=0.3, test=0.2),
    seeds=3,
)
SMALL = replace(CONFIG, family="tests.faults.small_run:SmallFamily")
"""Where what is trained is no matter: a single convolution takes a fifth of the time to compile."""


def specs_and_build(images, config=CONFIG):
    family = load_family(config.family)
    specs = specs_of(network_at(family, Scale(), 3, name=config.family), config, images.identity)
    return specs, lambda seed: family.build(Scale(), 3, rngs=nnx.Rngs(seed))


def losses(outcomes):
    return np.array([[epoch.train_loss for epoch in outcome.curve] for outcome in outcomes])


def judged(outcomes):
    return np.array([[epoch.loss for epoch in outcome.curve] for outcome in outcomes])


@pytest.fixture(scope="module")
def one_after_another(images):
    return list(train_group(specs_and_build(images)[0], images))


@pytest.mark.parametrize(("resident", "config"), [(True, CONFIG), (True, SMALL), (False, SMALL)])
def test_seeds_together_have_the_numbers_of_one_after_another(resident, config, images, one_after_another, monkeypatch):
    monkeypatch.setattr(together.devices, "memory_limit", lambda device: None if resident else 1)
    specs, build = specs_and_build(images, config)
    apart = one_after_another if config is CONFIG else list(train_group(specs, images, load_family(config.family)))
    all_at_once = train_together(specs, prepare(images, config.split, 12, "validation"), build)
    np.testing.assert_allclose(losses(all_at_once), losses(apart), rtol=2e-4)
    np.testing.assert_allclose(judged(all_at_once), judged(apart), rtol=2e-3)
    assert len({outcome.curve for outcome in all_at_once}) == 3


def test_learning_rates_together_have_the_numbers_of_one_after_another(images):
    recipe = replace(CONFIG.recipe, epochs=1, optimiser="muon", learning_rate=0.02)
    specs, build = specs_and_build(images, replace(SMALL, recipe=recipe))
    specs = [replace(specs[0], recipe=replace(recipe, learning_rate=own)) for own in (0.02, 0.06)]
    all_at_once = train_together(specs, prepare(images, CONFIG.split, 12, "validation"), build)
    apart = list(train_group(specs, images))
    np.testing.assert_allclose(losses(all_at_once), losses(apart), rtol=2e-4)
    np.testing.assert_allclose(judged(all_at_once), judged(apart), rtol=2e-3)
    assert [one.curve[-1].learning_rate for one in all_at_once] == [one.curve[-1].learning_rate for one in apart]
    assert len({one.curve for one in all_at_once}) == 2


@pytest.mark.parametrize("kind", ["none", "shift", "shift_flip"])
@pytest.mark.parametrize("side", [(7, 7), (9, 16)])
def test_images_move_on_a_device_as_on_the_host(kind, side):
    images = np.random.default_rng(1).integers(0, 255, (20, *side, 3)).astype(np.uint8)
    recipe = Recipe(augment=kind)
    moves = draw_moves(20, *side, recipe, np.random.default_rng(2))
    expected = augment(images, recipe, np.random.default_rng(2))
    np.testing.assert_array_equal(jax.jit(moved, static_argnums=2)(images, moves, recipe), expected)
    assert reach(16, recipe.shift) == 2


def test_a_seed_whose_loss_is_no_number_fails_alone(images):
    specs, build = specs_and_build(images, SMALL)
    prepared = prepare(images, CONFIG.split, 12, "validation")

    def spoilt(seed):
        network = build(seed)
        if seed == 1:
            network.classifier.bias.set_value(network.classifier.bias[...] + np.inf)
        return network

    good, bad, other = train_together(specs, prepared, spoilt)
    assert (good.status, bad.status, other.status) == ("ok", "failed", "ok")
    assert bad.failed_step == 1 and "step 1 (epoch 1)" in bad.reason and bad.curve == ()


class Linear(nnx.Module):
    """Without batch norm, so that parts of a batch make the same step as the whole."""

    def __init__(self, rngs):
        self.classifier = nnx.Linear(3, 3, rngs=rngs)

    def __call__(self, images):
        return self.classifier(images.mean((1, 2)))


def test_gradients_of_parts_add_up(images):
    specs, _ = specs_and_build(images)
    prepared = prepare(images, CONFIG.split, 12, "validation")
    whole, parts = (
        train_together(specs[:1], prepared, lambda seed: Linear(nnx.Rngs(seed)), parts=count) for count in (1, 4)
    )
    np.testing.assert_allclose(losses(parts), losses(whole), rtol=1e-5)


def test_less_memory_is_tried_with_fewer_seeds_and_then_by_parts(images, monkeypatch):
    tried = []

    def short_of_memory(specs, prepared, build, *, parts=1, **kept):
        tried.append((len(specs), parts))
        if len(specs) > 1 or parts < 4:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes.")
        return [Outcome("ok", accuracy=0.5) for _ in specs]

    monkeypatch.setattr(together, "train_together", short_of_memory)
    specs, build = specs_and_build(images)
    outcomes = list(together.within_memory(specs, None, build, 0.0))
    assert tried == [(3, 1), (1, 1), (1, 2), (1, 4), (1, 4), (1, 4)]
    assert len(outcomes) == 3 and all("4 parts of 4" in outcome.note for outcome in outcomes)


CURVE = """
import json
import jax
from scaling_search.training.fit import train_group
from tests.training.conftest import barred_images
from tests.training.test_epochs import losses, specs_and_build
data = barred_images()
specs, _ = specs_and_build(data)
outcomes = list(train_group(specs[:1], data))
print(json.dumps([jax.device_count(), losses(outcomes).tolist()]))
"""


@pytest.mark.slow
def test_eight_devices_have_the_curve_of_one(one_after_another):
    root = Path(__file__).parents[2]
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    environment = os.environ | {"PYTHONPATH": str(root), "XLA_FLAGS": flags}
    ran = subprocess.run(
        [sys.executable, "-c", CURVE], env=environment, cwd=root, check=True, capture_output=True, text=True
    )
    count, curves = json.loads(ran.stdout)
    assert count == 8
    np.testing.assert_allclose(curves, losses(one_after_another)[:1], rtol=1e-4)
