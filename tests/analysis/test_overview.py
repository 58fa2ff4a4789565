import json
import shutil
from dataclasses import replace

import pytest
from made_up import CONFIG, write_step1

from scaling_search import UserError
from scaling_search.analysis.findings.overview import age, overview
from scaling_search.analysis.text.runs import overview_text
from scaling_search.rule import Grid
from scaling_search.store import start_run


def test_each_run_of_a_folder_is_a_row_with_its_progress(whole_run, tmp_path):
    shutil.copytree(whole_run.path, tmp_path / "whole")
    cut = write_step1(
        start_run(replace(CONFIG, name="cut", runs=str(tmp_path)), "made-up:0"), grid=Grid("coefficients", step=0.1)
    )
    next((cut.path / "trials").iterdir()).unlink()
    start_run(replace(CONFIG, name="new", runs=str(tmp_path)), "made-up:0")
    (tmp_path / "not-a-run").mkdir()
    table = overview(tmp_path).set_index(overview(tmp_path)["run"].str.rpartition("/")[2])
    assert sorted(table.index) == ["cut", "new", "whole"]
    assert table["state"].to_dict() == {"whole": "complete", "cut": "incomplete", "new": "empty"}
    assert table.loc["cut", "done"] == table.loc["cut", "planned"] - 1
    assert table.loc["whole", "bytes"] == sum(f.stat().st_size for f in (tmp_path / "whole").rglob("*") if f.is_file())
    assert len(overview_text(overview(tmp_path)).splitlines()) == 2 + 3


def test_the_winner_is_the_result_of_a_run_of_the_method(whole_run, findings):
    row = overview(whole_run.path.parent).iloc[0]
    assert row["val_accuracy"] == findings.winner.val_accuracy
    assert f"{findings.winner.alpha:.2f}" in row["result"]


def test_a_run_that_is_worked_on_is_running(new_run):
    with new_run.locked():
        assert overview(new_run.path.parent)["state"].tolist() == ["running"]
    assert overview(new_run.path.parent)["state"].tolist() == ["empty"]


def test_a_run_that_cannot_be_read_is_skipped_by_name(new_run, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text(json.dumps({"kind": "method"}))
    with pytest.warns(UserWarning, match="broken"):
        assert len(overview(tmp_path)) == 1


@pytest.mark.parametrize("folder", ["missing", "."])
def test_a_folder_without_runs_is_refused(folder, tmp_path):
    with pytest.raises(UserError, match=r"not a folder|no runs in"):
        overview(tmp_path / folder)


def test_ages_are_in_the_largest_unit(monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1_000_000.0)
    ages = [age(1_000_000.0 - seconds) for seconds in (5, 60, 7200, 3 * 86400)]
    assert ages == ["under a minute", "1 minute", "2 hours", "3 days"]
