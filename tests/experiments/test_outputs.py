"""What a run writes when one of its outputs cannot be made."""

import sys
from pathlib import Path

import pytest

from scaling_search.analysis import findings_of, load_run
from scaling_search.config import RunConfig
from scaling_search.experiments.outputs import write_outputs
from scaling_search.rule import Grid
from scaling_search.store import start_run

sys.path.insert(0, str(Path(__file__).parents[1] / "analysis"))
from made_up import write_step1

PICTURES = {"accuracy_against_multiply_adds.png", "accuracy_against_multiply_adds.svg"}
OUTPUTS = {"step1.csv", "frontier.csv", "frontier.parquet", *PICTURES}


@pytest.fixture
def run(tmp_path):
    directory = start_run(RunConfig(name="made-up", runs=str(tmp_path)), "made-up:0")
    return write_step1(directory, grid=Grid("coefficients", step=0.2), seeds=(0,)).directory


@pytest.mark.parametrize("name", sorted(OUTPUTS))
def test_an_output_that_cannot_be_written_costs_none_of_the_others(run, name):
    (run.path / name).mkdir()
    with pytest.warns(UserWarning, match=f"{name} could not be written: ") as said:
        files = list(write_outputs(run, findings_of(load_run(run.path))))
    assert {file.name for file in files} == OUTPUTS - {name} and len(said) == 1
    assert all(file.is_file() for file in files)


def test_a_figure_that_cannot_be_drawn_costs_no_table(run, monkeypatch):
    import scaling_search.analysis.figures.of_run as figures

    def fails(findings):
        raise RuntimeError("no latex\nanywhere")

    monkeypatch.setattr(figures, "accuracy_against_multiply_adds", fails)
    with pytest.warns(UserWarning, match="RuntimeError: no latex anywhere") as said:
        files = list(write_outputs(run, findings_of(load_run(run.path))))
    assert {file.name for file in files} == OUTPUTS - PICTURES and len(said) == 2
