import dataclasses
import json
import math
import statistics

import pytest

from scaling_search.config import RunConfig, to_dict
from scaling_search.errors import UserError
from scaling_search.family import load_family
from scaling_search.rule import PAPER_RULE, CompoundRule, Grid, Scale
from scaling_search.search.candidates import network_at
from scaling_search.search.grid import lay_out, step1_specs
from scaling_search.search.growing import MEASURES, SPREAD, Grower
from scaling_search.search.rivals import RIVALS, fast_rule
from scaling_search.search.scale_up import found_models, published_models
from scaling_search.search.sides import side_for
from tests.tiny import FINE, FINE_FAMILY
from tests.tiny import TINY as TINY_RUN

SMALL, TINY = FINE_FAMILY, load_family("efficientnet_tiny")
ROUNDED = dataclasses.replace(TINY_RUN, family="efficientnet", family_options=FINE)
NAMED = {"name": "efficientnet", "options": FINE}
MATCHED = dataclasses.replace(ROUNDED, match="cost", rivals=True)


@pytest.fixture(scope="module")
def layout():
    return lay_out(SMALL, MATCHED, 10)


def deviation(grown):
    return math.log2(grown.growth.realised_cost / grown.target_cost)


def test_every_network_of_the_grid_costs_twice_the_baseline_within_a_fiftieth_of_an_octave(layout):
    deviations = [deviation(point.grown) for point in layout.points]
    assert len(deviations) == 39
    assert statistics.pstdev(deviations) < SPREAD and max(map(abs, deviations)) <= 0.02
    rounded = lay_out(SMALL, ROUNDED, 10)
    unmatched = [math.log2(point.grown.growth.realised_cost / 2) for point in rounded.points]
    assert statistics.pstdev(unmatched) > 5 * SPREAD


@pytest.mark.parametrize("by", MEASURES)
@pytest.mark.parametrize("rule", [PAPER_RULE, CompoundRule(1.0, 1.2, 1.2), CompoundRule(1.4, 1.2, 1.0)])
def test_b0_to_b7_cost_powers_of_two_by_any_measure(by, rule):
    config = dataclasses.replace(MATCHED, match_by=by)
    models = found_models(rule, SMALL, config, 10, 630)
    base = getattr(models[0].network, MEASURES[by])
    assert models[0].network == network_at(SMALL, Scale(), 10, **NAMED)
    for phi, model in enumerate(models):
        assert abs(math.log2(getattr(model.network, MEASURES[by]) / base) - phi) <= 0.02


def latencies_of(networks):
    """Made up: a call takes a while, and each layer some of it, whatever its size."""
    return [0.05 + 1e-7 * network.multiply_adds + 1e-6 * network.activations for network in networks]


def test_networks_are_matched_by_what_is_measured():
    config = dataclasses.replace(MATCHED, match_by="latency", grid=Grid())
    asked = []

    def latencies(networks):
        asked.extend(network.fingerprint for network in networks)
        return latencies_of(networks)

    layout = lay_out(SMALL, config, 10, latencies)
    base = latencies_of([layout.baseline])[0]
    for point in layout.points:
        growth = point.grown.growth
        assert growth.realised_cost == pytest.approx(latencies_of([point.network])[0] / base)
        assert growth.depth_share + growth.width_share + growth.resolution_share == pytest.approx(1)
        assert abs(deviation(point.grown)) <= 0.02
    # That is not twice the multiply-adds, and few networks are measured for each.
    counted = [point.network.multiply_adds / layout.baseline.multiply_adds for point in layout.points]
    assert max(abs(math.log2(times / 2)) for times in counted) > 0.05
    assert len(set(asked)) < 8 * len(layout.points)
    assert lay_out(SMALL, config, 10, latencies_of).points == layout.points
    models = found_models(PAPER_RULE, SMALL, config, 10, 630, latencies_of)
    assert [abs(deviation(model.grown)) <= 0.03 for model in models] == [True] * 8


def test_measured_costs_that_jump_end_in_the_nearest_of_a_few_tries():
    def jumping(networks):
        return [2.0 ** round(2 * math.log2(network.multiply_adds)) for network in networks]

    layout = lay_out(SMALL, dataclasses.replace(MATCHED, match_by="latency", grid=Grid(divisions=2)), 10, jumping)
    assert all(math.isfinite(point.grown.growth.realised_cost) for point in layout.points)


def test_a_measurement_that_is_far_off_leads_to_no_other_network_than_those_near():
    seen = []

    def disturbed(networks):
        seen.append(networks[0].fingerprint)
        return [(100 if len(set(seen)) == 2 else 1) * found for found in latencies_of(networks)]

    layout = lay_out(SMALL, dataclasses.replace(MATCHED, match_by="latency", grid=Grid(divisions=1)), 10, disturbed)
    assert [point.rejected for point in layout.points] == [None] * 3
    assert all(abs(deviation(point.grown)) <= 0.02 for point in layout.points[1:])


def test_latencies_that_nothing_measures_are_refused():
    with pytest.raises(UserError, match="--match-by latency"):
        lay_out(SMALL, dataclasses.replace(MATCHED, match_by="latency"), 10)


def test_published_models_stay_as_published():
    assert [model.network for model in published_models(SMALL, MATCHED, 10, 630)] == [
        model.network for model in published_models(SMALL, ROUNDED, 10, 630)
    ]


def test_growth_is_what_the_plans_have(layout):
    base = SMALL.plan(Scale(), 10)
    for point in layout.points:
        plan, growth = SMALL.plan(point.network.scale, 10), point.grown.growth
        assert (growth.layers, growth.channels) == (plan.layers / base.layers, plan.channels / base.channels)
        assert growth.pixels == point.network.input_resolution / SMALL.resolution
        assert growth.realised_cost == point.network.multiply_adds / layout.baseline.multiply_adds


def test_shares_are_what_each_dimension_alone_makes_of_the_growth_in_cost():
    layout = lay_out(SMALL, dataclasses.replace(MATCHED, grid=Grid()), 10)
    for point in layout.points:
        growth, scale, side = point.grown.growth, point.network.scale, point.network.input_resolution
        shares = growth.depth_share, growth.width_share, growth.resolution_share
        assert sum(shares) == pytest.approx(1)
        grown = [SMALL.plan(Scale(depth=scale.depth), 10).cost(24), SMALL.plan(Scale(), 10).cost(side)]
        base = layout.baseline.multiply_adds
        assert [growth.realised_cost ** shares[0], growth.realised_cost ** shares[2]] == pytest.approx(
            [cost.multiply_adds / base for cost in grown]
        )
    alone = {name: layout.rivals[f"{name} alone"].grown.growth for name in ("depth", "width")}
    assert alone["depth"].resolution_share == 0 and alone["width"].depth_share == 0
    assert alone["width"].width_share == 1


def test_the_default_baselines_layers_tell_depths_apart_and_its_costs_are_equal():
    family = load_family("efficientnet_small")
    depths = (1, *(2**share for share in (1 / 4, 1 / 3, 1 / 2, 2 / 3, 1)))
    layers = [family.plan(Scale(depth), 32).layers for depth in depths]
    assert layers == sorted(set(layers)) and layers[-1] == 2 * layers[0]
    assert family.plan(Scale(), 32).last_map_side(family.resolution) == 4
    for divisions in (3, 4):
        layout = lay_out(family, RunConfig(grid=Grid(divisions=divisions)), 32)
        deviations = [deviation(point.grown) for point in layout.points]
        assert statistics.pstdev(deviations) < SPREAD
        assert [note for note in layout.notes if "follow" in note] == []


def test_the_corners_of_a_grid_of_shares_are_the_rivals_of_one_dimension_and_trained_once():
    layout = lay_out(SMALL, dataclasses.replace(MATCHED, grid=Grid()), 10)
    points = {point.network.fingerprint for point in layout.points}
    same = [name for name, rival in layout.rivals.items() if rival.network.fingerprint in points]
    assert {"depth alone", "width alone", "resolution alone", "equal shares"} <= {*same}
    assert len(layout.networks) == 1 + len(points | {rival.network.fingerprint for rival in layout.rivals.values()})


def test_the_baseline_itself_and_networks_of_its_cost_have_no_shares():
    growth = Grower(SMALL, MATCHED, 10).matched(PAPER_RULE, 0).growth
    assert (growth.depth_share, growth.width_share, growth.resolution_share) == (None, None, None)


def test_sides_are_those_at_which_the_last_map_follows(layout):
    last_map = SMALL.plan(Scale(), 10).last_map_side
    for point in layout.points:
        assert point.network.input_resolution == side_for(last_map, 24, point.rule.gamma)


def test_rules_that_differ_in_width_alone_are_one_network_trained_once(layout):
    by_others = {}
    for point in layout.points:
        assert by_others.setdefault((point.rule.alpha, point.rule.gamma), point.network) is point.network
    specs = step1_specs(layout, MATCHED, "digits:0")
    assert len({spec.key for spec in specs}) == len(specs) == 3 * len(layout.networks)


def test_each_rival_doubles_the_cost_and_is_trained(layout):
    assert list(layout.rivals) == list(RIVALS)
    trained = {network.fingerprint for network in layout.networks}
    for point in layout.rivals.values():
        assert point.network.fingerprint in trained and abs(deviation(point.grown)) <= 0.02


def test_rivals_are_matched_where_the_grid_is_not():
    config = dataclasses.replace(ROUNDED, rivals=True)
    rounded = lay_out(SMALL, config, 10)
    assert {point.grown.target_cost for point in rounded.points} == {None}
    assert all(abs(deviation(point.grown)) <= 0.02 for point in rounded.rivals.values())
    without = lay_out(SMALL, dataclasses.replace(config, rivals=False), 10)
    assert rounded.points == without.points and without.rivals == {}


def test_rivals_are_those_of_the_papers():
    assert all(rule.satisfies(2.0, 0.1) for rule in RIVALS.values())
    # Table 4 of "Fast and Accurate Model Scaling" at s = 2: e_d = 0.1, e_w = 0.8, e_r = 0.1.
    dwr = RIVALS["dWr"]
    assert (math.log2(dwr.alpha), 2 * math.log2(dwr.beta), 2 * math.log2(dwr.gamma)) == pytest.approx((0.1, 0.8, 0.1))
    equal = fast_rule(1 / 3)
    assert equal.alpha == pytest.approx(equal.beta**2) == pytest.approx(equal.gamma**2)


def test_equation_2_holds_for_rivals_too(layout):
    limit = max(point.network.multiply_adds for point in layout.points)
    strict = lay_out(SMALL, dataclasses.replace(MATCHED, max_flops=limit - 1), 10)
    for point in (*strict.points, *strict.rivals.values()):
        assert (point.rejected is not None) == (point.network.multiply_adds > limit - 1)


def test_costs_that_no_width_gives_are_refused_points_not_the_end_of_the_run():
    grid = Grid("coefficients", alpha_max=1.9, beta_max=1.0, gamma_max=1.6, step=0.3, tolerance=0.9)
    config = dataclasses.replace(
        MATCHED, family="efficientnet_tiny", family_options=("resolution=17",), phi=6, grid=grid
    )
    refused = [
        point for point in lay_out(dataclasses.replace(TINY, resolution=17), config, 10).points if point.rejected
    ]
    assert refused and all("at any width" in point.rejected for point in refused)
    assert all(point.grown.growth is None for point in refused)


def test_rules_of_equal_cost_are_not_compared_where_the_last_map_is_a_single_pixel():
    with pytest.raises(UserError, match=r"last feature map of efficientnet_tiny has 1 x 1.*try .*resolution=17"):
        lay_out(TINY, dataclasses.replace(TINY_RUN, match="cost"), 10)
    assert lay_out(TINY, TINY_RUN, 10).notes[0].startswith("at an input of 16 x 16")


def test_a_note_says_where_the_last_map_cannot_follow_its_input():
    family = dataclasses.replace(TINY, resolution=33)
    config = dataclasses.replace(TINY_RUN, family_options=("resolution=33",), match="cost", grid=Grid())
    (note,) = (note for note in lay_out(family, config, 10).notes if "follow" in note)
    assert note.startswith("the last feature map can't follow inputs of") and "47 x 47 (a map of 3 x 3" not in note
    assert "a map of 3 x 3, 1.00 times the baseline's for 1.26" in note


def test_a_note_says_how_well_costs_are_matched(plain_family, layout):
    assert layout.notes == ("costs are matched with a standard deviation of 0.009 in log2",)
    coarse = dataclasses.replace(MATCHED, family="efficientnet", family_options=("resolution=48",))
    family = dataclasses.replace(load_family("efficientnet"), resolution=48, divisor=64)
    assert "try --family-options divisor=1 or --family efficientnet_small" in lay_out(family, coarse, 10).notes[-1]
    quick = dataclasses.replace(MATCHED, grid=Grid("coefficients", step=0.2), rivals=False)
    plain = lay_out(plain_family, dataclasses.replace(quick, family="plain", family_options=()), 10)
    assert plain.notes[-1].endswith("too coarse for less; try --family efficientnet_small")
    assert all(point.grown.growth.layers is None for point in plain.points)


def test_networks_rounded_as_in_the_paper_have_no_note_on_cost():
    assert not any("log2" in note for note in lay_out(TINY, TINY_RUN, 10).notes)


def test_the_document_keeps_what_each_network_realises(layout):
    document = json.loads(json.dumps(layout.document()))
    assert document["notes"] == list(layout.notes)
    named = {*(point["network"] for point in [*document["points"], *document["rivals"]]), document["baseline"]}
    assert named == set(document["networks"])
    for kept, point in zip(document["points"], layout.points, strict=True):
        realised = to_dict(point.grown.growth) | {"target_cost": 2.0}
        assert realised.items() <= kept.items() and len(realised) == 8


def test_a_network_is_made_of_the_solved_width():
    grown = Grower(SMALL, MATCHED, 10).matched(PAPER_RULE, 1)
    assert grown.network == network_at(SMALL, grown.network.scale, 10, **NAMED)
    assert grown.network.scale.depth == PAPER_RULE.alpha and grown.network.scale.width != PAPER_RULE.beta
