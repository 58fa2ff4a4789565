import numpy as np
import pandas as pd
import pytest
from made_up import step2_document
from made_up_shares import PEAK, document, write

from scaling_search.analysis import findings_of, judge, load_run
from scaling_search.analysis.figures import render
from scaling_search.analysis.findings.region import grown_over, in_region
from scaling_search.analysis.report.html import report_page
from scaling_search.analysis.report.words import answer, certainty
from scaling_search.analysis.text.region import claim_text, region_text
from scaling_search.analysis.text.steps import findings_text
from scaling_search.errors import UserError
from scaling_search.rule import CompoundRule
from scaling_search.search.rivals import RIVALS


@pytest.fixture
def run(new_run):
    return write(new_run, document())


@pytest.fixture
def findings(run):
    return findings_of(run)


def test_the_winner_is_the_rule_nearest_to_the_centre_of_a_region_that_holds_the_optimum(findings):
    judgement = findings.judgement
    assert judgement.by_region and judgement.matched and judgement.surface.networks == 12
    assert judgement.surface.optimum == pytest.approx(PEAK, abs=0.051)
    assert in_region(np.array([PEAK]), judgement.surface).all()
    assert judgement.winner.fingerprint == "33-33-33" and findings.winner == judgement.winner
    assert judgement.best.val_accuracy == judgement.table["val_accuracy"].max()
    assert judgement.table.loc[judgement.table["leads"], "fingerprint"].unique().tolist() == ["33-33-33"]
    assert judgement.on_edge == ()


def test_rivals_count_in_the_surface_but_do_not_win(run):
    judgement = judge(run.points, run.trials)
    assert judgement.surface.networks == 10
    assert set(judgement.table["fingerprint"]) == set(run.points["fingerprint"][run.points["phi"] != 0])


def test_the_answer_is_the_same_in_words_in_text_and_report(findings):
    text = " ".join(findings_text(findings).split())
    said = region_text(findings.judgement)
    assert said in text and said in certainty(findings)
    assert "The best shares of growth lie, at 95 %, among" in said and "No dimension alone is in it." in said
    assert "Representative rule: alpha 1.2599, beta 1.1225, gamma 1.1225" in text and "answer" in text
    assert "the rule that stands for them, alpha 1.2599" in answer(findings)
    claim = "depth alone, width alone and resolution alone are less accurate than the rule found."
    assert claim_text(findings.rivals).endswith(claim) and claim in text


def test_the_claim_tells_what_is_worse_from_what_cannot_be_told(findings):
    def said(low, high):
        return claim_text(findings.rivals.assign(difference_low=low, difference_high=high))

    assert "cannot be told from the rule found" in said(-0.1, 0.1) and "more accurate than it" in said(0.1, 0.2)
    assert "are that rule" in said(0.0, 0.0) and said(np.nan, np.nan) == ""
    compound = findings.rivals["rival"].isin(["equal shares", "paper's rule", "dWr"])
    assert claim_text(findings.rivals[compound]) == ""


def test_where_shares_do_not_matter_anything_goes(new_run):
    findings = findings_of(write(new_run, document(), curvature=0.0, noise=0.01))
    assert findings.judgement.surface.region.all() and findings.judgement.table["in_region"].all()
    assert region_text(findings.judgement).startswith("Anything goes: no shares of growth are ruled out")


def test_a_single_dimension_in_the_region_is_named(new_run):
    judgement = findings_of(write(new_run, document(), peak=(0.0, 0.0, 1.0), curvature=0.1)).judgement
    assert judgement.winner.fingerprint == "0-0-100"
    assert "Resolution alone may be as good." in region_text(judgement)


def test_a_rule_outside_the_region_is_said_to_be(new_run):
    judgement = findings_of(write(new_run, document(divisions=2), noise=0.0005)).judgement
    assert not judgement.table["in_region"].any() and "--grid.divisions" in region_text(judgement)


def test_too_few_networks_have_no_region_and_the_best_leads(new_run):
    findings = findings_of(write(new_run, document(divisions=2, rivals={})))
    judgement = findings.judgement
    assert judgement.surface is None and not judgement.by_region and judgement.winner == judgement.best
    assert "that takes 8 finished networks" in region_text(judgement) and "Winner: " in findings_text(findings)
    with pytest.raises(UserError, match="no region of best shares"):
        findings.figure("triangle")


def test_runs_that_recorded_no_shares_are_judged_by_their_best_network(run):
    none = dict.fromkeys(("depth_share", "width_share", "resolution_share"), np.nan)
    judgement = judge(run.points.assign(**none), run.trials, rivals=run.rivals.assign(**none))
    assert not judgement.by_region and judgement.winner == judgement.best
    # The rules' own shares make the surface, which is only told of.
    assert judgement.surface.networks == 12 and not judgement.table["in_region"].any()


def test_all_rules_of_one_network_lead_together_and_the_nearest_names_it(new_run):
    tree = document()
    same = next(row for row in tree["points"] if row["network"] == "33-0-67")
    twin = next(row for row in tree["points"] if row["network"] == "33-33-33")
    same |= {name: twin[name] for name in ("network", "depth_share", "width_share", "resolution_share")}
    judgement = findings_of(write(new_run, tree)).judgement
    assert judgement.table["leads"].sum() == 2 and len(judgement.same_network) == 1
    assert (judgement.winner.alpha, judgement.winner.beta) == (twin["alpha"], twin["beta"])


def test_step_2_carries_the_spread_of_the_region_on(run, new_run):
    winner = findings_of(run).winner
    new_run.write_document("step2", step2_document(CompoundRule(winner.alpha, winner.beta, winner.gamma)))
    findings = findings_of(load_run(new_run.path))
    table, surface = findings.step2, findings.judgement.surface
    b3 = table[(table["model"] == "B3") & (table["coefficients"] == "found")].iloc[0]
    low, high = surface.ends[:, 0]
    assert (b3["layers_low"], b3["layers_high"]) == pytest.approx((2 ** (3 * low), 2 ** (3 * high)))
    assert grown_over(surface, 3.0)["pixels"] == pytest.approx((b3["pixels_low"], b3["pixels_high"]))
    others = table[(table["coefficients"] == "published") | (table["model"] == "B0")]
    assert others[["layers_low", "pixels_high"]].isna().all(axis=None)
    assert f"B3: {b3['layers_low']:.2f}-{b3['layers_high']:.2f}x layers" in findings_text(findings)


def test_the_triangle_shows_every_network_the_region_and_the_rivals(findings):
    figure = findings.figure("triangle")
    axes = figure.axes[0]
    words = " ".join(text.get_text() for text in axes.texts)
    assert all(name in words for name in RIVALS) and render(figure, "svg")
    points = {line.get_label(): line.get_xydata() for line in axes.get_lines()}
    assert len(points["network"]) == 12 and len(points["representative rule"]) == 1
    assert points["centre of the region"][0] == pytest.approx([0.45 + 0.2 / 2, 0.2 * 3**0.5 / 2], abs=0.06)


def test_the_report_draws_the_same_triangle(findings):
    page = report_page(findings, "scaling-search run").decode()
    drawn = page.split('<figure class="figure" id="triangle">')[1].split("</figure>")[0]
    assert drawn.count('class="point"') == 12 and "shares of growth 33/33/33" in drawn
    assert all(name.replace("'", "&#39;") in drawn for name in RIVALS)
    assert 'class="line solid"' in drawn and drawn.count('class="shade"') > 2


def test_the_table_has_the_shares_of_every_point(findings):
    names = ["depth_share", "width_share", "resolution_share"]
    for table in (findings.step1, findings.rivals):
        assert isinstance(table, pd.DataFrame) and table[names].sum(axis=1).to_numpy() == pytest.approx(1)
