import pytest

from analysis import frontier
from analysis.paper import published_coefficients, scaling_results, table1, table2
from scaling_search.rule import PUBLISHED


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
