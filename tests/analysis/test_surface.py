import numpy as np
import pytest

from scaling_search.analysis.statistics import surface
from scaling_search.analysis.statistics.surface import FEWEST, fit_surface
from scaling_search.errors import UserError

NETWORKS = np.array([(i, j, 4 - i - j) for i in range(5) for j in range(5 - i)]) / 4
INSIDE = (0.25, 0.35, 0.4)


def paraboloid(shares, peak=INSIDE, curvature=0.4):
    return 0.9 - curvature * ((shares - np.array(peak)) ** 2).sum(1)


def fitted(accuracy, *, shares=NETWORKS, deviation=0.004, seeds=3, **options):
    variance = np.full(len(shares), deviation**2 / seeds)
    return fit_surface(shares, accuracy, variance, len(shares) * (seeds - 1), **options)


@pytest.mark.parametrize("peak", [INSIDE, (0.0, 0.45, 0.55), (0.0, 0.0, 1.0)])
def test_an_optimum_is_found_where_nothing_scatters_inside_on_an_edge_and_at_a_corner(peak):
    fit = fitted(paraboloid(NETWORKS, peak), deviation=1e-6)
    assert fit.optimum == pytest.approx(peak, abs=1e-6) and fit.centre == pytest.approx(peak, abs=0.051)
    assert fit.whole and fit.covered < 0.02 and fit.p_value < 1e-6 and fit.lack_of_fit < 1e-4
    assert fit.predict(np.array(peak)) == pytest.approx(0.9, abs=1e-6)
    assert fit.networks == len(NETWORKS)


SCENES = {
    "inside": lambda shares: paraboloid(shares, curvature=0.05),
    "on an edge": lambda shares: paraboloid(shares, (0.0, 0.4, 0.6), 0.05),
    "at a corner": lambda shares: 0.85 + 0.02 * shares[:, 2],
    "flat": lambda shares: np.full(len(shares), 0.85),
}


@pytest.mark.parametrize("misfit", [0.0, 0.005])
@pytest.mark.parametrize("scene", SCENES)
def test_the_region_holds_the_optimum_as_often_as_it_says(monkeypatch, scene, misfit):
    """With deviations of seeds and a lack of fit that are estimated from what was trained."""
    monkeypatch.setattr(surface, "DIVISIONS", 10)
    random = np.random.default_rng([len(scene), int(1000 * misfit)])
    truth, held, covered = SCENES[scene](NETWORKS), [], []
    for _ in range(60):
        trained = truth + random.normal(0, misfit, len(truth)) + random.normal(0, 0.01, (3, len(truth)))
        deviation = np.sqrt(trained.var(0, ddof=1).mean())
        fit = fitted(trained.mean(0), deviation=deviation)
        heights = SCENES[scene](fit.places)
        # Where all places are equally good, one of them stands for the truth.
        true = random.integers(len(heights)) if scene == "flat" else heights.argmax()
        held.append(fit.region[true])
        covered.append(fit.covered)
    assert np.mean(held) >= 0.9
    assert np.mean(covered) > 0.9 if scene == "flat" else np.mean(covered) < 0.75


def test_the_region_shrinks_with_seeds_and_grows_with_confidence():
    accuracy = paraboloid(NETWORKS) + np.random.default_rng(2).normal(0, 0.002, len(NETWORKS))
    covered = [fitted(accuracy, deviation=0.02, seeds=seeds).covered for seeds in (2, 8, 32)]
    assert covered == sorted(covered, reverse=True) and covered[-1] < covered[0]
    sure, surer = (fitted(accuracy, deviation=0.02, confidence=level).region for level in (0.8, 0.99))
    assert (surer | ~sure).all() and surer.sum() > sure.sum()


def test_what_a_quadratic_misses_widens_the_region():
    bump = 0.01 * (-1.0) ** np.arange(len(NETWORKS))
    smooth, bumpy = (fitted(paraboloid(NETWORKS) + part) for part in (0.0, bump))
    assert smooth.lack_of_fit == 0 and bumpy.lack_of_fit > 0.001 and bumpy.covered > smooth.covered


def test_a_network_that_scatters_counts_for_less():
    accuracy, variance = paraboloid(NETWORKS), np.full(len(NETWORKS), 1e-6)
    accuracy[0] -= 0.2
    trusting, doubting = (fit_surface(NETWORKS, accuracy, variance * by, 30) for by in (1.0, np.r_[1e6, np.ones(14)]))
    assert trusting.optimum != pytest.approx(INSIDE, abs=0.01) or trusting.covered > doubting.covered
    assert doubting.optimum == pytest.approx(INSIDE, abs=0.01)


def test_what_more_cost_brings_is_taken_out():
    cost = 2.0 ** np.random.default_rng(1).normal(1, 0.2, len(NETWORKS))
    fit = fitted(paraboloid(NETWORKS) + 0.05 * np.log2(cost), cost=cost)
    assert fit.optimum == pytest.approx(INSIDE, abs=0.01) and fit.lack_of_fit == 0


def test_one_seed_each_leaves_the_scatter_about_the_surface():
    random = np.random.default_rng(3)
    accuracy = paraboloid(NETWORKS) + random.normal(0, 0.005, len(NETWORKS))
    fit = fit_surface(NETWORKS, accuracy, np.full(len(NETWORKS), np.nan), np.nan)
    assert fit.lack_of_fit == pytest.approx(0.005, rel=0.5) and 0 < fit.covered < 1


def test_places_beyond_what_was_tried_are_left_out():
    tried = NETWORKS[NETWORKS[:, 0] <= 0.5]
    fit = fitted(paraboloid(tried, (0.9, 0.05, 0.05)), shares=tried)
    assert not fit.whole and fit.places[:, 0].max() == pytest.approx(0.5)
    assert fit.optimum[0] == pytest.approx(0.5)
    assert fit.ends[1][0] == pytest.approx(0.5)


def test_the_same_networks_give_the_same_surface_in_any_order():
    accuracy = paraboloid(NETWORKS) + np.random.default_rng(4).normal(0, 0.01, len(NETWORKS))
    order = np.random.default_rng(5).permutation(len(NETWORKS))
    one, other = fitted(accuracy, deviation=0.01), fitted(accuracy[order], shares=NETWORKS[order], deviation=0.01)
    assert one.optimum == other.optimum and one.room == pytest.approx(other.room, abs=1e-6)


def test_too_few_networks_and_networks_on_a_line_are_refused():
    with pytest.raises(UserError, match=f"{FEWEST - 1} networks to fit a surface to"):
        fitted(paraboloid(NETWORKS[-FEWEST + 1 :]), shares=NETWORKS[-FEWEST + 1 :])
    line = np.linspace(0, 1, 12)
    shares = np.stack([line, 1 - line, 0 * line], axis=1)
    with pytest.raises(UserError, match="on a line"):
        fitted(paraboloid(shares), shares=shares)
