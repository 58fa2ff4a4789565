import pandas as pd
import pytest

from scaling_search.analysis import frontier
from scaling_search.analysis.reference.paper import (
    BUILT,
    SCALED,
    published_coefficients,
    scaling_beside,
    scaling_results,
    table1,
    table2,
    table2_beside,
)
from scaling_search.analysis.text.paper import table2_text
from scaling_search.rule import PUBLISHED

COSTS = {
    name: {"parameters": 10_000_000, "multiply_adds": 2_000_000_000, "input_resolution": 224, "note": "as it is"}
    for name in BUILT.values()
}


def test_table_2_is_the_paper_s():
    table = table2()
    assert set(table["model"]) == set(BUILT)
    b7 = table.set_index("model").loc["EfficientNet-B7"]
    assert b7["top1_percent"] == pytest.approx(84.3, abs=0.15) and b7["params_millions"] == 66
    gpipe = table.set_index("model").loc["GPipe"]
    assert gpipe["params_millions"] == 557 and pd.isna(gpipe["flops_billions"])


def test_ratios_as_built_are_to_the_efficientnet_of_the_group():
    table = table2_beside(COSTS | {"resnet50": {**COSTS["resnet50"], "parameters": 40_000_000}}).set_index("model")
    assert table.loc["ResNet-50", "parameters_ratio"] == 4.0
    assert table.loc["ResNet-50", "paper_parameters_ratio"] == pytest.approx(4.9)
    assert table.loc["ResNet-50", "parameters_difference"] == pytest.approx(40 / 26 - 1)
    assert table.loc["DenseNet-169", "multiply_adds_ratio"] == 1.0


def test_every_model_has_a_line_and_every_note_is_below():
    text = table2_text(table2_beside(COSTS))
    assert all(model in text for model in BUILT)
    assert f"[{len(BUILT)}] as it is" in text


def test_tables_3_and_7_have_the_networks_that_are_scaled():
    assert set(SCALED.values()) == set(scaling_results()["network"])


def test_a_sweep_stands_beside_the_rows_of_the_same_scaling():
    scales = {
        "baseline": (1.0, 1.0, 1.0),
        "depth": (4.0, 1.0, 1.0),
        "width": (1.0, 2.0, 1.0),
        "compound": (1.4, 1.2, 291 / 224),
    }
    rows = [
        {"scaling": name, "depth": d, "width": w, "resolution": r, "multiply_adds": 6e8 * d * w * w * r * r}
        for name, (d, w, r) in scales.items()
    ]
    table = scaling_beside("mobilenet_v1", rows).set_index("scaling")
    assert table.loc["width", "of_baseline"] == 4.0
    assert table.loc["baseline", "difference"] == pytest.approx(0.0)
    assert table.loc["compound", "paper_multiply_adds"] == 2.3e9
    assert pd.isna(table.loc["depth", "paper_multiply_adds"])  # Table 3 has no depth row for MobileNetV1.


def test_other_factors_than_the_paper_s_have_no_row_there():
    rows = [{"scaling": "width", "depth": 1.0, "width": 3.0, "resolution": 1.0, "multiply_adds": 1e9}]
    assert scaling_beside("mobilenet_v2", rows)["paper_multiply_adds"].isna().all()


def test_table_1_is_that_of_efficientnet_b0():
    table = table1()
    assert table["layers"].tolist() == [1, 1, 2, 2, 3, 3, 4, 1, 1] and table["channels"].iloc[-1] == 1280
    halved = table["input_resolution"].iloc[:-1] // table["stride"].iloc[:-1]
    assert halved.tolist() == table["input_resolution"].iloc[1:].tolist()


def test_table_2_has_all_networks_in_its_own_units_and_in_ours():
    table = table2().set_index("model")
    assert len(table) == 24 and table["multiply_adds"].isna().sum() == 1
    b7 = table.loc["EfficientNet-B7"]
    assert (b7["val_accuracy"], b7["parameters"], b7["multiply_adds"]) == (0.844, 66e6, 37e9)


def test_efficientnets_are_the_frontier_of_table_2():
    """The claim of the paper's Figure 5: no other ConvNet of the table is as accurate for as little."""
    table = table2().dropna(subset=["multiply_adds"])
    assert set(frontier(table)["family"]) == {"efficientnet"} and len(frontier(table)) == 8


def test_tables_3_and_7_have_a_baseline_for_each_network():
    table = scaling_results()
    baselines = table[table["scaling"] == "baseline"]
    assert set(baselines["network"]) == set(table["network"]) and baselines["network"].is_unique
    assert (baselines[["depth", "width", "resolution"]] == 1).all(axis=None)


def test_compound_scaling_is_the_best_of_each_network_in_tables_3_and_7():
    for _, rows in scaling_results().groupby("network"):
        assert rows.loc[rows["val_accuracy"].idxmax(), "scaling"] == "compound"


def test_published_coefficients_are_those_of_the_rule():
    rows = published_coefficients().to_dict("records")
    assert len(rows) == len(PUBLISHED)
    for row, model in zip(rows, PUBLISHED, strict=True):
        assert row["model"].replace("-", "_") == model.name
        assert (row["width"], row["depth"], row["resolution"]) == (model.width, model.depth, model.input_resolution)
        assert row["dropout"] == pytest.approx(model.dropout)
