"""The learning rate by size: the law, its rounding, and what its interval holds in simulations."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling_search.analysis.statistics.rates import STEP, RateLaw, fit_rates
from scaling_search.analysis.text.rates import law_in_words
from scaling_search.errors import UserError

BASE = 0.02
SIZES = np.array([1e6, 3e6, 8e6])


def trainings(slope=0.0, place=0.0, curve=0.3, noise=0.0, seeds=3, skew=0.0, random=None):
    """Sizes, rates and accuracies of a probe of three sizes at three rates, whose best rate is known."""
    random = random or np.random.default_rng(0)
    sizes, octaves = np.repeat(SIZES, 3 * seeds), np.tile(np.repeat([-1.0, 0.0, 1.0], seeds), 3)
    z = np.log2(sizes) - np.log2(SIZES).mean()
    off = octaves - place - slope * z
    logit = 1.5 + 0.5 * z - curve * off**2 - skew * np.maximum(off, 0) ** 3 + random.normal(0, noise, len(off))
    return sizes, BASE * 2**octaves, 1 / (1 + np.exp(-logit))


LAWS = st.builds(
    RateLaw,
    base=st.floats(1e-4, 1.0),
    octaves=st.floats(-2, 2),
    slope=st.floats(-1, 1),
    size=st.just(3e6),
    smallest=st.just(1e6),
    largest=st.just(9e6),
    lowest=st.just(-1.0),
    highest=st.just(1.0),
)


@given(LAWS, st.floats(1e3, 1e12))
def test_rates_lie_on_a_lattice_about_the_recipes_within_those_tried(law, size):
    rate = law.at(size)
    steps = math.log2(rate / law.base) / STEP
    assert steps == pytest.approx(round(steps), abs=0.02) and -2 <= round(steps) <= 2
    assert rate == law.base or rate == float(f"{rate:.3g}")


@given(LAWS, st.floats(1.0, 1e3))
def test_beyond_what_was_probed_the_rate_stays(law, factor):
    assert law.at(1e6 / factor) == law.at(1e6) and law.at(9e6 * factor) == law.at(9e6)


@pytest.mark.parametrize(("slope", "place"), [(0.0, 0.0), (0.0, 0.6), (-0.3, 0.2), (0.25, -0.3)])
def test_without_noise_the_law_is_the_truth(slope, place):
    law = fit_rates(*trainings(slope, place), base=BASE).law
    assert (law.slope, law.octaves) == pytest.approx((slope, place), abs=1e-4)


def test_the_interval_holds_the_slope_and_a_slope_of_0_is_rarely_seen():
    random = np.random.default_rng(1)
    scenes = [{}, {"slope": -0.2}, {"slope": 0.3, "noise": 0.3}, {"skew": 0.15}]
    for scene in scenes:
        fits = [fit_rates(*trainings(**{"noise": 0.15, **scene}, random=random), base=BASE) for _ in range(150)]
        truth = scene.get("slope", 0.0)
        assert np.mean([one.low <= truth <= one.high for one in fits]) >= 0.92
        if not truth:
            assert np.mean([one.law.slope != 0 for one in fits]) <= 0.08
            assert np.mean([abs(one.law.octaves) < 0.5 for one in fits]) >= 0.95


def test_a_clear_slope_is_seen():
    fit = fit_rates(*trainings(slope=-0.4, noise=0.05), base=BASE)
    assert fit.law.slope == pytest.approx(-0.4, abs=0.15) and fit.low < fit.law.slope < fit.high < 0
    assert fit.law.at(1e6) > fit.law.at(8e6)
    assert "2^-0." in law_in_words(fit)


def test_where_rates_are_alike_the_best_of_those_tried_is_taken_and_said_to_be_no_better():
    fit = fit_rates(*trainings(curve=0.0, noise=0.2), base=BASE)
    assert not fit.curved and fit.low == -math.inf and fit.law.octaves in (-1, 0, 1) and not fit.law.slope
    assert "cannot be told apart" in law_in_words(fit)


def test_trainings_that_learned_nothing_only_count_as_bad():
    sizes, rates, accuracy = trainings(noise=0.05)
    accuracy[(rates > BASE) & (sizes == 8e6)] = 0.1
    law = fit_rates(sizes, rates, accuracy, base=BASE).law
    assert law.at(8e6) <= BASE and law.at(1e6) in (0.0141, BASE, 0.0283)


def test_too_few_sizes_or_rates_are_refused():
    sizes, rates, accuracy = trainings()
    for kept in (sizes == 1e6, rates <= BASE):
        with pytest.raises(UserError, match="two sizes at three rates"):
            fit_rates(sizes[kept], rates[kept], accuracy[kept], base=BASE)
