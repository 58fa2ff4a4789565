import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import frontier
from scaling_search.errors import UserError

values = st.one_of(st.integers(0, 6).map(float), st.floats(-1e6, 1e6), st.just(float("nan")))
frames = st.lists(st.tuples(values, values), max_size=12).map(lambda rows: pd.DataFrame(rows, columns=["x", "y"]))


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
    for _ in range(2):
        began = time.perf_counter()
        frontier(frame, "x", "y")
        times.append(time.perf_counter() - began)
    assert min(times) < 1


def test_the_frontier_of_a_run_is_found_from_its_trials(whole):
    best = frontier(whole.trials)
    assert 0 < len(best) < len(whole.trials) and set(best["evaluate"]) == {"validation"}
