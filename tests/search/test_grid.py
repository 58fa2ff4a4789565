import dataclasses
from pathlib import Path

import pytest

from scaling_search.errors import UserError
from scaling_search.family import load_family
from scaling_search.recorded import RecordedTable
from scaling_search.rule import PAPER_RULE, PUBLISHED, Grid
from scaling_search.search.candidates import training_cost
from scaling_search.search.grid import lay_out, step1_specs
from scaling_search.search.scale_up import Step2, found_models, published_models, step2_specs
from scaling_search.units import parse_bytes, parse_count
from tests.tiny import TINY as TINY_RUN

ROOT = Path(__file__).parents[2]
CONFIG = TINY_RUN
QUARTER = load_family("efficientnet", ("depth=0.5", "width=0.25"))
TINY = load_family("efficientnet_tiny")


@pytest.fixture(scope="module")
def layout():
    return lay_out(TINY, CONFIG, 10)


def test_39_points_are_18_networks_at_a_quarter_of_b0s_width_and_half_its_depth():
    points = lay_out(QUARTER, CONFIG, 10).points
    assert len(points) == 39
    assert len({point.network.fingerprint for point in points}) == 18


def test_each_network_is_trained_once_a_seed(layout):
    specs = step1_specs(layout, CONFIG, "digits:0")
    assert len({spec.key for spec in specs}) == len(specs) == 3 * len(layout.networks)
    assert layout.networks[0] == layout.baseline


def test_points_of_one_network_share_it(layout):
    by_fingerprint = {}
    for point in layout.points:
        assert by_fingerprint.setdefault(point.network.fingerprint, point.network) is point.network


def test_equation_2_refuses_what_costs_too_much_and_says_why(layout):
    limit = sorted(point.network.multiply_adds for point in layout.points)[10]
    strict = lay_out(TINY, dataclasses.replace(CONFIG, max_flops=limit), 10)
    for point in strict.points:
        assert (point.rejected is not None) == (point.network.multiply_adds > limit)
        assert point.rejected is None or "exceed --max-flops" in point.rejected
    assert all(network.multiply_adds <= limit for network in strict.networks[1:])


def test_equation_2_refuses_by_memory_as_well():
    with pytest.raises(UserError, match=r"equation 2 rejects all 39 points.*MiB"):
        lay_out(TINY, dataclasses.replace(CONFIG, max_memory="1MiB"), 10)


def test_a_grid_without_points_is_refused_before_anything_is_built():
    with pytest.raises(UserError, match="no point"):
        lay_out(
            TINY,
            dataclasses.replace(CONFIG, grid=Grid("coefficients", step=0.5, alpha_max=1, beta_max=1, gamma_max=1.1)),
            10,
        )


def test_step_2_grows_the_baseline_by_equation_3_and_as_published(layout):
    found = found_models(PAPER_RULE, TINY, CONFIG, 10, 630)
    published = published_models(TINY, CONFIG, 10, 630)
    assert [model.model for model in found] == [model.model for model in published] == [f"B{i}" for i in range(8)]
    assert found[0].network == published[0].network == layout.baseline
    for phi, model in enumerate(found):
        assert model.phi == phi and model.network.scale == PAPER_RULE.at(phi)
    for model, known in zip(published, PUBLISHED, strict=False):
        assert (model.network.scale.depth, model.network.scale.width) == (known.depth, known.width)
        assert model.network.scale.resolution == known.input_resolution / 224
    costs = [model.network.multiply_adds for model in found]
    assert costs == sorted(costs)


def test_the_budget_decides_what_is_trained():
    found = found_models(PAPER_RULE, TINY, CONFIG, 10, 630)
    budget = found[3].training_cost
    models = found_models(PAPER_RULE, TINY, dataclasses.replace(CONFIG, training_budget=budget), 10, 630)
    assert [model.trained for model in models] == [True] * 4 + [False] * 4
    specs = step2_specs(models, CONFIG, "digits:0")
    assert len(specs) == 4 * 3
    assert training_cost(found[3].network, 630, CONFIG.recipe.epochs) == budget


def test_the_steps_as_documents_name_every_network(layout):
    step1 = layout.document()
    assert len(step1["points"]) == 39
    assert {point["network"] for point in step1["points"]} | {step1["baseline"]} == set(step1["networks"])
    step2 = Step2(PAPER_RULE, published_models(TINY, CONFIG, 10, 630)).document()
    assert {model["network"] for model in step2["models"]} == set(step2["networks"])


def test_the_grid_of_the_recorded_table_is_the_networks_that_it_was_trained_on():
    table = RecordedTable(ROOT / "tables" / "fashion_mnist.parquet")
    recorded = {record["spec"]["network"]["fingerprint"]: record["spec"]["network"] for record in table.records()}
    config, classes = table.config(), table.manifest()["images"]["classes"]
    assert config.match == "cost" and config.rivals
    layout = lay_out(load_family(config.family, config.family_options), config, classes)
    assert not any("last feature map" in note for note in layout.notes)
    for network in layout.networks:
        kept = recorded[network.fingerprint]
        assert all(kept[name] == getattr(network, name) for name in ("input_resolution", "parameters", "multiply_adds"))
        assert network is layout.baseline or network.multiply_adds / layout.baseline.multiply_adds == pytest.approx(
            2, rel=0.05
        )


@pytest.mark.parametrize(
    ("text", "value"), [("8GiB", 2**33), ("500MB", 5 * 10**8), ("1e9", 10**9), (" 2 KiB ", 2048), ("7B", 7)]
)
def test_bytes_are_read_with_their_units(text, value):
    assert parse_bytes(text) == value


@pytest.mark.parametrize(("text", "value"), [("1e9", 1e9), ("400M", 4e8), ("1.8B", 1.8e9), ("10k", 1e4)])
def test_numbers_are_read_with_their_units(text, value):
    assert parse_count(text) == value


@pytest.mark.parametrize("text", ["", "much", "8 GiBB", "-1", "1.2.3", "0"])
def test_numbers_that_are_none_are_refused(text):
    with pytest.raises(UserError):
        parse_count(text)
    if text != "0":
        with pytest.raises(UserError):
            parse_bytes(text)
