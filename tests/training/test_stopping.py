"""Early stopping, and recipes that change what training sees."""

import dataclasses

import numpy as np
import pytest
from flax import nnx

from scaling_search.data import divide, from_arrays, hold_out, prepare
from scaling_search.errors import UserError
from scaling_search.recipe import PAPER, Recipe
from scaling_search.rule import Scale
from scaling_search.search.candidates import network_at, specs_of
from scaling_search.training.fit import train_group
from scaling_search.training.kept import Keep
from scaling_search.training.stopping import Best, Judgement
from scaling_search.training.together import train_together
from scaling_search.weights.files import read_arrays
from scaling_search.weights.transfer import import_weights, namings_of
from tests.training.test_epochs import CONFIG


def stopping(**changes) -> Recipe:
    return dataclasses.replace(
        CONFIG.recipe, **{"epochs": 6, "patience": 1, "held_out": 0.3, "learning_rate": 0.0001} | changes
    )


def test_training_stops_when_the_held_out_images_say_so_and_keeps_the_best() -> None:
    best = Best(patience=2)
    says = [(0.5, 1.0), (0.6, 1.0), (0.6, 0.9), (0.6, 0.95), (0.55, 0.1)]
    stops = [
        best.judged(epoch, Judgement(*held), Judgement(epoch / 10, None), lambda epoch=epoch: epoch)
        for epoch, held in enumerate(says, start=1)
    ]
    assert stops == [False, False, False, False, True]
    assert (best.epoch, best.weights, best.judgement) == (3, 3, Judgement(0.3, None))


def test_what_is_held_out_is_of_the_training_part_and_of_each_class(images) -> None:
    train = divide(images, CONFIG.split).train
    rest, held = hold_out(train, images.labels, stopping(), 0)
    assert np.array_equal(np.sort(np.concatenate([rest, held])), train)
    counts = np.bincount(images.labels[held])
    assert np.allclose(counts, 0.3 * np.bincount(images.labels[train]), atol=0.5)
    assert hold_out(train, images.labels, CONFIG.recipe, 0)[0] is train


def test_a_class_of_one_image_cannot_be_held_out() -> None:
    labels = np.array([0, 0, 1])
    with pytest.raises(UserError, match="single image"):
        hold_out(np.arange(3), labels, stopping(), 0)


class Sees(nnx.Module):
    """Knows an image's class by the mean colours of three bands."""

    def __init__(self, classes, rngs):
        self.classifier = nnx.Linear(9, classes, rngs=rngs)

    def __call__(self, images):
        return self.classifier(images.reshape(len(images), 3, -1, 3).mean(2).reshape(len(images), 9))


@dataclasses.dataclass(frozen=True)
class Bands:
    """A family of one small network."""

    name: str = "bands"
    resolution: int = 12

    def build(self, scale, num_classes, *, rngs):
        return Sees(num_classes, rngs)


def specs_of_bands(images, recipe):
    network = network_at(Bands(), Scale(), images.num_classes, name="bands")
    return specs_of(network, dataclasses.replace(CONFIG, recipe=recipe, seeds=2), images.identity)


def both_ways(images, recipe):
    """The outcomes of seeds after each other, and together."""
    specs = specs_of_bands(images, recipe)
    prepared = prepare(images, CONFIG.split, 12, "validation", recipe)
    together = train_together(specs, prepared, lambda seed: Sees(images.num_classes, nnx.Rngs(seed)))
    return list(train_group(specs, images, Bands())), together


def test_a_run_that_gets_no_better_ends_early_with_its_best_epoch(images) -> None:
    alone, together = both_ways(images, stopping(optimiser="adamw", learning_rate=3.0, epochs=12))
    for outcome in (*alone, *together):
        assert outcome.status == "ok"
        assert outcome.accuracy == outcome.curve[outcome.best_epoch - 1].accuracy
        assert outcome.curve[-1].epoch in (outcome.best_epoch + 1, 12)
    assert any(outcome.curve[-1].epoch < 12 for outcome in alone)
    assert [one.best_epoch for one in alone] == [one.best_epoch for one in together]


def test_the_weights_that_are_kept_are_those_of_the_best_epoch(images, tmp_path) -> None:
    recipe = stopping(optimiser="adamw", learning_rate=3.0, epochs=12)
    spec = specs_of_bands(images, recipe)[0]
    keep = Keep(tmp_path, images.classes, recipe)
    (outcome,) = train_group([spec], images, Bands(), keep)
    held = prepare(images, CONFIG.split, 12, "validation", recipe)
    network = Sees(3, nnx.Rngs(0))
    import_weights(network, read_arrays(str(keep.file(spec))), namings_of(Bands()))
    logits = network(((held.eval_images - held.mean) / held.std).astype(np.float32))
    assert np.mean(np.asarray(logits).argmax(-1) == held.eval_labels) == pytest.approx(outcome.accuracy)


MIXED = {"policy": "randaugment", "erasing": 0.5, "mixup": 0.2, "cutmix": 1.0}


@pytest.mark.parametrize("changes", [{"augment": "crop"}, MIXED])
def test_seeds_together_see_what_they_see_one_after_another(images, changes) -> None:
    alone, together = both_ways(images, dataclasses.replace(CONFIG.recipe, epochs=1, **changes))
    losses = [[one.curve[-1].train_loss for one in outcomes] for outcomes in (alone, together)]
    np.testing.assert_allclose(*losses, rtol=2e-4)


def test_mixed_labels_are_learnt() -> None:
    labels = np.arange(80) % 2
    pixels = np.broadcast_to(np.where(labels, 200, 50)[:, None, None, None], (80, 12, 12, 3)).astype(np.uint8)
    data = from_arrays(pixels, labels)
    recipe = Recipe(epochs=4, batch_size=8, optimiser="adamw", learning_rate=0.1, augment="none", cutmix=1.0)
    (outcome,) = train_group(specs_of_bands(data, recipe)[:1], data, Bands())
    assert outcome.accuracy == 1
    assert outcome.curve[-1].train_loss > 0.3


def test_the_papers_recipe_trains_here(images) -> None:
    recipe = dataclasses.replace(PAPER, epochs=1, batch_size=16)
    (outcome,) = train_group(specs_of_bands(images, recipe)[:1], images, Bands())
    assert outcome.status == "ok"
