import numpy as np
import pandas as pd
import pytest

from scaling_search.analysis.statistics.surface import FEWEST, MOVED, fit_surface
from scaling_search.errors import UserError
from scaling_search.rule import Grid

RULES = pd.DataFrame([vars(rule) for rule in Grid("coefficients").rules()])
TOTAL = RULES["alpha"] * RULES["beta"] ** 2 * RULES["gamma"] ** 2


def shares_of(rules):
    logs = np.c_[np.log(rules["alpha"]), 2 * np.log(rules["beta"]), 2 * np.log(rules["gamma"])]
    return logs / logs.sum(1, keepdims=True)


def networks(curvature=0.4, peak=(0.3, 0.3, 0.4), noise=0.0, random=None, slope=0.02):
    """A network for each rule of the default grid, its accuracy a paraboloid about `peak` that grows with cost."""
    distance = ((shares_of(RULES) - peak) ** 2).sum(1)
    accuracy = 0.9 - curvature * distance + slope * np.log2(TOTAL)
    if random is not None:
        accuracy += random.normal(0, noise, len(RULES))
    return RULES.assign(multiply_adds=1e6 * TOTAL, val_accuracy=accuracy, seeds=3)


def test_the_optimum_and_its_sharpness_are_found_exactly_where_nothing_scatters():
    surface = fit_surface(networks(curvature=0.4, peak=(0.3, 0.3, 0.4)))
    growth = np.log(TOTAL).mean()
    expected = np.exp(np.array([0.3, 0.3, 0.4]) * growth / [1, 2, 2])
    assert surface.optimum["value"].to_numpy() == pytest.approx(expected, abs=0.005)
    # MOVED from one share to another is a distance of MOVED * sqrt(2).
    assert surface.sharpness == pytest.approx(0.4 * 2 * MOVED**2)
    assert surface.low == pytest.approx(surface.high) and surface.p_value < 1e-12 and surface.networks == 39


def test_what_more_multiply_adds_bring_is_taken_out():
    flat, steep = (fit_surface(networks(slope=slope)) for slope in (0.0, 0.1))
    assert steep.sharpness == pytest.approx(flat.sharpness)
    assert steep.optimum.to_numpy() == pytest.approx(flat.optimum.to_numpy())


def test_predictions_are_highest_at_the_optimum():
    surface = fit_surface(networks())
    best = surface.predict(*surface.optimum["value"])
    assert (surface.predict(RULES["alpha"], RULES["beta"], RULES["gamma"]) <= best + 1e-4).all()


def test_a_peak_beyond_the_grid_is_put_at_its_edge():
    surface = fit_surface(networks(peak=(0.9, 0.05, 0.05)))
    assert surface.optimum.loc["alpha", "value"] == pytest.approx(1.4, abs=0.03) and surface.at_edge
    assert not fit_surface(networks()).at_edge


def test_traces_run_through_the_optimum_within_what_was_tried_and_are_the_surface():
    surface = fit_surface(networks(noise=0.01, random=np.random.default_rng(4)))
    traces = surface.traces
    shares = shares_of(traces)
    assert traces["accuracy"].to_numpy() == pytest.approx(
        surface.predict(*traces[["alpha", "beta", "gamma"]].to_numpy().T)
    )
    assert (shares >= shares_of(RULES).min(0) - 1e-6).all() and (shares <= shares_of(RULES).max(0) + 1e-6).all()
    assert (traces["low"] < traces["accuracy"]).all() and (traces["accuracy"] < traces["high"]).all()
    for column, (dimension, trace) in enumerate(traces.groupby("dimension", sort=False)):
        assert dimension == ("depth", "width", "resolution")[column]
        assert trace["share"].is_monotonic_increasing
        assert trace["share"].to_numpy() == pytest.approx(shares[trace.index, column])
        (top,) = trace[trace["optimum"]].to_dict("records")
        assert [top["alpha"], top["beta"], top["gamma"]] == pytest.approx(surface.optimum["value"].tolist())
        others = np.delete(shares[trace.index], column, axis=1)
        assert others[:, 0] / others.sum(1) == pytest.approx(others[0, 0] / others[0].sum())


def test_intervals_of_the_traces_cover_the_truth_as_often_as_they_say():
    random = np.random.default_rng(5)
    inside = []
    for _ in range(60):
        traces = fit_surface(networks(noise=0.004, random=random)).traces
        truth = 0.9 - 0.4 * ((shares_of(traces) - [0.3, 0.3, 0.4]) ** 2).sum(1) + 0.02 * np.log2(TOTAL).mean()
        inside.append(((traces["low"] <= truth) & (truth <= traces["high"])).mean())
    assert 0.9 < np.mean(inside) < 0.99


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    random = np.random.default_rng(0)
    growth = np.log(TOTAL).mean()
    truth = np.exp(np.array([0.3, 0.3, 0.4]) * growth / [1, 2, 2])
    sharp, inside = [], []
    for _ in range(60):
        surface = fit_surface(networks(noise=0.004, random=random))
        sharp.append(surface.low <= 0.4 * 2 * MOVED**2 <= surface.high)
        inside.append((surface.optimum["low"] <= truth + 0.005) & (truth - 0.005 <= surface.optimum["high"]))
    assert np.mean(sharp) > 0.86 and np.mean(inside) > 0.86


def test_a_flat_surface_is_seldom_called_sharp():
    random = np.random.default_rng(1)
    fits = [fit_surface(networks(curvature=0.0, noise=0.01, random=random)) for _ in range(60)]
    assert np.mean([fit.low > 0 for fit in fits]) < 0.12 and np.mean([fit.p_value < 0.05 for fit in fits]) < 0.16


def test_the_same_networks_give_the_same_surface_in_any_order():
    table = networks(noise=0.01, random=np.random.default_rng(3))
    one, other = fit_surface(table), fit_surface(table.sample(frac=1, random_state=0))
    assert one.optimum.to_numpy() == pytest.approx(other.optimum.to_numpy(), abs=0.011)
    assert one.sharpness == pytest.approx(other.sharpness)


def test_too_few_networks_and_networks_on_a_line_are_refused():
    table = networks()
    with pytest.raises(UserError, match=f"{FEWEST - 1} networks to fit a surface to"):
        fit_surface(table[: FEWEST - 1])
    with pytest.raises(UserError, match="on a line"):
        fit_surface(table.assign(alpha=2.0, beta=1.0, gamma=1.0))
