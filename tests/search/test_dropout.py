"""Dropout by size, as section 5.2 of the paper has it, where the recipe asks for it."""

import dataclasses

import pytest

from scaling_search.config import RunConfig
from scaling_search.family import load_family
from scaling_search.recipe import PAPER, SHORT
from scaling_search.rule import PAPER_RULE, PUBLISHED, Grid, dropout_at
from scaling_search.search.grid import lay_out
from scaling_search.search.scale_up import found_models, published_models
from scaling_search.trial import Spec

pytestmark = pytest.mark.usefixtures("counted_once")

FAMILY = load_family("efficientnet_small")
PAPERS = RunConfig(recipe=PAPER, grid=Grid(divisions=1), rivals=False)
OWN = (0.2, 0.2, 0.3, 0.3, 0.4, 0.4, 0.5, 0.5)


def dropout_of(network):
    return load_family(network.family, network.options).dropout


def test_dropout_rises_linearly_from_b0_to_b7():
    rises = [dropout_at(phi + 1) - dropout_at(phi) for phi in range(7)]
    assert (dropout_at(0), dropout_at(7)) == (0.2, 0.5) and rises == pytest.approx([0.3 / 7] * 7, abs=2e-4)
    assert (dropout_at(-1), dropout_at(9)) == (0.2, 0.5)


@pytest.mark.parametrize("model", PUBLISHED[:8], ids=lambda model: model.name)
def test_a_registered_model_has_its_own_dropout(model):
    family = load_family(model.name)
    assert (family.dropout, family.drop_connect) == (OWN[int(model.name[-1])], 0.2)


def test_by_the_papers_recipe_published_models_have_their_own_and_found_ones_the_linear_one():
    published = published_models(FAMILY, PAPERS, 10, 1000)
    assert [dropout_of(model.network) for model in published] == list(OWN)
    found = found_models(PAPER_RULE, FAMILY, PAPERS, 10, 1000)
    assert [dropout_of(model.network) for model in found] == [dropout_at(phi) for phi in range(8)]
    layout = lay_out(FAMILY, PAPERS, 10)
    assert {dropout_of(network) for network in layout.networks[1:]} == {dropout_at(1)}
    assert layout.baseline.fingerprint == found[0].network.fingerprint == published[0].network.fingerprint


def test_by_the_short_recipe_all_have_their_familys():
    short = dataclasses.replace(PAPERS, recipe=SHORT)
    models = (*published_models(FAMILY, short, 10, 1000), *found_models(PAPER_RULE, FAMILY, short, 10, 1000))
    assert {dropout_of(model.network) for model in models} == {FAMILY.dropout}
    assert {model.network.options for model in models} == {()}


def test_it_changes_neither_costs_nor_what_a_family_without_dropout_is(plain_family):
    short = dataclasses.replace(PAPERS, recipe=SHORT)
    for family in (FAMILY, plain_family):
        by_size, own = (published_models(family, config, 10, 1000) for config in (PAPERS, short))
        costs = [[model.network.multiply_adds for model in models] for models in (by_size, own)]
        assert costs[0] == costs[1]
        same = [a.network.fingerprint == b.network.fingerprint for a, b in zip(by_size, own, strict=True)]
        assert all(same) if family is plain_family else not any(same)


def test_a_family_given_as_an_object_is_trained_with_it():
    from flax import nnx

    from scaling_search.family import with_options

    network = published_models(FAMILY, PAPERS, 10, 1000)[3].network
    built = with_options(FAMILY, network.options).build(network.scale, 10, rngs=nnx.Rngs(0))
    assert built.dropout.rate == 0.3


def test_recipes_without_it_have_the_keys_that_they_had():
    network = published_models(FAMILY, PAPERS, 10, 1000)[0].network
    split = RunConfig().split
    keys = {Spec(network, one, "images:0", split, 0).key for one in (SHORT, dataclasses.replace(SHORT))}
    by_size = Spec(network, dataclasses.replace(SHORT, dropout_by_size=True), "images:0", split, 0).key
    assert len(keys) == 1 and by_size not in keys
