import dataclasses
import math
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_search.errors import UserError
from scaling_search.networks.efficientnet import EFFICIENTNET, EFFICIENTNET_TINY
from scaling_search.rule import PAPER_RULE, CompoundRule, Grid, Scale, round_resolution
from scaling_search.search.matching import match_cost
from scaling_search.search.sides import side_for
from tests.tiny import FINE_FAMILY

RULES = Grid("coefficients").rules()
FINE_TINY = dataclasses.replace(EFFICIENTNET_TINY, divisor=1)


def counted(family, scale, side):
    return family.plan(scale, 10).cost(side)


def rounded_deviations(family):
    """log2 of cost over target where every dimension is rounded as the paper does."""
    base = counted(family, Scale(), family.resolution).multiply_adds
    for rule in RULES:
        side = round_resolution(family.resolution, rule.gamma)
        yield math.log2(counted(family, rule.at(1), side).multiply_adds / base / 2)


@pytest.mark.parametrize("family", [FINE_FAMILY, FINE_TINY], ids=lambda family: family.name)
def test_the_grids_39_points_cost_the_same_within_a_hundredth_where_rounding_spreads_them_by_a_sixth(family):
    deviations = [match_cost(family, rule, 1, 10).deviation for rule in RULES]
    assert len(deviations) == 39
    assert statistics.pstdev(deviations) < 0.011 and max(map(abs, deviations)) < 0.02
    assert statistics.pstdev(rounded_deviations(family)) > 0.15


@pytest.mark.parametrize("phi", [2, 7])
@pytest.mark.parametrize("by", ["multiply_adds", "activations", "parameters"])
def test_any_phi_and_any_cost(phi, by):
    deviations = [match_cost(FINE_FAMILY, rule, phi, 10, by=by).deviation for rule in RULES[::6]]
    assert max(map(abs, deviations)) < 0.02


def test_what_it_says_of_a_network_is_so():
    matched = match_cost(EFFICIENTNET, PAPER_RULE, 1, 10)
    plan, base = (EFFICIENTNET.plan(scale, 10) for scale in (matched.scale, Scale()))
    assert matched.input_resolution == round_resolution(224, matched.scale.resolution) == 258
    assert matched.cost == plan.cost(258).multiply_adds / base.cost(224).multiply_adds
    assert (matched.rule, matched.phi, matched.scale.depth, matched.target) == (PAPER_RULE, 1, 1.2, 2.0)


@settings(max_examples=15)
@given(st.sampled_from(RULES), st.floats(0.5, 3), st.lists(st.floats(0.05, 4), min_size=20, max_size=20))
def test_no_other_width_comes_nearer(rule, phi, widths):
    matched = match_cost(FINE_TINY, rule, phi, 10)
    side, base = matched.input_resolution, counted(FINE_TINY, Scale(), 16).multiply_adds
    for width in widths:
        other = counted(FINE_TINY, dataclasses.replace(matched.scale, width=width), side).multiply_adds / base
        assert abs(matched.deviation) <= abs(math.log2(other / matched.target)) + 1e-9


def test_input_sides_may_be_chosen_by_the_last_map_too():
    last_map = FINE_FAMILY.plan(Scale(), 10).last_map_side
    matched = match_cost(FINE_FAMILY, PAPER_RULE, 1, 10, side=lambda ratio: side_for(last_map, 24, ratio))
    assert matched.input_resolution == 28 and last_map(28) == 7
    assert abs(matched.deviation) < 0.02


def test_a_family_without_a_plan_is_matched_as_well(plain_family):
    matched = match_cost(plain_family, CompoundRule(1.0, 1.4, 1.0), 1, 10)
    assert abs(matched.deviation) < 0.5  # Its channels come in multiples of 4 from 8 up.


def test_depth_and_pixels_that_cost_too_much_by_themselves_are_refused():
    with pytest.raises(UserError, match="at any width"):
        match_cost(EFFICIENTNET_TINY, CompoundRule(4.0, 1.0, 4.0), 1, 10)
