import dataclasses
import io
import sys

import nbformat
import pytest
from nbclient import NotebookClient

from scaling_search.errors import UserError
from scaling_search.runners.display import LineScreen, ProgressDisplay, TerminalScreen, display_for
from scaling_search.runners.tally import Tally
from scaling_search.trial import Outcome
from tests.conftest import ROOT
from tests.runners.fake_training import seeds_of

SPECS = seeds_of("a", 0, 1, 2, 3, multiply_adds=10**6)
STORED = {SPECS[0].key: Outcome("ok", 0.5, seconds={"train": 8.0, "evaluate": 2.0})}


def tally(known=None):
    counts = Tally(began=0)
    counts.phase = "STEP 1"
    counts.started(slots=2, now=10)
    counts.planned(SPECS, known or {})
    return counts


def test_a_stored_outcome_counts_as_done_and_as_the_best_so_far():
    line = tally(STORED).line(10)
    assert line.startswith("STEP 1: 1 of 4 trials done; 1 from the store; best so far 50.0 % (d 1.00, w 1.00, r 1.00)")


def test_before_the_first_training_ends_the_eta_is_by_the_times_of_the_store():
    assert tally(STORED).line(10).endswith("0:10 elapsed, ETA 0:15")
    assert tally(STORED).line(12).endswith("0:12 elapsed, ETA 0:13")


def test_without_any_times_the_eta_is_unknown():
    assert tally().line(12).endswith("0:12 elapsed, ETA unknown")


def test_the_eta_is_by_the_trainings_of_this_run_once_there_are_any():
    counts = tally(STORED)
    counts.finished(SPECS[1], Outcome("ok", 0.25), now=14)
    assert counts.line(14).endswith("0:14 elapsed, ETA 0:08")
    assert counts.line(17).endswith("0:17 elapsed, ETA 0:05")
    assert counts.line(30).endswith("0:30 elapsed, ETA 0:00")


def test_nothing_is_expected_when_all_is_done():
    counts = tally({spec.key: Outcome("ok", 0.25) for spec in SPECS})
    assert counts.fraction == 1
    assert counts.line(12).endswith("0:12 elapsed")


def test_failed_and_crashed_trials_are_counted_apart():
    counts = tally({SPECS[0].key: Outcome("failed")})
    counts.finished(SPECS[1], Outcome("crashed"), now=11)
    counts.finished(SPECS[2], Outcome("ok", 0.25), now=11)
    assert "3 of 4 trials done; 1 from the store; 1 failed; 1 crashed; best so far 25.0 %" in counts.line(12)


def test_trials_that_a_table_lacks_are_counted_without_a_line_each(capsys):
    with display_for("auto") as display:
        display.planned(SPECS, STORED)
        for spec in SPECS[1:]:
            display.finished(spec, Outcome("missing", reason="table.parquet has no training of it from seed 1"))
    err = capsys.readouterr().err
    assert "4 of 4 trials done; 1 from the store; 3 missing from the table; best" in err and "from seed" not in err


def test_a_trial_of_an_earlier_batch_is_counted_once_and_not_from_the_store():
    counts = Tally(began=0)
    counts.planned(SPECS[:2], {})
    for spec in SPECS[:2]:
        counts.finished(spec, Outcome("ok", 0.5), now=11)
    counts.planned(SPECS, {spec.key: Outcome("ok", 0.5) for spec in SPECS[:2]})
    assert "2 of 4 trials done; best" in counts.line(12)


def test_the_test_split_is_never_the_best_so_far():
    counts = tally()
    counts.finished(dataclasses.replace(SPECS[0], evaluate="test"), Outcome("ok", 0.9), now=11)
    assert "best" not in counts.line(12)


def run_on(display):
    with display:
        display.phase("STEP 1")
        display.planned(SPECS, STORED)
        display.note("a note [with brackets] & <marks>")
        display.finished(SPECS[1], Outcome("ok", 0.75))
        display.finished(SPECS[2], Outcome("failed", reason="the loss was nan at step 3"))


def test_away_from_a_terminal_progress_is_lines_on_stderr(capsys):
    display = display_for("auto")
    run_on(display)
    out, err = capsys.readouterr()
    first, note, failure, last = err.splitlines()
    assert "trials done" in first and "ETA" in first
    assert note == "a note [with brackets] & <marks>"
    assert failure == f"trial {SPECS[2].key} failed: the loss was nan at step 3"
    assert "3 of 4 trials done" in last and "best so far 75.0 %" in last
    assert out == ""


def test_on_a_terminal_notes_and_the_last_line_stay(capsys):
    run_on(ProgressDisplay(TerminalScreen()))
    lines = capsys.readouterr().err.splitlines()
    assert "a note [with brackets] & <marks>" in lines
    assert lines[-1].startswith("STEP 1: 3 of 4 trials done")


def test_progress_of_none_is_silence(capsys):
    run_on(display_for(None))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("progress", ["bar", True])
def test_other_settings_are_refused(progress):
    with pytest.raises(UserError, match='progress is "auto" or None'):
        display_for(progress)


def test_a_screen_that_cannot_be_written_to_does_not_end_the_run(monkeypatch):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    run_on(ProgressDisplay(LineScreen()))


@pytest.mark.slow
def test_in_a_notebook_progress_is_one_output_of_the_cell(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    cells = [
        "from tests.runners.test_display import *",
        "import time\ndisplay = display_for('auto')\nwith display:\n    time.sleep(1.5)\nrun_on(display_for('auto'))",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    NotebookClient(notebook, timeout=60).execute()
    quiet, told = notebook.cells[1].outputs
    assert "0 of 0 trials done" in quiet.data["text/plain"]
    assert '<progress value="0.7500" max="1"' in told.data["text/html"]
    assert "a note [with brackets] &amp; &lt;marks&gt;<br>trial" in told.data["text/html"]
    assert "STEP 1: 3 of 4 trials done" in told.data["text/html"]
