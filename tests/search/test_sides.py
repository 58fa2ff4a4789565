import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling_search.networks.efficientnet import EFFICIENTNET_TINY
from scaling_search.rule import Grid, Scale, round_resolution
from scaling_search.search.grid import lay_out
from scaling_search.search.sides import REACH, side_for, small_map
from tests.tiny import FINE, FINE_FAMILY, TINY


def last_map_of(family):
    return family.plan(Scale(), 10).last_map_side


@given(st.integers(1, 64), st.integers(1, 32), st.floats(1.0, 3.0))
def test_no_other_side_in_reach_follows_the_ratio_better(baseline, stride, ratio):
    def last_map(side):
        return -(-side // stride)

    def deviation(side):
        ratios = side / baseline, last_map(side) / last_map(baseline)
        return max(abs(math.log(one / ratio)) for one in ratios)

    chosen = side_for(last_map, baseline, ratio)
    exact = baseline * ratio
    assert abs(chosen - exact) <= max(0.5, REACH * exact)
    others = range(max(1, math.ceil(exact * (1 - REACH))), math.floor(exact * (1 + REACH)) + 1)
    assert all(deviation(chosen) <= deviation(other) + 1e-9 for other in others)


def test_without_strides_it_is_the_nearest_pixel():
    assert [side_for(lambda side: side, 20, ratio) for ratio in (1.0, 1.12, 1.15, 2.0)] == [20, 22, 23, 40]


def test_the_last_map_of_the_small_baseline_follows_the_grid_and_the_tiny_ones_leaps():
    def worst(family, choose):
        last_map, base = last_map_of(family), family.resolution
        ratios = {rule.gamma for rule in Grid("coefficients").rules()}
        return max(abs(math.log(last_map(choose(ratio)) / last_map(base) / ratio)) for ratio in ratios)

    small, tiny = FINE_FAMILY, EFFICIENTNET_TINY
    assert worst(tiny, lambda ratio: round_resolution(16, ratio)) > 0.6
    assert worst(small, lambda ratio: side_for(last_map_of(small), 24, ratio)) < 0.06


@pytest.mark.parametrize(("resolution", "last_map", "said"), [(16, 1, True), (17, 2, False), (24, 6, False)])
def test_a_last_map_of_a_single_pixel_is_spoken_of(resolution, last_map, said):
    assert (small_map(resolution, last_map) is not None) == said


def test_laying_out_a_grid_notes_the_sides_whose_last_map_is_a_single_pixel():
    assert [note.split()[4:7] for note in lay_out(EFFICIENTNET_TINY, TINY, 10).notes] == [["16", "x", "16"]]
    assert lay_out(FINE_FAMILY, dataclasses.replace(TINY, family="efficientnet", family_options=FINE), 10).notes == ()
