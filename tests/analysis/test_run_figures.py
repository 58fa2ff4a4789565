import numpy as np
import pandas as pd
import pytest

from scaling_search.analysis import error_distributions, learning_curves, load_run, step1_grid
from scaling_search.analysis.statistics.means import run_means
from scaling_search.errors import UserError


def everything_inside(figure):
    figure.draw_without_rendering()
    tight, width, height = figure.get_tightbbox(), *figure.get_size_inches()
    return tight.x0 >= 0 and tight.y0 >= 0 and tight.x1 <= width and tight.y1 <= height


def legend_of(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_every_network_has_a_learning_curve_that_is_the_mean_over_seeds(whole):
    figure = learning_curves(whole.curves, whole.trials)
    loss, accuracy = (axes.get_lines() for axes in figure.axes[:2])
    networks = whole.trials["fingerprint"][whole.trials["val_accuracy"].notna()].unique()
    assert len(loss) == len(accuracy) == len(networks)
    last = sorted(line.get_ydata()[-1] for line in accuracy)
    assert last == pytest.approx(sorted(100 * run_means(whole.trials)["val_accuracy"]))
    assert everything_inside(figure)


def test_larger_networks_have_lighter_lines(whole):
    figure = learning_curves(whole.curves, whole.trials)
    shades = [sum(line.get_color()[:3]) for line in figure.axes[0].get_lines()]
    assert shades == sorted(shades) and shades[0] < shades[-1]


def test_a_single_network_can_be_drawn(whole):
    trials = whole.trials[whole.trials["fingerprint"] == whole.trials["fingerprint"].iloc[0]]
    assert len(learning_curves(whole.curves, trials).axes[0].get_lines()) == 1


def test_without_trials_there_are_no_curves(new_run):
    run = load_run(new_run.path)
    with pytest.raises(UserError, match="no trial here has a learning curve"):
        learning_curves(run.curves, run.trials)


def test_the_grid_shows_every_point_once_on_the_constraint(judgement):
    figure = step1_grid(judgement)
    points = figure.axes[0].collections[0]
    assert len(points.get_offsets()) == len(judgement.table) == 39
    growth = np.log(judgement.table["cost_factor"]).mean()
    beta, gamma = points.get_offsets().T
    # What is left for alpha is between the smallest and the largest of the grid.
    left = np.log(beta) * 2 + np.log(gamma) * 2
    assert (growth - left > -1e-9).all() and (growth - left < np.log(1.4) * 1.1).all()
    assert everything_inside(figure)


def test_the_grid_marks_ties_winner_and_the_papers_rule(judgement):
    assert legend_of(step1_grid(judgement)) == ["tied with the best", "winner", "the paper's"]
    (star,) = [each for each in step1_grid(judgement).axes[0].collections if each.get_label() == "winner"]
    assert len(star.get_offsets()) == 1


def test_labels_of_the_surface_keep_off_the_points(judgement):
    axes = step1_grid(judgement).axes[0]
    axes.get_figure().draw_without_rendering()
    labels = [text for text in axes.texts if text.get_text().replace(".", "").isdigit()]
    places = axes.transData.transform(axes.collections[0].get_offsets())
    middles = [axes.transData.transform(label.get_position()) for label in labels]
    assert len(labels) > 3
    # A marker is 8 points across; the label is written over none.
    pixels = axes.get_figure().dpi / 72
    assert all(np.linalg.norm(places - middle, axis=1).min() > 4 * pixels for middle in middles)


def test_distributions_name_their_networks_and_step_from_0_to_1(whole):
    networks = run_means(whole.trials)
    figure = error_distributions({"one": networks, "other": networks[:5], "none": networks[:0]})
    least, mean = 100 * (1 - networks["val_accuracy"].max()), 100 * (1 - networks["val_accuracy"].mean())
    assert legend_of(figure)[0] == f"one: {len(networks)} networks, least {least:.1f} %, mean {mean:.1f} %"
    assert len(legend_of(figure)) == 2 and everything_inside(figure)
    for line in figure.axes[0].get_lines():
        assert (line.get_ydata()[0], line.get_ydata()[-1]) == (0, 1)
    assert len({line.get_linestyle() for line in figure.axes[0].get_lines()}) == 2


def test_populations_without_an_accuracy_are_refused():
    with pytest.raises(UserError, match="no network here has an accuracy"):
        error_distributions({"none": pd.DataFrame({"val_accuracy": [np.nan]})})
