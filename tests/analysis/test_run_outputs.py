import io

import pandas as pd
import pytest

from scaling_search.analysis import frontier, frontier_frame
from scaling_search.analysis.findings.frontier import to_csv_bytes, to_parquet_bytes
from scaling_search.analysis.frames import load_run


@pytest.fixture(scope="module")
def table(whole):
    return frontier_frame(whole)


def test_every_measured_network_is_there_once(table, whole):
    assert table["fingerprint"].is_unique
    assert set(table["fingerprint"]) == set(whole.trials["fingerprint"][whole.trials["val_accuracy"].notna()])
    assert table["multiply_adds"].is_monotonic_increasing


def test_those_marked_are_the_frontier_of_the_means(table):
    assert set(frontier(table).index) == set(table.index[table["on_frontier"]])
    assert table["on_frontier"].dtype == bool and 0 < table["on_frontier"].sum() < len(table)


def test_numbers_agree_with_the_tables_of_both_steps(table, judgement, step2):
    means = table.set_index("fingerprint")
    for other in (judgement.table, step2):
        other = other[other["fingerprint"].isin(means.index)]
        for column in ("val_accuracy", "low", "high", "multiply_adds", "parameters", "seeds"):
            assert (other[column].to_numpy() == means.loc[other["fingerprint"], column].to_numpy()).all()


def test_labels_name_every_part_a_network_plays(table, whole_run):
    labels = table.set_index("fingerprint")["label"]
    assert labels[whole_run.baseline.fingerprint] == "baseline, B0 found, B0 published"
    assert labels.str.contains("grid").sum() == len(whole_run.networks) - 1
    assert (labels != "").all()


def test_networks_of_the_grid_have_a_rule_and_its_scale(table):
    in_grid = table["label"].str.contains("grid")
    assert table["alpha"].notna().equals(in_grid)
    assert table["alpha"][in_grid].equals(table["depth"][in_grid].rename("alpha"))


def test_csv_and_parquet_hold_the_same(table):
    from_csv = pd.read_csv(io.BytesIO(to_csv_bytes(table)))
    from_parquet = pd.read_parquet(io.BytesIO(to_parquet_bytes(table)))
    pd.testing.assert_frame_equal(from_csv, from_parquet, check_dtype=False, check_exact=True)
    pd.testing.assert_frame_equal(from_parquet, table)


def test_a_run_without_trials_has_an_empty_frontier(new_run, table):
    assert list(frontier_frame(load_run(new_run.path)).columns) == list(table.columns)
