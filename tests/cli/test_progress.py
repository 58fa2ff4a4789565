import dataclasses

from scaling_search.cli.progress import ProgressDisplay
from scaling_search.config import RunConfig
from scaling_search.rule import Scale
from scaling_search.trial import Network, Outcome, Spec

CONFIG = RunConfig()
SPECS = [
    Spec(Network("n", (), Scale(), 16, 10, "a@16", 1, 10**6, 1), CONFIG.recipe, "d", CONFIG.split, seed)
    for seed in range(4)
]


def lines(capsys):
    return capsys.readouterr().err.splitlines()


def test_it_says_done_best_and_eta(capsys):
    with ProgressDisplay() as display:
        display.phase("STEP 1")
        display.planned(SPECS, 1)
        display.finished(SPECS[1], Outcome("ok", 0.5))
        display.finished(SPECS[2], Outcome("failed", reason="the loss was nan at step 3"))
    first, failure, last = lines(capsys)
    assert "0 of 0 trials done" in first and "ETA" in first
    assert "the loss was nan at step 3" in failure
    assert "3 of 4 trials done" in last and "1 from the store" in last and "1 failed" in last
    assert "50.0 %" in last and "ETA 0:00" in last


def test_a_trial_of_an_earlier_batch_is_not_from_the_store(capsys):
    with ProgressDisplay() as display:
        display.planned(SPECS[:2], 0)
        for spec in SPECS[:2]:
            display.finished(spec, Outcome("ok", 0.5))
        display.planned(SPECS, 2)
    last = lines(capsys)[-1]
    assert "2 of 4 trials done" in last and "from the store" not in last


def test_the_test_split_is_never_the_best_so_far(capsys):
    with ProgressDisplay() as display:
        display.planned(SPECS[:1], 0)
        display.finished(dataclasses.replace(SPECS[0], evaluate="test"), Outcome("ok", 0.9))
    assert "none yet" in lines(capsys)[-1]
