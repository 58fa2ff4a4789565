import pandas as pd
import pytest

from analysis.paper import BUILT, SCALED, scaling_beside, scaling_results, table2, table2_beside, table2_text

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
