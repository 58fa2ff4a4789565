"""Runs that the tests of analysis share."""

from dataclasses import replace

import pytest
from made_up import CONFIG, network_at, spec_of, write_step1, write_step2

from scaling_search.analysis import findings_of, judge, load_run
from scaling_search.rule import CompoundRule, Grid
from scaling_search.store import start_run
from scaling_search.trial import Outcome, to_record


@pytest.fixture
def new_run(tmp_path):
    """An empty run."""
    return start_run(replace(CONFIG, runs=str(tmp_path)), "made-up:0")


@pytest.fixture
def step1_run(new_run):
    """A run whose STEP 1 is finished, with a smaller grid than the paper's."""
    return write_step1(new_run, grid=Grid("coefficients", step=0.1))


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory):
    """A finished run: STEP 1 on the default grid, STEP 2, and the winner judged on the test split."""
    directory = start_run(replace(CONFIG, runs=str(tmp_path_factory.mktemp("runs"))), "made-up:0")
    run = write_step1(directory)
    frames = load_run(directory.path)
    winner = judge(frames.points, frames.trials).winner
    rule = CompoundRule(winner.alpha, winner.beta, winner.gamma)
    write_step2(directory, rule=rule)
    winner = network_at(rule.at(1.0))
    for seed in CONFIG.all_seeds:
        outcome = Outcome("ok", 0.5 + 0.001 * seed, 0.3)
        directory.write_record(to_record(spec_of(winner, seed, "test"), outcome))
    return run


@pytest.fixture(scope="session")
def whole(whole_run):
    """The frames of a finished run."""
    return load_run(whole_run.path)


@pytest.fixture(scope="session")
def judgement(findings):
    """STEP 1 of the finished run, judged."""
    return findings.judgement


@pytest.fixture(scope="session")
def findings(whole):
    """All that the finished run found."""
    return findings_of(whole)


@pytest.fixture(scope="session")
def step2(findings):
    """STEP 2 of the finished run."""
    return findings.step2
