import itertools
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling_search.analysis import coverage, dominance, error_distribution, frontier, hypervolume, nondominated
from scaling_search.analysis.reference.paper import table2
from scaling_search.errors import UserError

# Frames here lack values on purpose; that this is said has a test of its own.
pytestmark = pytest.mark.filterwarnings("ignore:left out")

values = st.one_of(st.integers(0, 6).map(float), st.floats(-1e6, 1e6), st.just(float("nan")))
frames = st.lists(st.tuples(values, values), max_size=12).map(lambda rows: pd.DataFrame(rows, columns=["x", "y"]))


@st.composite
def spaces(draw, most=9, high=4):
    """Rows in one to four objectives, small whole numbers so that many tie, and a direction for each."""
    count = draw(st.integers(1, 4))
    names = list("abcd")[:count]
    rows = draw(st.lists(st.tuples(*[st.integers(0, high)] * count), max_size=most))
    directions = draw(st.tuples(*[st.sampled_from(["min", "max"])] * count))
    return pd.DataFrame(rows, columns=names, dtype=float), dict(zip(names, directions, strict=True))


def losses_of(frame, objectives):
    return [tuple(row[name] * (1 if way == "min" else -1) for name, way in objectives.items()) for row in rows(frame)]


def rows(frame):
    return frame.to_dict("records")


def as_good(one, other):
    return all(a <= b for a, b in zip(one, other, strict=True))


def dominates(one, other):
    return one.x <= other.x and one.y >= other.y and (one.x < other.x or one.y > other.y)


@given(frames)
def test_no_point_of_the_frontier_is_dominated_and_every_other_is(frame):
    best = frontier(frame, "x", "y")
    known = frame.dropna()
    for index, row in known.iterrows():
        assert any(dominates(other, row) for other in known.itertuples()) == (index not in best.index)


@given(frames)
def test_rows_are_sorted_and_keep_their_index_and_their_values(frame):
    best = frontier(frame, "x", "y")
    assert best["x"].is_monotonic_increasing and best["y"].is_monotonic_increasing
    assert best.equals(frame.loc[best.index])


@given(frames, st.randoms(use_true_random=False))
def test_order_does_not_matter(frame, random):
    order = list(frame.index)
    random.shuffle(order)
    assert set(frontier(frame.loc[order], "x", "y").index) == set(frontier(frame, "x", "y").index)


@given(frames)
def test_duplicates_stay_with_their_originals(frame):
    twice = pd.concat([frame, frame.set_axis(frame.index + 1000)])
    best = frontier(frame, "x", "y").index
    assert set(frontier(twice, "x", "y").index) == {*best, *(best + 1000)}


def test_a_frame_without_rows_has_a_frontier_without_rows():
    assert frontier(pd.DataFrame({"multiply_adds": [], "val_accuracy": []})).empty


def test_a_missing_column_is_said_with_those_there_are():
    with pytest.raises(UserError, match=r"'flops'.*multiply_adds, val_accuracy"):
        frontier(pd.DataFrame({"multiply_adds": [1], "val_accuracy": [0.5]}), x="flops")


def test_a_million_points_take_under_a_second():
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.random(1_000_000), "y": random.random(1_000_000)})
    times = []
    for _ in range(3):
        began = time.perf_counter()
        frontier(frame, "x", "y")
        times.append(time.perf_counter() - began)
    assert min(times) < 1


def test_the_frontier_of_a_run_is_found_from_its_trials(whole):
    best = frontier(whole.trials)
    assert 0 < len(best) < len(whole.trials) and set(best["evaluate"]) == {"validation"}


@given(spaces())
def test_in_any_objectives_exactly_the_dominated_rows_are_left_out(space):
    frame, objectives = space
    best, losses = nondominated(frame, objectives), losses_of(frame, objectives)
    for index, mine in enumerate(losses):
        beaten = any(as_good(other, mine) and other != mine for other in losses)
        assert beaten == (index not in best.index)
    assert best.equals(frame.loc[best.index]) and losses_of(best, objectives) == sorted(losses_of(best, objectives))


@given(spaces(), st.randoms(use_true_random=False))
def test_in_any_objectives_order_and_duplicates_do_not_matter(space, random):
    frame, objectives = space
    order = list(frame.index)
    random.shuffle(order)
    best = set(nondominated(frame, objectives).index)
    assert set(nondominated(frame.loc[order], objectives).index) == best
    twice = pd.concat([frame, frame.set_axis(frame.index + 1000)])
    assert set(nondominated(twice, objectives).index) == best | {index + 1000 for index in best}


@given(frames)
def test_two_objectives_give_what_many_give(frame):
    """A third objective that is the same for all decides nothing, and takes the way for many objectives."""
    many = nondominated(frame.assign(z=1.0), {"x": "min", "y": "max", "z": "min"})
    assert many.drop(columns="z").equals(frontier(frame, "x", "y"))


def test_rows_without_a_value_are_counted_and_said():
    frame = pd.DataFrame({"x": [1.0, np.nan, 3.0, np.nan], "y": [1.0, 2.0, np.nan, np.nan]})
    with pytest.warns(UserWarning, match="left out 3 of 4 rows, which lack x or y") as said:
        assert list(frontier(frame, "x", "y").index) == [0]
    assert said[0].filename == __file__


@pytest.mark.parametrize(
    ("objectives", "message"), [({"x": "least"}, "direction 'least' given for x"), ({}, "no objective given")]
)
def test_bad_objectives_are_refused(objectives, message):
    with pytest.raises(UserError, match=message):
        nondominated(pd.DataFrame({"x": [1.0]}), objectives)


def reference_of(objectives, high=4):
    """A corner one beyond the worst that `spaces` draws."""
    return {name: high + 1 if way == "min" else -1 for name, way in objectives.items()}


@given(spaces())
def test_hypervolume_counts_the_cells_that_some_row_dominates(space):
    frame, objectives = space
    gains = [[5 - loss if way == "min" else 1 - loss for loss, way in zip(row, objectives.values(), strict=True)]
             for row in losses_of(frame, objectives)]  # fmt: skip
    cells = itertools.product(range(5), repeat=len(objectives))
    filled = sum(any(all(c < g for c, g in zip(cell, row, strict=True)) for row in gains) for cell in cells)
    assert hypervolume(frame, reference_of(objectives), objectives) == pytest.approx(filled)


@given(spaces(), st.integers(0, 8))
def test_hypervolume_never_falls_with_more_rows_and_rises_only_with_the_frontier(space, cut):
    frame, objectives = space
    corner = reference_of(objectives)
    part, whole = (hypervolume(rows, corner, objectives) for rows in (frame[:cut], frame))
    assert part <= whole + 1e-9
    assert hypervolume(nondominated(frame, objectives), corner, objectives) == pytest.approx(whole)
    assert hypervolume(pd.concat([frame[::-1], frame]), corner, objectives) == pytest.approx(whole)


def test_rows_beyond_the_reference_add_nothing():
    frame = pd.DataFrame({"multiply_adds": [1.0, 9.0], "val_accuracy": [0.5, 0.9]})
    assert hypervolume(frame, {"multiply_adds": 5.0, "val_accuracy": 0.25}) == pytest.approx(4 * 0.25)
    with pytest.raises(UserError, match="reference without val_accuracy"):
        hypervolume(frame, {"multiply_adds": 5.0})


def test_hypervolume_of_a_sphere_of_points_is_near_the_spheres():
    """Points on an eighth of a unit sphere, below whose volume of pi / 6 their boxes stay."""
    directions = np.abs(np.random.default_rng(0).normal(size=(400, 3)))
    sphere = pd.DataFrame(directions / np.linalg.norm(directions, axis=1)[:, None], columns=list("abc"))
    found = hypervolume(sphere, dict.fromkeys("abc", 0.0), dict.fromkeys("abc", "max"))
    assert 0.92 * np.pi / 6 < found < np.pi / 6


@given(spaces(), spaces())
def test_coverage_is_the_share_of_rows_that_are_dominated_or_equalled(one, other):
    (frame, objectives), (asked, _) = one, other
    asked = asked.reindex(columns=frame.columns, fill_value=2.0)
    mine, theirs = losses_of(frame, objectives), losses_of(asked, objectives)
    if not theirs:
        assert np.isnan(coverage(frame, asked, objectives))
    else:
        expected = np.mean([any(as_good(row, other) for row in mine) for other in theirs])
        assert coverage(frame, asked, objectives) == pytest.approx(expected)
        assert coverage(asked, asked, objectives) == 1


def test_efficientnets_dominate_all_other_networks_of_table_2():
    table = table2().dropna(subset=["multiply_adds"])
    is_efficientnet = table["family"] == "efficientnet"
    found = dominance(table[is_efficientnet], table[~is_efficientnet])
    assert (found.coverage, found.covered) == (1, 0)
    assert (found.difference["difference"] > 0).all() and 0.03 < found.mean_difference < 0.04


def test_frontiers_are_compared_at_equal_cost():
    one = pd.DataFrame({"multiply_adds": [1, 10, 100], "val_accuracy": [0.5, 0.6, 0.9]})
    other = pd.DataFrame({"multiply_adds": [10, 1000], "val_accuracy": [0.7, 0.8]})
    found = dominance(one, other)
    assert found.difference["multiply_adds"].tolist() == [10, 100, 1000]
    assert found.difference["difference"].tolist() == pytest.approx([-0.1, 0.2, 0.1])
    assert found.mean_difference == pytest.approx((-0.1 + 0.2) / 2)
    swapped = dominance(other, one)
    assert swapped.mean_difference == pytest.approx(-found.mean_difference)
    assert (swapped.coverage, swapped.covered) == (found.covered, found.coverage)


@given(frames.filter(lambda frame: len(frame.dropna())))
def test_nothing_is_gained_over_itself(frame):
    frame = frame.abs()
    found = dominance(frame.assign(x=frame["x"] + 1), frame.assign(x=frame["x"] + 1), "x", "y")
    assert found.coverage == found.covered == 1 and (found.difference["difference"] == 0).all()


def test_a_side_without_networks_is_refused():
    full = pd.DataFrame({"multiply_adds": [1.0], "val_accuracy": [0.5]})
    with pytest.raises(UserError, match="both sides need one"):
        dominance(full, full[:0])


@given(st.lists(st.integers(0, 5).map(lambda value: value / 5), min_size=1, max_size=20))
def test_an_error_distribution_rises_from_above_0_to_1_and_counts_networks(accuracies):
    table = error_distribution(pd.DataFrame({"val_accuracy": accuracies}))
    assert table["error"].is_monotonic_increasing and table["share"].is_monotonic_increasing
    assert table["error"].is_unique and table["share"].iloc[-1] == 1
    for row in table.itertuples():
        assert row.share == pytest.approx(np.mean([1 - accuracy <= row.error + 1e-9 for accuracy in accuracies]))


def test_no_networks_have_no_distribution():
    assert error_distribution(pd.DataFrame({"val_accuracy": [np.nan]})).empty
