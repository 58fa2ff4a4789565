import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling_search.analysis import error_distribution, frontier, nondominated
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


def test_a_million_rows_are_no_matter():
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.random(1_000_000), "y": random.random(1_000_000)})
    best = frontier(frame, "x", "y")
    assert best["x"].iloc[0] == frame["x"].min() and best["y"].iloc[-1] == frame["y"].max()


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


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_rows_without_a_finite_value_are_left_out_with_a_warning(missing):
    frame = pd.DataFrame({"x": [1.0, missing, 3.0, missing], "y": [1.0, 2.0, missing, missing]})
    with pytest.warns(UserWarning, match="left out 3 of 4 rows without a finite x and y") as said:
        assert list(frontier(frame, "x", "y").index) == [0]
    assert said[0].filename == __file__


def test_numbers_in_a_column_of_objects_and_of_nullable_kinds_are_read():
    for kind in (object, "Int64", "Float64", "int8"):
        frame = pd.DataFrame({"x": [1, 2, 3], "y": [3, 5, 4]}).astype({"x": kind})
        assert list(frontier(frame, "x", "y").index) == [0, 1]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"x": [1, 2], "y": ["high", "low"]}), r"column 'y' 'high' given"),
        (pd.DataFrame({"x": [1, 2], "y": ["0.5", "0.6"]}), r"column 'y' '0.5' given"),
        (pd.DataFrame({"x": [1, 2], "y": [1 + 2j, 3j]}), r"column 'y'"),
        (pd.DataFrame({"x": [1, 2], "y": [[1], [2, 3]]}), r"column 'y'"),
        (pd.DataFrame({"x": [1, 2], "y": pd.to_datetime(["2020-01-01", "2021-01-01"])}), r"column 'y'"),
        (pd.DataFrame({"x": [1, 2], "y": pd.Categorical(["a", "b"])}), r"column 'y' 'a' given"),
        (pd.DataFrame([[1, 2, 3]], columns=["x", "y", "y"]), r"2 columns named 'y'"),
        (pd.DataFrame({"x": [1]}), r"no column 'y'; the frame has x"),
        ({"x": [1], "y": [2]}, r"a dict given"),
    ],
)
def test_a_column_that_is_no_column_of_numbers_is_refused(frame, message):
    with pytest.raises(UserError, match=message):
        frontier(frame, "x", "y")


def test_one_column_cannot_be_both_cost_and_accuracy():
    with pytest.raises(UserError, match="'x' given as both"):
        frontier(pd.DataFrame({"x": [1.0, 2.0]}), "x", "x")


@pytest.mark.parametrize(
    ("value", "hint"), [(93.0, "divide percentages by 100"), (-0.1, "fraction"), (np.inf, "fraction")]
)
def test_a_distribution_of_error_is_of_accuracies(value, hint):
    with pytest.raises(UserError, match=hint):
        error_distribution(pd.DataFrame({"val_accuracy": [value]}))


@pytest.mark.parametrize(
    ("objectives", "message"), [({"x": "least"}, "direction 'least' given for x"), ({}, "no objective given")]
)
def test_bad_objectives_are_refused(objectives, message):
    with pytest.raises(UserError, match=message):
        nondominated(pd.DataFrame({"x": [1.0]}), objectives)


@given(st.lists(st.integers(0, 5).map(lambda value: value / 5), min_size=1, max_size=20))
def test_an_error_distribution_rises_from_above_0_to_1_and_counts_networks(accuracies):
    table = error_distribution(pd.DataFrame({"val_accuracy": accuracies}))
    assert table["error"].is_monotonic_increasing and table["share"].is_monotonic_increasing
    assert table["error"].is_unique and table["share"].iloc[-1] == 1
    for row in table.itertuples():
        assert row.share == pytest.approx(np.mean([1 - accuracy <= row.error + 1e-9 for accuracy in accuracies]))


def test_no_networks_have_no_distribution():
    assert error_distribution(pd.DataFrame({"val_accuracy": [np.nan]})).empty
