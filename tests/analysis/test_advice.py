"""Advice on trainings that went wrong, and none on those that went well."""

import dataclasses

import numpy as np
import pytest
from made_up import network_at, outcome_of, spec_of

from scaling_search.analysis.findings.advice import advice_of
from scaling_search.analysis.frames import load_run
from scaling_search.rule import Scale
from scaling_search.trial import Epoch, Outcome, to_record

SMALL, LARGE = (network_at(Scale(depth)) for depth in (1.0, 2.0))
NAMES = {SMALL.fingerprint: "the baseline", LARGE.fingerprint: "depth alone"}


def trained(loss, accuracy=0.9, before=None):
    """The outcome of a training whose loss ends so, by the seed."""

    def outcome(seed):
        end = loss + 0.01 * np.random.default_rng([seed, int(1000 * loss)]).normal()
        curve = (Epoch(1, 10, 0.5, (before or 1.01) * end), Epoch(2, 20, 0.4, end, accuracy, 0.3))
        return Outcome("ok", accuracy, 0.3, curve=curve, seconds={"train": 2.0}, device="cpu")

    return outcome


@pytest.fixture
def advice(new_run):
    def advice(outcomes, seeds=3):
        for network, outcome in outcomes.items():
            for seed in range(seeds):
                new_run.write_record(to_record(spec_of(network, seed), outcome(seed)))
        return advice_of(load_run(new_run.path), NAMES)

    return advice


def test_trainings_that_go_well_get_no_advice(advice):
    assert advice({SMALL: trained(1.2), LARGE: trained(1.0, 0.95)}) == ()
    assert advice({}) == ()


def test_a_larger_network_that_trains_worse_is_named(advice):
    (line,) = advice({SMALL: trained(1.2), LARGE: trained(1.5)})
    assert line.startswith("depth alone trains worse than the baseline") and "1.50, not at 1.20" in line
    assert "--recipe" in line


def test_losses_within_noise_are_not_compared(advice):
    assert advice({SMALL: trained(1.2), LARGE: trained(1.21)}) == ()


def test_losses_of_one_seed_are_not_compared(advice):
    assert advice({SMALL: trained(1.2), LARGE: trained(1.5)}, seeds=1) == ()


@pytest.mark.parametrize(
    ("outcome", "said"), [(trained(1.0, before=1.3), "still falls"), (trained(1.0, accuracy=0.99), "98 % or more")]
)
def test_curves_that_go_on_and_accuracies_at_the_ceiling_are_spoken_of(advice, outcome, said):
    (line,) = advice({SMALL: outcome, LARGE: outcome})
    assert said in line and "2 of 2 networks" in line


def test_a_seed_that_collapses_beyond_step_1_is_counted(advice):
    low = dataclasses.replace(trained(1.0)(0), accuracy=0.4)
    (line,) = advice({SMALL: trained(1.2), LARGE: lambda seed: low if seed == 2 else outcome_of(LARGE, seed)})
    assert line.startswith("1 training ended far below") and "--recipe.learning-rate" in line
