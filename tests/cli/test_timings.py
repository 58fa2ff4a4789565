import time

import pytest

from scaling_search.cli.timings import Timings
from scaling_search.trial import Outcome


def test_phases_and_idle_time_add_up_to_the_time_of_all_workers(capsys):
    began = time.monotonic() - 10
    times = Timings(began)
    times.started(2)
    times.finished(None, Outcome("ok", seconds={"build": 0.5, "compile": 1.5, "train": 2.0}))
    times.finished(None, Outcome("ok", seconds={"train": 1.0, "evaluate": 1.0}))
    rows = times.rows(began + 12)
    assert sum(rows.values()) == pytest.approx(24)
    assert rows["start-up"] == pytest.approx(12, abs=0.1) and rows["train"] == 3 and rows["trace"] == 0
    assert rows["idle"] == pytest.approx(2, abs=0.1) and rows["end"] == pytest.approx(4, abs=0.1)
    times.show()
    assert "on 2 workers" in capsys.readouterr().err


def test_a_run_that_trained_nothing_was_all_start_up_and_end():
    began = time.monotonic()
    rows = Timings(began).rows(began + 3)
    assert sum(rows.values()) == 3 and set(rows) == {"start-up", "idle", "end"}


def test_speeds_are_by_kind_of_device(capsys):
    times = Timings(time.monotonic())
    for rate, share in ((100.0, 0.1), (300.0, 0.3), (200.0, 0.2)):
        outcome = Outcome("ok", device="H100", precision="bfloat16", images_per_second=rate, utilisation=share)
        times.finished(None, outcome)
    times.finished(None, Outcome("ok", device="cpu", precision="float32", images_per_second=50.0))
    times.finished(None, Outcome("crashed"))
    times.show()
    said = capsys.readouterr().err
    assert "H100 in bfloat16: 200 images/s, 20 % of its peak (median of 3 trainings)" in said
    assert "cpu in float32: 50 images/s (median of 1 trainings)" in said
