import dataclasses
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling_search.analysis.report.svg import HEIGHT, NARROW, WIDE, Line, Plot, Point, Series, draw
from scaling_search.analysis.text.ticks import count_texts, linear_ticks, log_ticks

counts = st.floats(1e3, 1e12)
shares = st.floats(0, 100)
points = st.lists(st.tuples(counts, shares), min_size=1, max_size=30)


def plot_of(pairs, **options):
    marks = tuple(Point(x, y, f"n{i}", f"details {i}", name=f"B{i}") for i, (x, y) in enumerate(pairs))
    series = Series("found", "found coefficients", "circle", points=marks, lines=(Line(tuple(pairs)),))
    return Plot("p", "title", "explanation", "x", "y", (series,), **options)


@given(points, st.booleans())
def test_everything_lies_inside_the_area(pairs, log_x):
    drawing = draw(plot_of(pairs, log_x=log_x))
    places = [place for mark in drawing.series[0].marks for place in (mark.x, mark.y)]
    places += [tick.place for tick in (*drawing.x_ticks, *drawing.y_ticks)]
    places += re.findall(r"[\d.]+", drawing.series[0].lines[0][0])
    assert all(0 <= float(place) <= 100 for place in places)


@given(points, st.booleans())
def test_larger_values_are_further_right_and_higher(pairs, log_x):
    marks = draw(plot_of(pairs, log_x=log_x)).series[0].marks
    assert [mark.point.x for mark in marks] == sorted(x for x, _ in pairs)
    assert [float(mark.x) for mark in marks] == sorted(float(mark.x) for mark in marks)
    by_height = sorted(marks, key=lambda mark: mark.point.y)
    assert [float(mark.y) for mark in by_height] == sorted((float(mark.y) for mark in marks), reverse=True)


@given(points)
def test_names_that_are_written_do_not_touch(pairs):
    marks = draw(plot_of(pairs, log_x=True)).series[0].marks
    for width, written in ((WIDE, [m for m in marks if m.name]), (NARROW, [m for m in marks if m.name and m.narrow])):
        boxes = [(float(m.x) / 100 * width, float(m.y) / 100 * HEIGHT, 3.5 * len(m.name)) for m in written]
        for i, (x, y, half) in enumerate(boxes):
            assert all(abs(x - ox) > half + oh or abs(y - oy) > 12 for ox, oy, oh in boxes[:i])


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (1e6, 4e7, ["1e+06", "2e+06", "5e+06", "1e+07", "2e+07"]),
        (600e3, 1.4e6, ["600000", "800000", "1e+06", "1.2e+06", "1.4e+06"]),
    ],
)
def test_ticks_of_a_log_axis_are_round(low, high, texts):
    drawing = draw(plot_of([(low, 1.0), (high, 2.0)], log_x=True))
    assert [tick.text for tick in drawing.x_ticks] == texts


def test_whole_numbers_have_no_tick_between_them():
    assert [tick.text for tick in draw(plot_of([(1, 0), (4, 1)], whole_x=True)).x_ticks] == ["1", "2", "3", "4"]
    assert [tick.text for tick in draw(plot_of([(4, 0)], whole_x=True)).x_ticks] == ["4"]


def test_an_interval_is_drawn_where_there_is_one_and_is_never_cut_off():
    pairs = [Point(1, 50, "a", "a", low=10, high=90), Point(2, 50, "b", "b")]
    with_interval, without = (
        draw(Plot("p", "", "", "", "", (Series("found", "found", "circle", points=tuple(pairs)),))).series[0].marks
    )
    assert 0 < float(with_interval.high) < float(with_interval.y) < float(with_interval.low) < 100
    assert without.low == without.high == ""


def test_a_shade_is_never_cut_off():
    plot = plot_of([(1, 50), (2, 51)])
    shaded = dataclasses.replace(plot.series[0], band=((1, 0, 100), (2, 0, 100)))
    band = draw(dataclasses.replace(plot, series=(shaded,))).series[0].band
    heights = [float(y) for _, y in re.findall(r"([\d.]+) ([\d.]+)", band)]
    assert min(heights) > 0 and max(heights) < 100


def test_a_name_that_two_series_give_one_network_is_written_once():
    one = plot_of([(1, 50), (2, 60)])
    again = dataclasses.replace(one.series[0], kind="published", names_above=False)
    drawn = draw(dataclasses.replace(one, series=(again, one.series[0]))).series
    assert [mark.name for series in drawn for mark in series.marks] == ["", "", "B0", "B1"]


def test_a_single_point_can_be_drawn():
    mark = draw(plot_of([(1e6, 0.0)], log_x=True)).series[0].marks[0]
    assert math.isclose(float(mark.x), 50) and math.isclose(float(mark.y), 50)


def test_counts_beside_an_axis_say_what_they_are():
    """Trailing zeros go, and no other: 1.05M is not 15M."""
    assert count_texts([1.05e6]) == ["1.05M"]
    assert count_texts([1.95e6, 2e6, 2.05e6]) == ["1.95M", "2M", "2.05M"]
    assert count_texts([0, 500, 20e6, 100e6, 1.8e9]) == ["0", "500", "20M", "100M", "1.8B"]
    drawing = draw(plot_of([(1.9e6, 1.0), (2.1e6, 2.0)], log_x=True, x_texts=count_texts))
    assert [tick.text for tick in drawing.x_ticks] == ["1.9M", "1.95M", "2M", "2.05M", "2.1M"]


@given(st.floats(1, 1e14), st.floats(1e-6, 1e4), st.integers(2, 12))
def test_ticks_are_few_inside_and_told_apart_by_their_texts(low, spread, most):
    high = low * (1 + spread)
    for ticks in (linear_ticks(low, high, most=most), log_ticks(low, high, most)):
        assert len(ticks) <= most and ticks == sorted(ticks)
        assert all(low * (1 - 1e-9) <= tick <= high * (1 + 1e-9) for tick in ticks)
        texts = count_texts(ticks)
        assert len(set(texts)) == len(set(ticks))
        factors = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12, "Q": 1e15}
        for tick, text in zip(ticks, texts, strict=True):
            value = float(text[:-1]) * factors[text[-1]] if text[-1] in factors else float(text)
            assert math.isclose(value, tick, rel_tol=6e-3)
