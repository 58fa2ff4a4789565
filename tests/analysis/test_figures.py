import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from made_up import network_at, outcome_of, spec_of, write_step1, write_step2

from scaling_search.analysis import accuracy_against_multiply_adds, accuracy_against_size, findings_of, load_run
from scaling_search.analysis.figures import render
from scaling_search.analysis.reference.paper import table2
from scaling_search.rule import Grid
from scaling_search.trial import to_record


@pytest.fixture(scope="module")
def figure(findings):
    return accuracy_against_multiply_adds(findings)


def legend_of(figure):
    return {text.get_text() for legend in figure.legends for text in legend.get_texts()}


@pytest.mark.parametrize(("format", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_the_same_figure_gives_the_same_bytes(figure, format, start):
    picture = render(figure, format)
    assert picture.startswith(start) and picture == render(figure, format)


def test_a_notebook_shows_a_figure_at_its_size(figure):
    picture, size = figure._repr_png_()
    assert picture == render(figure, "png")
    assert [size["width"], size["height"]] == pytest.approx(100 * figure.get_size_inches())


def test_a_picture_has_no_date_and_embeds_its_letters(figure):
    svg = render(figure, "svg")
    assert b"<dc:date>" not in svg and b"<text" not in svg
    pdf = render(figure, "pdf")
    assert pdf.startswith(b"%PDF") and b"CreationDate" not in pdf and b"/Type3" not in pdf


def test_measured_and_extrapolated_are_told_apart(figure):
    assert {"found: extrapolated, not trained", "published: extrapolated, not trained"} <= legend_of(figure)
    markers = {bars.get_label(): bars[0] for bars in figure.axes[0].containers}
    assert markers["found: extrapolated, not trained"].get_markerfacecolor() == "white"


def test_the_two_curves_differ_in_more_than_colour(figure):
    drawn = {bars.get_label(): bars[0] for bars in figure.axes[0].containers}
    assert len({drawn[f"{name}: extrapolated, not trained"].get_marker() for name in ("found", "published")}) == 2


def test_no_two_names_of_models_lie_on_each_other(figure):
    figure.draw_without_rendering()
    texts = [text for text in figure.axes[0].texts if text.get_text().startswith("B")]
    boxes = [text.get_window_extent().padded(-1) for text in texts if len(text.get_text()) == 2]
    assert len(boxes) == 15
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


def test_nothing_is_clipped(figure):
    figure.draw_without_rendering()
    tight, width, height = figure.get_tightbbox(), *figure.get_size_inches()
    assert tight.x0 >= 0 and tight.y0 >= 0 and tight.x1 <= width and tight.y1 <= height


def test_title_and_caption_name_images_seeds_and_winner(figure, judgement):
    axes, winner = figure.axes[0], judgement.winner
    caption = " ".join(text.get_text() for text in axes.texts).replace("\n", " ")
    assert "digits" in axes.get_title(loc="left") and "3 seeds" in caption
    assert f"alpha {winner.alpha:.2f}, beta {winner.beta:.2f}" in caption


def test_step_1_alone_and_a_single_seed_can_be_drawn(new_run):
    run = load_run(write_step1(new_run, grid=Grid("coefficients", step=0.1), seeds=(0,)).path)
    figure = accuracy_against_multiply_adds(findings_of(run))
    assert "winner of STEP 1" in legend_of(figure) and render(figure, "svg")


def test_a_frontier_of_one_network_is_no_line_and_has_no_key(new_run):
    network = network_at(Grid("coefficients", step=0.1).rules()[0].at(1.0))
    run = write_step1(new_run, grid=Grid("coefficients", step=0.1), seeds=())
    new_run.write_record(to_record(spec_of(network, 0), outcome_of(network, 0)))
    assert "measured frontier" not in legend_of(accuracy_against_multiply_adds(findings_of(load_run(run.path))))


def test_step_2_alone_can_be_drawn(new_run):
    write_step2(new_run)
    legend = legend_of(accuracy_against_multiply_adds(findings_of(load_run(new_run.path))))
    assert "found coefficients" in legend and "baseline (phi = 0)" not in legend


def test_no_global_setting_of_matplotlib_changes(findings):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    accuracy_against_multiply_adds(findings)
    assert dict(mpl.rcParams) == before


SETTINGS = {
    "text.usetex": True,
    "font.family": "Nope",
    "font.size": 30,
    "savefig.dpi": 20,
    "savefig.bbox": "tight",
    "savefig.transparent": True,
    "figure.facecolor": "black",
    "axes.facecolor": "red",
    "axes.grid": True,
    "axes.formatter.use_mathtext": True,
    "lines.linewidth": 9,
    "path.simplify": False,
    "svg.fonttype": "none",
}


def digest_of_figure():
    return hashlib.sha256(
        b"".join(render(accuracy_against_size(table2()), kind) for kind in ("png", "svg"))
    ).hexdigest()


@pytest.fixture(scope="module")
def usual():
    return digest_of_figure()


def test_settings_of_the_users_own_do_not_enter(usual):
    import matplotlib as mpl

    with mpl.rc_context(SETTINGS):
        assert digest_of_figure() == usual
        assert mpl.rcParams["text.usetex"] and mpl.rcParams["figure.facecolor"] == "black"


def test_neither_a_settings_file_nor_a_backend_of_the_environment_enters(usual, tmp_path):
    """Of a notebook's backend, tests/cli/test_runs.py asks the same."""
    backend = "no such backend"
    file = tmp_path / "matplotlibrc"
    file.write_text("".join(f"{name}: {value}\n" for name, value in SETTINGS.items() if value != "black"))
    code = "from test_figures import digest_of_figure as digest; import os; print(digest(), os.environ['MPLBACKEND'])"
    environment = os.environ | {"MPLBACKEND": backend, "MATPLOTLIBRC": str(file)}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{usual} {backend}"


def test_names_are_text_and_not_formulas(new_run):
    write_step1(new_run, grid=Grid("coefficients", step=0.2), seeds=(0,))
    manifest = new_run.manifest()
    manifest["config"] |= {"family": "a$b_c$", "data": r"folder:/x/$\frac{$/\u4f60"}
    new_run.write_document("manifest", manifest)
    figure = findings_of(load_run(new_run.path)).figure()
    assert render(figure, "png") and "a$b_c$" in figure.axes[0].get_title(loc="left")
