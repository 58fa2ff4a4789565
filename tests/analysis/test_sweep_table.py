import pandas as pd
import pytest

from scaling_search.analysis.findings.frontier import frontier_frame
from scaling_search.analysis.findings.sweep import sweep_table
from scaling_search.analysis.frames import load_run
from scaling_search.config import SweepConfig, to_dict
from scaling_search.rule import Scale
from scaling_search.store import start_run
from scaling_search.trial import Outcome, to_record
from tests.analysis.made_up import CONFIG, network_at, outcome_of, spec_of

SCALES = {"baseline": Scale(), "depth": Scale(depth=4.0), "width": Scale(width=2.0)}


@pytest.fixture
def directory(tmp_path):
    directory = start_run(SweepConfig(name="made-up", data="digits", runs=str(tmp_path)), "made-up:0")
    rows = [{"scaling": name, "network": to_dict(network_at(scale))} for name, scale in SCALES.items()]
    directory.write_document("sweep", {"rows": rows, "init": None})
    return directory


def train(directory, name, outcome=outcome_of):
    network = network_at(SCALES[name])
    for seed in CONFIG.all_seeds:
        directory.write_record(to_record(spec_of(network, seed), outcome(network, seed)))


def test_rows_stand_in_their_order_with_means_over_seeds(directory):
    for name in SCALES:
        train(directory, name)
    table = sweep_table(load_run(directory.path))
    assert list(table["scaling"]) == list(SCALES)
    assert table["of_baseline"].iloc[0] == 1.0 and (table["seeds"] == len(CONFIG.all_seeds)).all()
    assert table["val_accuracy"].between(table["low"], table["high"]).all()


def test_what_is_not_trained_yet_and_what_failed_have_rows(directory):
    train(directory, "baseline")
    train(directory, "depth", lambda network, seed: Outcome("failed", reason="the loss was no number"))
    table = sweep_table(load_run(directory.path)).set_index("scaling")
    assert table["seeds"].to_dict() == {"baseline": 3, "depth": 0, "width": 0}
    assert table["note"].to_dict() == {"baseline": "", "depth": "the loss was no number", "width": ""}
    assert pd.isna(table.loc["width", "val_accuracy"])


def test_an_empty_run_has_a_table(directory):
    assert (sweep_table(load_run(directory.path))["seeds"] == 0).all()


def test_the_frontier_names_what_each_network_is(directory):
    for name in SCALES:
        train(directory, name)
    frame = frontier_frame(load_run(directory.path))
    assert sorted(frame["label"]) == sorted(SCALES)
    assert (load_run(directory.path).trials["step"] == 0).all()
