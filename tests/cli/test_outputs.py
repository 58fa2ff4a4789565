"""What a run writes when one of its outputs cannot be made."""

import sys
from pathlib import Path

import pytest

from scaling_search.cli.show import write_outputs
from scaling_search.config import RunConfig
from scaling_search.rule import Grid
from scaling_search.store import start_run

sys.path.insert(0, str(Path(__file__).parents[1] / "analysis"))
from made_up import write_step1

OUTPUTS = {
    "step1.csv",
    "frontier.csv",
    "frontier.parquet",
    *(f"accuracy_against_multiply_adds.{k}" for k in ("png", "svg")),
}


@pytest.fixture
def run(tmp_path):
    directory = start_run(RunConfig(name="made-up", runs=str(tmp_path)), "made-up:0")
    return write_step1(directory, grid=Grid(step=0.2), seeds=(0,)).directory


@pytest.mark.parametrize("name", sorted(OUTPUTS))
def test_an_output_that_cannot_be_written_costs_none_of_the_others(run, name, capsys):
    (run.path / name).mkdir()
    _, files = write_outputs(run)
    assert {file.name for file in files} == OUTPUTS - {name}
    assert all(file.is_file() for file in files)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"cannot write {run.path / name}: ")


def test_a_figure_that_cannot_be_drawn_costs_no_table(run, capsys, monkeypatch):
    import scaling_search.analysis.figures.of_run as figures

    def fails(findings):
        raise RuntimeError("no latex\nanywhere")

    monkeypatch.setattr(figures, "accuracy_against_multiply_adds", fails)
    _, files = write_outputs(run)
    assert {file.name for file in files} == {"step1.csv", "frontier.csv", "frontier.parquet"}
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and all("RuntimeError: no latex anywhere" in line for line in lines)
