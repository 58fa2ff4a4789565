import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scaling_search.errors import UserError
from scaling_search.rule import (
    PAPER_RULE,
    PUBLISHED,
    CompoundRule,
    Grid,
    Scale,
    round_channels,
    round_layers,
    round_resolution,
)
from scaling_search.search.rivals import RIVALS

coefficients = st.floats(1.0, 2.0)
phis = st.floats(-4.0, 8.0)


def test_the_papers_coefficients_give_1_92():
    assert PAPER_RULE.cost_factor == pytest.approx(1.92027)
    assert PAPER_RULE.satisfies(tolerance=0.08)
    assert not PAPER_RULE.satisfies(tolerance=0.0797)


def test_phi_0_is_the_baseline():
    assert PAPER_RULE.at(0) == Scale(1.0, 1.0, 1.0)


@given(coefficients, coefficients, coefficients, phis)
def test_cost_is_the_cost_factor_to_the_phi(alpha, beta, gamma, phi):
    rule = CompoundRule(alpha, beta, gamma)
    assert rule.at(phi).cost == pytest.approx(rule.cost_factor**phi)


@given(coefficients, coefficients, coefficients, phis, phis)
def test_phis_add(alpha, beta, gamma, one, other):
    rule = CompoundRule(alpha, beta, gamma)
    both = rule.at(one + other)
    assert both.depth == pytest.approx(rule.at(one).depth * rule.at(other).depth)
    assert both.resolution == pytest.approx(rule.at(one).resolution * rule.at(other).resolution)


def test_the_lattice_of_coefficients_has_39_points_and_the_papers_answer_is_one():
    rules = Grid("coefficients").rules()
    assert len(rules) == len(set(rules)) == 39
    assert PAPER_RULE in rules


def test_the_grid_up_to_2_has_108_points():
    assert len(Grid("coefficients", alpha_max=2, beta_max=2, gamma_max=2).rules()) == 108


@pytest.mark.parametrize("divisions", [1, 2, 3, 7])
def test_a_grid_of_shares_divides_a_doubling_of_the_cost_and_has_each_dimension_alone(divisions):
    rules = Grid(divisions=divisions).rules()
    assert len(set(rules)) == (divisions + 1) * (divisions + 2) // 2 and sorted(rules) == list(rules)
    for rule in rules:
        shares = math.log2(rule.alpha), 2 * math.log2(rule.beta), 2 * math.log2(rule.gamma)
        assert sum(shares) == pytest.approx(1, abs=1e-12)
        assert all(divisions * share == pytest.approx(round(divisions * share), abs=1e-9) for share in shares)
    assert {RIVALS[f"{dimension} alone"] for dimension in ("depth", "width", "resolution")} <= {*rules}
    assert (RIVALS["equal shares"] in rules) == (divisions % 3 == 0)


@given(
    st.floats(0.05, 0.5),
    st.floats(1.0, 2.5),
    st.floats(1.0, 2.0),
    st.floats(1.0, 2.0),
    st.floats(0.01, 0.5),
)
def test_the_grid_has_the_points_that_meet_the_constraint_and_no_other(step, alpha_max, beta_max, gamma_max, tolerance):
    axes = [1 + step * np.arange(int((bound - 1) / step + 1e-9) + 1) for bound in (alpha_max, beta_max, gamma_max)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    distance = np.abs(points[:, 0] * points[:, 1] ** 2 * points[:, 2] ** 2 - 2)
    assume(not np.any(np.abs(distance - tolerance) < 1e-8))
    meeting = points[distance < tolerance]
    grid = Grid("coefficients", 3, step, alpha_max, beta_max, gamma_max, tolerance=tolerance)
    if len(meeting):
        assert [(rule.alpha, rule.beta, rule.gamma) for rule in grid.rules()] == [pytest.approx(p) for p in meeting]
    else:
        with pytest.raises(UserError, match="no point of the grid"):
            grid.rules()


@given(st.floats(1.0, 2.0), st.floats(1.0, 2.0), st.floats(1.0, 2.0), st.floats(0.0, 0.5))
def test_wider_bounds_only_add_points(alpha_max, beta_max, gamma_max, more):
    def points(extra):
        try:
            return set(Grid("coefficients", 3, 0.1, alpha_max + extra, beta_max + extra, gamma_max + extra).rules())
        except UserError:
            return set()

    assert points(0) <= points(more)


def test_a_grid_without_a_point_says_so():
    with pytest.raises(UserError, match="no point of the grid"):
        Grid("coefficients", step=0.3, alpha_max=1.1, beta_max=1.1, gamma_max=1.1).rules()


@pytest.mark.parametrize("bad", [0.99, 0.0, -1.0, math.nan, math.inf])
def test_coefficients_below_1_are_refused(bad):
    with pytest.raises(UserError, match="at least 1"):
        CompoundRule(bad, 1.1, 1.1)


@pytest.mark.parametrize("phi", [math.nan, math.inf, 1e9])
def test_a_phi_that_leads_nowhere_is_refused(phi):
    with pytest.raises(UserError, match="phi"):
        PAPER_RULE.at(phi)


@given(st.integers(1, 4096), st.floats(0.05, 8.0))
def test_channels_are_multiples_of_8_and_at_least_90_percent(channels, width):
    rounded = round_channels(channels, width)
    assert rounded % 8 == 0 and rounded >= 8
    assert rounded >= 0.9 * channels * width - 1e-6
    assert rounded <= max(8, channels * width + 8)


@given(st.integers(1, 4096), st.floats(0.05, 8.0), st.floats(0.0, 2.0))
def test_channels_grow_with_width(channels, width, more):
    assert round_channels(channels, width + more) >= round_channels(channels, width)


@pytest.mark.parametrize(
    ("channels", "width", "expected"), [(32, 1.0, 32), (16, 1.1, 16), (24, 1.1, 24), (40, 1.1, 48)]
)
def test_channels_round_as_published(channels, width, expected):
    assert round_channels(channels, width) == expected


@given(st.integers(1, 100), st.floats(0.1, 8.0))
def test_layers_round_up(layers, depth):
    assert layers * depth - 1e-6 <= round_layers(layers, depth) < layers * depth + 1


def test_layers_do_not_round_up_floating_point_noise():
    assert round_layers(3, 1.2**2 / 1.44) == 3
    assert round_layers(10, 1.1) == 11


def test_resolution_rounds_to_the_nearest_pixel():
    assert [round_resolution(224, r) for r in (1.0, 240 / 224, 1.15)] == [224, 240, 258]


def test_published_models_do_not_follow_the_formula():
    b1, b2, b7 = PUBLISHED[1], PUBLISHED[2], PUBLISHED[7]
    assert (b1.width, b1.depth, b1.input_resolution) == (1.0, 1.1, 240)
    assert b1.effective_phi().width == 0 and b1.effective_phi().depth == pytest.approx(0.523, abs=1e-3)
    assert b2.effective_phi().depth == pytest.approx(1.0)
    assert (b7.width, b7.depth, b7.input_resolution) == (2.0, 3.1, 600)
    assert b7.effective_phi().cost == pytest.approx(6.88, abs=0.01)


@given(phis, coefficients, coefficients, coefficients)
def test_effective_phi_inverts_the_rule(phi, alpha, beta, gamma):
    from scaling_search.rule import PublishedModel

    rule = CompoundRule(alpha + 0.01, beta + 0.01, gamma + 0.01)
    scale = rule.at(phi)
    model = PublishedModel("x", scale.width, scale.depth, 224, 0.2)
    assert model.effective_phi(rule).depth == pytest.approx(phi, abs=1e-6)
    assert model.effective_phi(rule).width == pytest.approx(phi, abs=1e-6)
