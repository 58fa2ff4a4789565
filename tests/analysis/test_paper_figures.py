import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from scaling_search.analysis import accuracy_against_size, compound_scaling, single_dimension_scaling, width_scaling
from scaling_search.analysis.figures import render
from scaling_search.analysis.reference.paper import scaling_results, table2
from scaling_search.errors import UserError


def trials(*scales, seeds=3):
    """Made-up trials at (depth, width, resolution)."""
    rows = [
        {
            "key": f"{scale} {seed}",
            "fingerprint": str(scale),
            "network": "made_up",
            "seed": seed,
            "step": 0,
            **dict(zip(("depth", "width", "resolution"), map(float, scale), strict=True)),
            "multiply_adds": round(1e8 * scale[0] * scale[1] ** 2 * scale[2] ** 2),
            "val_accuracy": 0.9 - 0.2 / (scale[0] * scale[1] * scale[2]) + 0.001 * seed,
        }
        for scale in scales
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows)


ONE_DIMENSION = [(1, 1, 1), (2, 1, 1), (4, 1, 1), (1, 1.5, 1), (1, 2, 1), (1, 1, 1.3), (1, 1, 2)]
COMPOUND = [(1.2, 1.1, 1.15), (1.44, 1.21, 1.3225)]
WIDTHS = [(d, w, r) for d, r in ((1, 1), (1, 1.3), (2, 1), (2, 1.3)) for w in (1, 1.4, 1.8)]


def texts_of(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def legend_of(figure):
    return [text.get_text() for axes in figure.axes if axes.get_legend() for text in axes.get_legend().get_texts()]


FIGURES = {
    "1": lambda: accuracy_against_size(table2()),
    "5": lambda: accuracy_against_size(table2(), "multiply_adds"),
    "3": lambda: single_dimension_scaling(trials(*ONE_DIMENSION)),
    "4": lambda: width_scaling(trials(*WIDTHS)),
    "8": lambda: compound_scaling(trials(*ONE_DIMENSION, *COMPOUND)),
}


@pytest.fixture(scope="module", params=FIGURES)
def figure(request):
    return FIGURES[request.param]()


def test_nothing_is_clipped(figure):
    figure.draw_without_rendering()
    tight, width, height = figure.get_tightbbox(), *figure.get_size_inches()
    assert tight.x0 >= 0 and tight.y0 >= 0 and tight.x1 <= width and tight.y1 <= height


def test_no_two_names_lie_on_each_other(figure):
    figure.draw_without_rendering()
    for axes in figure.axes:
        # Of the letters alone: that of an annotation includes its line.
        boxes = [Text.get_window_extent(text).padded(-1) for text in axes.texts]
        assert not any(one.overlaps(other) for index, one in enumerate(boxes) for other in boxes[:index])


def test_files_are_the_same_each_time_and_embed_their_letters(figure):
    pdf = render(figure, "pdf")
    assert pdf == render(figure, "pdf") and pdf.startswith(b"%PDF")
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf


@pytest.mark.parametrize(("x", "count"), [("parameters", 24), ("multiply_adds", 23)])
def test_every_network_of_table_2_that_has_the_size_is_named_at_its_place(x, count):
    figure = accuracy_against_size(table2(), x)
    (axes,) = figure.axes
    assert len(axes.texts) == count
    places = {text.get_text(): text.xy for text in axes.texts}
    row = table2().set_index("model").loc["SENet"]
    assert places["SENet"] == (row[x], pytest.approx(82.7))
    assert ("GPipe" in axes.get_title(loc="left")) == (x == "multiply_adds")


def test_efficientnets_are_one_line_through_all_eight():
    (axes,) = accuracy_against_size(table2()).axes
    (line,) = [line for line in axes.get_lines() if len(line.get_xdata()) == 8]
    assert line.get_ydata()[-1] == pytest.approx(84.4)


def test_each_panel_has_the_baseline_and_its_own_factors():
    figure = single_dimension_scaling(trials(*ONE_DIMENSION))
    names = [{text.get_text() for text in axes.texts} for axes in figure.axes]
    assert names == [{"w=1", "w=1.5", "w=2"}, {"d=1", "d=2", "d=4"}, {"r=1", "r=1.3", "r=2"}]


def test_a_dimension_that_was_not_scaled_has_an_empty_panel():
    figure = single_dimension_scaling(trials((1, 1, 1), (2, 1, 1)))
    assert [axes.texts[0].get_text() for axes in figure.axes if len(axes.texts) == 1] == ["no networks"] * 2


def test_seeds_of_a_network_are_one_marker_with_an_interval():
    several, one = (single_dimension_scaling(trials((1, 1, 1), (2, 1, 1), seeds=seeds)) for seeds in (3, 1))
    for figure in (several, one):
        (line,) = [line for line in figure.axes[1].get_lines() if line.get_marker() == "^"]
        assert len(line.get_xdata()) == 2
    heights = [np.ptp(figure.axes[1].collections[0].get_segments()[0][:, 1]) for figure in (several, one)]
    assert heights[0] > 0 and heights[1] == 0


def test_a_trial_of_two_runs_counts_once():
    frame = trials(*ONE_DIMENSION)
    frames = [frame, pd.concat([frame.assign(run="a"), frame.assign(run="b")])]
    one, twice = (single_dimension_scaling(each).axes[0].get_lines()[0].get_xydata() for each in frames)
    assert (one == twice).all()


def test_the_papers_own_table_7_can_be_drawn_though_it_has_no_seeds():
    table = scaling_results().query("source == 'Table 7'")
    assert texts_of(single_dimension_scaling(table)) == ["w=1", "w=2", "d=1", "d=4", "r=1", "r=2"]
    assert legend_of(compound_scaling(table))[0] == "all three"


def test_rows_without_factors_are_no_matter():
    table = scaling_results().query("network == 'MobileNetV2'")
    assert len(single_dimension_scaling(table).axes) == 3
    with pytest.raises(UserError, match="lacks networks with depth, width and resolution all scaled"):
        compound_scaling(table)


def test_every_depth_and_resolution_with_three_widths_is_a_curve():
    figure = width_scaling(trials(*WIDTHS, (3, 1, 1), (3, 1.4, 1)))
    assert legend_of(figure) == ["d = 1, r = 1", "d = 1, r = 1.3", "d = 2, r = 1", "d = 2, r = 1.3"]
    looks = {(line.get_color(), line.get_marker()) for line in figure.axes[0].get_lines()}
    assert len({marker for _, marker in looks if marker != "None"}) >= 4


def test_compound_networks_that_are_beaten_are_not_on_the_line():
    bad = trials((1.3, 1.3, 1.3)).assign(val_accuracy=0.5)
    figure = compound_scaling(pd.concat([trials(*ONE_DIMENSION, *COMPOUND), bad]))
    assert "all three, their frontier" in legend_of(figure)
    (line,) = [line for line in figure.axes[0].get_lines() if line.get_label() == "all three, their frontier"]
    assert len(line.get_xdata()) == 3


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (single_dimension_scaling, "Figure 3 needs .*sweep --family made_up --data DATA --depths"),
        (width_scaling, "0 pairs of depth and resolution here .*train --family made_up --data DATA"),
        (compound_scaling, "Figure 8 lacks the baseline and networks with one of .*--compound"),
    ],
)
def test_what_is_missing_is_said_with_the_command_that_trains_it(draw, message):
    with pytest.raises(UserError, match=message):
        draw(trials(*COMPOUND))


@pytest.mark.parametrize("draw", [single_dimension_scaling, width_scaling, compound_scaling])
def test_step_1_alone_lacks_them_all(draw, whole):
    with pytest.raises(UserError, match="scaling-search"):
        draw(whole.trials[whole.trials["step"] == 1])


def test_a_frame_of_something_else_is_refused():
    with pytest.raises(UserError, match="no column 'depth'"):
        width_scaling(table2())
