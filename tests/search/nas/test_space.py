from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling_search.errors import UserError
from scaling_search.family import load_family
from scaling_search.networks.mnasnet import EFFICIENTNET_B0, MNASNET_A1, MOBILENET_V2
from scaling_search.rule import Scale
from scaling_search.search.nas.space import (
    MNASNET_SPACE,
    SPACES,
    MnasNetSpace,
    counter_of,
    load_space,
    random_genotypes,
    sizes,
)

genotypes = st.tuples(*[st.integers(0, size - 1) for size in sizes(MNASNET_SPACE)])


def test_mobilenet_v2_lies_in_the_middle():
    assert MNASNET_SPACE.architecture(MNASNET_SPACE.genotype(MOBILENET_V2)) == MOBILENET_V2
    assert len(MNASNET_SPACE.decisions) == 42
    assert np.prod(sizes(MNASNET_SPACE), dtype=float) == pytest.approx(1.25e18, rel=0.01)


@pytest.mark.parametrize(("architecture", "block"), [(MNASNET_A1, 5), (EFFICIENTNET_B0, 5)])
def test_a1_and_b0_have_filters_beside_the_grid_of_ratios(architecture, block):
    with pytest.raises(UserError, match=f"block {block} has filters 112; the space offers 72, 96, 120"):
        MNASNET_SPACE.genotype(architecture)


@given(genotypes)
def test_a_genotype_is_an_architecture_and_back(genotype):
    assert MNASNET_SPACE.genotype(MNASNET_SPACE.architecture(genotype)) == genotype


@cache
def counter(name, options):
    return counter_of(SPACES[name], options, 10)


@given(
    st.lists(genotypes, min_size=1, max_size=5),
    st.sampled_from(sorted(SPACES)),
    st.sampled_from([(), ("depth=0.7", "width=0.3"), ("resolution=33", "stem_stride=1")]),
)
def test_the_bulk_count_is_the_plan_s(drawn, name, options):
    space = SPACES[name]
    counted = counter(name, options)(np.array(drawn))
    for genotype, counts in zip(drawn, counted.tolist(), strict=True):
        family = load_family(space.family, (*space.options(genotype), *options))
        cost = family.plan(Scale(), 10).cost(family.resolution)
        assert counts == [cost.parameters, cost.multiply_adds, cost.activations, family.resolution]


def test_draws_are_uniform_and_within_the_space():
    drawn = random_genotypes(MNASNET_SPACE, 3000, np.random.default_rng(0))
    assert (drawn < sizes(MNASNET_SPACE)).all() and (drawn >= 0).all()
    for column, size in zip(drawn.T, sizes(MNASNET_SPACE), strict=True):
        np.testing.assert_allclose(np.bincount(column, minlength=size) / 3000, 1 / size, atol=0.05)


def test_a_space_of_one_s_own_is_counted_one_network_at_a_time():
    space = load_space("examples.plain_cnn_space:PlainCNNSpace")
    counted = counter_of(space, (), 10)(np.array([[0, 0], [2, 1], [2, 0]]))
    assert counted[1, 0] == counted[2, 0] > counted[0, 0]
    assert counted[1, 1] > counted[2, 1] > counted[0, 1]
    assert counted[:, 3].tolist() == [8, 12, 8]


def test_a_space_is_loaded_by_its_name_or_its_import_path():
    assert load_space("mnasnet") is MNASNET_SPACE
    assert load_space("scaling_search.search.nas.space:MnasNetSpace") == MNASNET_SPACE


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("mnasnt", "unknown space 'mnasnt'; known spaces are mnasnet"),
        ("no_such_module:Space", "space .* cannot be imported"),
        ("scaling_search.rule:Grid", "is not a space"),
        ("scaling_search.rule:CompoundRule", "cannot be created without arguments"),
    ],
)
def test_what_is_no_space_is_refused(name, complaint):
    with pytest.raises(UserError, match=complaint):
        load_space(name)


def test_mnasnets_space_is_of_its_own_family():
    with pytest.raises(UserError, match="MnasNetFamily"):
        counter_of(MnasNetSpace("efficientnet"), (), 10)
