import numpy as np
import pandas as pd
import pytest

from scaling_search.analysis import search_progress
from scaling_search.errors import UserError
from tests.analysis.test_run_figures import everything_inside

NAMES = ("random", "evolution", "policy", "tpe", "nsga2")


def searches(names=NAMES, seeds=5, networks=24):
    """Made-up rewards."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        [
            {"strategy": name, "seed": seed, "networks": number, "reward": 0.6 + 0.05 * rng.normal() + 0.001 * number}
            for name in names
            for seed in range(seeds)
            for number in range(1, networks + 1)
        ]
    )


def test_a_line_is_the_mean_of_the_best_so_far():
    frame = searches()
    figure = search_progress(frame)
    whole, *panels = figure.axes
    assert [line.get_label() for line in whole.get_lines()] == list(NAMES)
    for name, line in zip(NAMES, whole.get_lines(), strict=True):
        rows = frame[frame["strategy"] == name].sort_values("networks")
        best = rows.groupby("seed")["reward"].cummax().groupby(rows["networks"]).mean()
        assert list(line.get_xdata()) == list(range(1, 25))
        assert line.get_ydata() == pytest.approx(best.to_numpy())
    assert [panel.get_title() for panel in panels] == list(NAMES)
    assert everything_inside(figure)


def test_strategies_differ_in_more_than_colour():
    lines = search_progress(searches()).axes[0].get_lines()
    assert len({line.get_marker() for line in lines}) == 5


def test_searches_of_different_lengths_are_cut_to_the_shortest():
    frame = searches(("random",), seeds=2)
    frame = frame[(frame["seed"] == 0) | (frame["networks"] <= 10)]
    (line,) = search_progress(frame).axes[0].get_lines()
    assert max(line.get_xdata()) == 10
    assert everything_inside(search_progress(frame))


def test_searches_that_never_got_better_have_room_around_them():
    frame = searches(("random", "evolution"), seeds=1, networks=3).assign(reward=[0.6, 0.5, 0.4] * 2)
    low, high = search_progress(frame).axes[0].get_ylim()
    assert low < 0.6 < high


def test_without_searches_there_is_nothing_to_draw():
    with pytest.raises(UserError, match="no search here"):
        search_progress(searches().iloc[:0])


def test_one_search_alone_shows_every_network():
    frame = searches(("evolution",), seeds=1)
    figure = search_progress(frame)
    (axes,) = figure.axes
    points, best = axes.get_lines()
    assert list(points.get_ydata()) == list(frame["reward"])
    assert list(best.get_ydata()) == list(frame["reward"].cummax())
    assert axes.get_ylabel() == "reward" and everything_inside(figure)
