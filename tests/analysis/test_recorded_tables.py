"""What docs/recorded_table.md says of the recorded tables."""

from pathlib import Path

import pytest

from scaling_search.analysis import compound_against_single, load_run

TABLES = Path(__file__).parents[2] / "tables"


def networks_of(name):
    """One row a network: its factors, multiply-adds and mean accuracy on the validation split."""
    trials = load_run(TABLES / name).trials.query("evaluate == 'validation'")
    assert set(trials.groupby("fingerprint")["seed"].nunique()) == {3}
    columns = {name: (name, "first") for name in ("depth", "width", "resolution", "input_resolution", "multiply_adds")}
    return trials.groupby("fingerprint").agg(**columns, accuracy=("val_accuracy", "mean"))


def test_the_table_has_68_networks_from_three_seeds_none_smaller_than_its_28_pixels():
    networks = networks_of("fashion_mnist.parquet")
    assert len(networks) == 68 and networks["input_resolution"].min() == 28


@pytest.mark.parametrize("name", ["fashion_mnist.parquet", "fashion_mnist_longer.parquet"])
def test_larger_networks_are_better(name):
    networks = networks_of(name)
    times = networks["multiply_adds"] / networks["multiply_adds"].min()
    largest = networks.loc[times.between(3.8, 4.2), "accuracy"]
    assert len(largest) >= 9
    assert largest.mean() > networks.loc[times < 1.01, "accuracy"].item() + 0.015


def test_compound_scaling_beats_resolution_alone_and_no_more():
    trials = load_run(TABLES / "fashion_mnist.parquet").trials
    answer = compound_against_single(trials).answer
    assert answer == "compound scaling beats resolution alone, is not told apart from depth and width alone"
