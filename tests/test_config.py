import dataclasses

import pytest

from scaling_search.config import QUICK, RunConfig, Split, Workers, to_dict
from scaling_search.errors import UserError
from scaling_search.manifest import config_from_dict
from scaling_search.recipe import PAPER, SHORT, Recipe
from scaling_search.rule import Grid


@pytest.mark.parametrize("config", [RunConfig(), QUICK, RunConfig(reuse=("runs/a",), family_options=("depth=0.5",))])
def test_a_config_survives_the_manifest(config):
    assert config_from_dict(RunConfig, to_dict(config)) == config


def test_the_recipe_is_the_papers():
    recipe = PAPER
    assert (recipe.optimiser, recipe.schedule, recipe.zero_init_residual) == ("rmsprop", "stairs", False)
    assert (recipe.epochs, recipe.batch_size, recipe.ema_decay, recipe.label_smoothing) == (350, 4096, 0.9999, 0.1)
    assert (recipe.rms_decay, recipe.momentum, recipe.batch_norm_momentum) == (0.9, 0.9, 0.99)
    assert (recipe.weight_decay, recipe.learning_rate, recipe.decay_rate, recipe.decay_epochs) == (
        1e-5,
        0.256,
        0.97,
        2.4,
    )


def test_a_manifest_without_what_came_later_has_the_recipe_it_was_trained_by():
    trained = Recipe(epochs=4, learning_rate=1.0)
    later = ("optimiser", "schedule", "warmup_share", "zero_init_residual")
    tree = to_dict(RunConfig(recipe=trained))
    old = tree | {"recipe": {name: value for name, value in tree["recipe"].items() if name not in later}}
    assert config_from_dict(RunConfig, old).recipe == trained != SHORT


def test_where_a_run_lies_is_not_what_it_computes():
    moved = dataclasses.replace(RunConfig(), runs="elsewhere", name="other", reuse=("runs/a",))
    assert moved.what_it_computes() == RunConfig().what_it_computes()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("digits", "digits"),
        ("glyphs:2400", "glyphs"),
        ("idx:/data/fashion-mnist", "fashion-mnist"),
        ("folder:~/my pets/", "my-pets"),
    ],
)
def test_a_run_is_named_after_its_images(source, name):
    assert RunConfig(data=source).run_name == name


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (lambda: RunConfig(name="../up"), "run name"),
        (lambda: RunConfig(seeds=1), "at least 2"),
        (lambda: RunConfig(phi=0), "phi"),
        (lambda: RunConfig(phi=float("nan")), "phi"),
        (lambda: RunConfig(seed=-1), "seed"),
        (lambda: RunConfig(max_flops=0), "number 0"),
        (lambda: Split(validation=0.6, test=0.4), "leave images to train on"),
        (lambda: Recipe(epochs=0), "epochs"),
        (lambda: Recipe(batch_size=0), "batch_size"),
        (lambda: Recipe(momentum=1.0), "momentum"),
        (lambda: Recipe(warmup_share=1.0), "warmup_share"),
        (lambda: Recipe(optimiser="adam"), "adamw"),
        (lambda: Recipe(learning_rate=float("nan")), "learning_rate"),
        (lambda: Grid("coefficients", step=0), "step"),
        (lambda: Grid("coefficients", tolerance=0), "tolerance"),
        (lambda: Grid(divisions=0), "divisions"),
        (lambda: Grid(step=0.1), "kind coefficients"),
        (lambda: Grid("coefficients", divisions=4), "kind shares"),
        (lambda: Grid("lattice"), "kind 'lattice'"),
        (lambda: Grid("coefficients", step=1e-4, alpha_max=2, beta_max=2, gamma_max=2), "lattice"),
        (lambda: Workers(cpus_per_trial=0), "cpus_per_trial"),
        (lambda: Workers(gpus_per_trial=1.5), "whole number"),
    ],
)
def test_bad_settings_are_refused_in_one_line(build, complaint):
    with pytest.raises(UserError, match=complaint) as caught:
        build()
    assert "\n" not in str(caught.value)


def test_a_manifest_of_another_version_is_refused():
    with pytest.raises(UserError, match="does not fit this version"):
        config_from_dict(RunConfig, {**to_dict(RunConfig()), "unheard_of": 1})
