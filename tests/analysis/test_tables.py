import csv
import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_up import BASELINE_COST, CONFIG, outcome_of, step2_document, write_step1

from scaling_search.analysis import findings_of, judge, load_run, published_table, step2_table
from scaling_search.analysis.text import steps
from scaling_search.analysis.text.region import region_text
from scaling_search.analysis.text.step1 import separation_text, step1_text
from scaling_search.analysis.text.steps import step2_text
from scaling_search.analysis.text.tables import render
from scaling_search.analysis.text.words import short
from scaling_search.errors import UserError
from scaling_search.rule import Grid
from scaling_search.trial import Outcome

FRAME = pd.DataFrame(
    {
        "network": ["efficientnet_b0", "vgg, the large"],
        "multiply_adds": [385_814_752, 19_632_112_640],
        "parameters": [5_288_548, 143_667_240],
        "memory": [3 * 2**30, 2**20],
        "val_accuracy": [0.93149, np.nan],
        "low": [0.924, np.nan],
        "high": [0.9381, np.nan],
        "tie": [True, False],
        "seeds": pd.array([3, None], dtype="Int64"),
    }
)


def test_json_is_a_list_of_objects_with_the_columns_names_and_null_for_nan():
    first, second = json.loads(render(FRAME, "json"))
    assert list(first) == list(FRAME.columns)
    assert first["multiply_adds"] == 385_814_752 and first["val_accuracy"] == 0.93149 and first["tie"] is True
    assert second["val_accuracy"] is None and second["seeds"] is None and second["tie"] is False


def test_json_of_no_rows_is_an_empty_list_and_infinity_is_null():
    assert render(FRAME[:0], "json") == "[]"
    assert json.loads(render(pd.DataFrame({"x": [np.inf, 1.5]}), "json")) == [{"x": None}, {"x": 1.5}]


def test_csv_reads_back_with_every_digit():
    again = pd.read_csv(io.StringIO(render(FRAME, "csv")))
    assert again["val_accuracy"].equals(FRAME["val_accuracy"])
    assert list(csv.reader(io.StringIO(render(FRAME, "csv"))))[2][0] == "vgg, the large"
    assert not render(FRAME, "csv").endswith("\n")


def test_a_table_shortens_counts_and_joins_an_accuracy_with_its_interval():
    text = render(FRAME, "table")
    for cell in ("386M", "5.29M", "19.6B", "144M", "3,072 MiB", "93.1 (92.4-93.8)"):
        assert cell in text
    assert "low" not in text and "nan" not in text.lower()


def test_a_table_is_plain_text_that_nothing_cuts_off():
    wide = pd.concat([FRAME["network"].rename(f"column_{i}") + " " * i + "x" * 20 for i in range(20)], axis=1)
    text = render(wide)
    assert "\x1b" not in text and "…" not in text and text.isascii()
    assert text.count("x" * 20) == 40
    assert "[bold]" in render(pd.DataFrame({"note": ["[bold] :smile:"]}))


def test_another_format_is_refused():
    with pytest.raises(UserError, match=r"'xml' given.*table, json, csv"):
        render(FRAME, "xml")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        *((0, "0"), (999, "999"), (999.7, "1.00K"), (5_288_548, "5.29M"), (9.996e6, "10.0M"), (385_814_752, "386M")),
        *((999.6e6, "1.00B"), (1.83e9, "1.83B"), (3.7e10, "37.0B"), (126_822, "127K"), (3e12, "3.00T")),
    ],
)
def test_counts_have_three_digits(count, text):
    assert short(count) == text


def test_step_1_names_winner_and_tie_in_words(judgement):
    text, winner = step1_text(judgement), judgement.winner
    assert f"Winner: alpha {winner.alpha:.2f}, beta {winner.beta:.2f}, gamma {winner.gamma:.2f}" in text
    assert f"The winner is the cheapest of {len(judgement.ties)} networks tied at 95 %" in " ".join(text.split())
    assert text.count("leads\n") == 1 and "not the draw of its images" in " ".join(text.split())


def test_step_1_says_how_many_seeds_more_it_takes_and_where_the_optimum_lies(judgement):
    text, apart = " ".join(step1_text(judgement).split()), judgement.separation
    gap, low, high = (f"{100 * value:.2f}" for value in (apart.gap, apart.low, apart.high))
    assert f"differ by {gap} points (95 % interval {low} to {high})" in text
    assert f"{apart.seeds} seeds each ({apart.seeds - 3} more) would separate them with 80 % probability" in text
    assert f"at the interval's upper end {apart.fewest} would do, and if they are equal no number would" in text
    assert region_text(judgement) in text


def test_what_would_tell_the_leaders_apart_is_said_where_seeds_can(judgement):
    def said(**values):
        return separation_text(replace(judgement, separation=replace(judgement.separation, **values)))

    assert "10,000 seeds each would not separate them; at" in said(seeds=None, more=None)
    assert said(seeds=None, more=None, fewest=None).endswith("10,000 seeds each would not separate them.")
    alone = replace(judgement, separation=None)
    assert "no more seeds are needed" in separation_text(alone)
    unsure = replace(alone, winner=replace(alone.winner, low=float("nan")))
    assert "With one seed a network" in separation_text(unsure)
    only = alone.table[alone.table["fingerprint"] == alone.winner.fingerprint]
    assert "no rival to be compared with yet" in separation_text(replace(alone, table=only))


def test_step_1_has_a_line_a_point_and_the_numbers_of_a_network_once(judgement):
    lines = step1_text(judgement).split("\n\n")[0].splitlines()[3:]
    assert len(lines) == 39
    assert sum("%" in line or "(" in line for line in lines) == judgement.table["fingerprint"].nunique()


def test_step_tables_fit_a_terminal_of_120_columns(judgement, step2):
    texts = step1_text(judgement), step2_text(step2)
    assert max(len(line) for text in texts for line in text.splitlines()) <= 120


def test_step_1_lists_refusals_and_failures_below(new_run):
    def outcome(network, seed):
        return outcome_of(network, seed) if network.fingerprint != "10x64@19" else Outcome("failed", reason="loss nan")

    refusal = "150,000,000 multiply-adds are more than --target-flops 140,000,000"
    run = write_step1(new_run, outcome=outcome, refused=lambda n: refusal if n.multiply_adds > 140e6 else None)
    frames = load_run(run.path)
    text = step1_text(judge(frames.points, frames.trials))
    assert "[1] 0 of 3 seeds finished; failed: loss nan" in text and f"[2] refused by equation 2: {refusal}" in text
    assert max(map(len, text.splitlines())) <= 120


def test_step_1_without_a_tie_or_intervals_says_neither(new_run):
    frames = load_run(write_step1(new_run, grid=Grid("coefficients", step=0.1), seeds=(0,)).path)
    text = step1_text(judge(frames.points, frames.trials))
    assert "tie" not in text and "With one seed a network" in text and "nan" not in text and "differ by" not in text


def test_finer_grids_show_all_their_digits(new_run):
    frames = load_run(write_step1(new_run, grid=Grid("coefficients", step=0.125), seeds=(0, 1)).path)
    assert "1.125" in step1_text(judge(frames.points, frames.trials))


def test_step_2_marks_each_extrapolated_row_and_no_other(step2):
    lines = step2_text(step2).splitlines()[3:19]
    assert sum("measured, 3 seeds" in line for line in lines) == (step2["source"] == "measured").sum()
    assert [("~" in line) for line in lines] == ["extrapolated" in line for line in lines]
    assert sum("extrapolated" in line for line in lines) == (step2["source"] == "extrapolated").sum()


def test_step_2_has_found_and_published_on_adjacent_rows(step2):
    lines = step2_text(step2).splitlines()[3:19]
    assert [line.split()[0] for line in lines[::2]] == [f"B{i}" for i in range(8)]
    assert all("found" in line for line in lines[::2]) and all("published" in line for line in lines[1::2])


def test_step_2_says_below_why_a_model_has_no_accuracy(new_run):
    new_run.write_document("step2", step2_document(budget=4 * BASELINE_COST))
    run = load_run(new_run.path)
    text = step2_text(step2_table(run.models, run.trials))
    assert "none [1]" in text and "none [2]" in text and "~" not in text
    assert "[1] not trained yet" in text and "[2] not predicted: 0 different network sizes" in text


def test_the_test_split_speaks_for_itself(whole, new_run):
    assert steps.tested_text(findings_of(load_run(new_run.path)).tested) is None
    text = steps.tested_text(findings_of(whole).tested)
    assert "50.1 (49.9-50.3) % top-1 over 3 seeds" in text
    assert len(CONFIG.all_seeds) == 3


def test_published_models_do_not_follow_equation_3():
    table = published_table().set_index("model")
    b4 = table.loc["efficientnet_b4"]
    assert (b4["depth"], b4["width"], b4["input_resolution"]) == (1.8, 1.4, 380)
    assert b4["equation_depth"] == pytest.approx(1.2**4) and b4["equation_input_resolution"] == 392
    assert b4["effective_phi_depth"] == pytest.approx(np.log(1.8) / np.log(1.2))
    assert table["phi"].tolist()[:8] == list(range(8))
    assert table.loc[["efficientnet_b8", "efficientnet_l2"], "equation_depth"].isna().all()
    assert table.loc["efficientnet_b0", table.columns.str.startswith("effective_phi")].eq(0).all()
    assert json.loads(render(published_table(), "json"))[9]["equation_input_resolution"] is None


def test_a_winner_on_the_edge_of_the_grid_is_reported(judgement):
    assert judgement.on_edge == tuple(
        name
        for name in ("alpha", "beta", "gamma")
        if getattr(judgement.winner, name) == judgement.table[name].max() > judgement.table[name].min()
    )
    one, two, none = (
        " ".join(step1_text(replace(judgement, on_edge=names)).split()) for names in (("beta",), ("alpha", "gamma"), ())
    )
    assert "its beta is the largest that the grid offers, and a larger value may be better" in one
    assert "--grid.alpha-max and --grid.gamma-max" in two and "edge of the grid: its" not in none
