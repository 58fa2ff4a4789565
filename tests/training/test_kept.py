"""Weights that trainings leave: the averaged ones, which answer as the training was judged."""

import pytest
from flax import nnx

from scaling_search.config import RunConfig, Split
from scaling_search.data import prepare
from scaling_search.evaluation.predict import evaluate
from scaling_search.family import load_family
from scaling_search.recipe import Recipe
from scaling_search.rule import Scale
from scaling_search.search.candidates import network_at, specs_of
from scaling_search.training.fit import train_group
from scaling_search.training.kept import Keep
from scaling_search.training.together import train_together
from scaling_search.weights.bundle import read_bundle, read_description

CONFIG = RunConfig(
    family="examples.plain_cnn:PlainCNNFamily",
    recipe=Recipe(epochs=1, batch_size=16, learning_rate=4.0),
    split=Split(validation=0.3, test=0.2),
    seeds=2,
)
SCALE = Scale(1.0, 1.2, 1.0)


@pytest.fixture(scope="module")
def specs(images):
    family = load_family(CONFIG.family, CONFIG.family_options)
    network = network_at(family, SCALE, 3, name=CONFIG.family, options=CONFIG.family_options)
    return specs_of(network, CONFIG, images.identity)


def build(seed):
    return load_family(CONFIG.family, CONFIG.family_options).build(SCALE, 3, rngs=nnx.Rngs(seed))


def assert_answers_as_judged(file, outcome, images):
    network, about = read_bundle(file, load_family(CONFIG.family))
    prepared = prepare(images, CONFIG.split, about.input_resolution, "validation")
    found = evaluate(network, prepared.eval_images, prepared.eval_labels, mean=about.mean, std=about.std)
    assert found.top1 == pytest.approx(outcome.accuracy)
    assert found.cross_entropy == pytest.approx(outcome.loss, rel=1e-4)


@pytest.fixture(scope="module")
def keep(images, tmp_path_factory):
    return Keep(tmp_path_factory.mktemp("weights"), images.classes, CONFIG.recipe)


@pytest.fixture(scope="module")
def outcomes(images, specs, keep):
    return list(train_group(specs, images, keep=keep))


def test_each_seed_leaves_its_own_weights_which_answer_as_it_was_judged(images, specs, keep, outcomes):
    assert sorted(keep.folder.iterdir()) == sorted(map(keep.file, specs))
    for spec, outcome in zip(specs, outcomes, strict=True):
        assert_answers_as_judged(keep.file(spec), outcome, images)
    about = read_description(keep.file(specs[0]))
    assert (about.family, about.options, about.scale) == (CONFIG.family, CONFIG.family_options, SCALE)
    assert (about.classes, about.input_resolution) == (images.classes, 12)


def test_keeping_changes_no_number(images, specs, outcomes):
    (alone,) = train_group(specs[:1], images)
    assert alone.curve == outcomes[0].curve


def test_seeds_trained_together_leave_the_same(images, specs, keep, tmp_path):
    here = Keep(tmp_path, keep.classes, keep.recipe)
    together = train_together(specs, prepare(images, CONFIG.split, 12, "validation"), build, keep=here)
    for spec, outcome in zip(specs, together, strict=True):
        assert_answers_as_judged(here.file(spec), outcome, images)


def test_a_training_holds_where_its_weights_cannot_be_written(images, specs, keep, outcomes):
    (outcome,) = train_group(specs[:1], images, keep=Keep(keep.folder / "gone", keep.classes, keep.recipe))
    assert outcome.curve == outcomes[0].curve
    assert "its weights were not kept" in outcome.note and "not a folder" in outcome.note


def test_shorter_trainings_and_those_on_the_test_split_leave_nothing(specs, keep):
    shorter = Keep(keep.folder, keep.classes, Recipe(epochs=7))
    tested = specs_of(specs[0].network, CONFIG, specs[0].data, test=True)
    assert keep.takes(specs[0]) and not shorter.takes(specs[0]) and not keep.takes(tested[0])
