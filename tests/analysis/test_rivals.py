import dataclasses

import numpy as np
import pytest
from made_up import CONFIG, network_at, network_of, outcome_of, spec_of, step1_document
from scipy import stats

from scaling_search.analysis import findings_of, judge, load_run
from scaling_search.analysis.findings.rivals import rivals_table
from scaling_search.analysis.report.tables import tables_of
from scaling_search.analysis.report.words import answer, certainty
from scaling_search.analysis.statistics.means import seed_means
from scaling_search.analysis.text.steps import findings_text
from scaling_search.config import to_dict
from scaling_search.rule import Grid
from scaling_search.search.rivals import RIVALS
from scaling_search.trial import to_record

NOTE = "costs are matched with a standard deviation of 0.009 in log2"


def document(**growth):
    """A step 1 whose networks are said to cost the same, with rivals, one of which is a network of the grid."""
    tree = step1_document(Grid("coefficients", step=0.1))
    growth = {"layers": 1.5, "channels": None, "pixels": 1.1, "realised_cost": 2.0, "target_cost": 2.0} | growth
    tree["points"] = [point | growth for point in tree["points"]]
    tree["notes"] = [NOTE]
    tree["rivals"] = []
    for name, rule in RIVALS.items():
        network = network_at(rule.at(1.0))
        tree["networks"].setdefault(network.fingerprint, to_dict(network))
        tree["rivals"].append(
            {"rival": name, **to_dict(rule), "cost_factor": 2.0, **growth, "network": network.fingerprint}
            | {"rejected": "too dear" if name == "width alone" else None}
        )
    return tree


def write(directory, tree, untrained=()):
    directory.write_document("step1", tree)
    for name, network in tree["networks"].items():
        if name not in untrained:
            for seed in CONFIG.all_seeds:
                made = network_of(network)
                directory.write_record(to_record(spec_of(made, seed), outcome_of(made, seed)))
    return load_run(directory.path)


@pytest.fixture
def run(new_run):
    return write(new_run, document(), untrained=[network_at(RIVALS["width alone"].at(1.0)).fingerprint])


def test_a_rival_differs_from_the_winner_by_its_mean_with_an_interval_over_paired_seeds(run):
    findings = findings_of(run)
    table = findings.rivals.set_index("rival")
    means = seed_means(run.trials[run.trials["step"] == 1])
    row = table.loc["resolution alone"]
    gap = means.table["val_accuracy"][row["fingerprint"]] - findings.winner.val_accuracy
    assert row["difference"] == pytest.approx(gap)
    if not means.unlike:
        half = stats.t.ppf(0.975, means.df) * np.sqrt(means.variance * 2 / 3)
        assert row["difference_high"] - row["difference_low"] == pytest.approx(2 * half)
    assert table.loc["width alone", "note"] == "too dear" and np.isnan(table.loc["width alone", "difference"])
    assert (run.trials["step"] == 1).all()


def test_a_rival_that_is_the_winner_does_not_differ(run):
    judgement = judge(run.points, run.trials)
    rivals = run.rivals.assign(fingerprint=judgement.winner.fingerprint, rejected=None)
    table = rivals_table(rivals, run.trials, judgement.winner)
    assert (table[["difference", "difference_low", "difference_high"]] == 0).all(axis=None)
    assert set(table["note"]) == {"its own network"}


def test_a_rival_cannot_win(run):
    judgement = judge(run.points, run.trials)
    assert set(judgement.table["fingerprint"]) == set(run.points["fingerprint"][run.points["phi"] != 0])


def test_of_networks_of_equal_cost_the_most_accurate_wins(run):
    matched = judge(run.points, run.trials)
    assert matched.matched and matched.winner.val_accuracy == matched.table["val_accuracy"].max()
    rounded = judge(run.points.assign(target_cost=np.nan), run.trials)
    assert not rounded.matched
    tied = rounded.table[rounded.table["tie"]]
    assert rounded.winner.multiply_adds == tied["multiply_adds"].min()


def test_rules_of_the_winners_network_are_named_together(whole):
    several = whole.points["fingerprint"].value_counts().index[0]
    lucky = whole.trials["val_accuracy"].mask(whole.trials["fingerprint"] == several, 0.999)
    findings = findings_of(dataclasses.replace(whole, trials=whole.trials.assign(val_accuracy=lucky)))
    rules = findings.step1[findings.step1["fingerprint"] == several]
    assert findings.winner.fingerprint == several and len(findings.judgement.same_network) == len(rules) - 1 > 1
    said = next(line for line in certainty(findings) if line.endswith("are the same network."))
    assert said.count("(") == len(rules)
    assert said in " ".join(findings_text(findings).split())


def test_text_and_report_show_rivals_notes_and_what_is_realised(run):
    findings = findings_of(run)
    text = findings_text(findings)
    assert all(name in text for name in RIVALS) and "too dear" in text
    assert "most accurate of" in answer(findings) or "ahead of the rest" in answer(findings)
    assert certainty(findings)[0] == "Costs are matched with a standard deviation of 0.009 in log2."
    tables = {table.key: table for table in tables_of(findings)}
    assert [row.cells[0].text for row in tables["rivals"].rows] == list(RIVALS)
    names = [name for name, _ in tables["step1"].columns]
    cells = tables["step1"].rows[0].cells
    assert [cells[names.index(name)].text for name in ("layers", "channels", "pixels")] == ["1.50x", "-", "1.10x"]
    assert "depth alone" in findings.names.values()
    assert "depth alone" in set(findings.frontier["label"])


def test_a_missing_rival_is_said_to_be(new_run):
    run = write(new_run, document(), untrained=[network_at(RIVALS["dWr"].at(1.0)).fingerprint])
    findings = findings_of(run)
    assert findings.rivals.set_index("rival").loc["dWr", "note"] == "not trained"
    assert findings.progress.finished < findings.progress.planned


def test_documents_of_versions_that_recorded_nothing_of_this_still_load(step1_run, whole):
    run = load_run(step1_run.path)
    assert run.rivals.empty and run.notes == () and findings_of(run).rivals is None
    grid = run.points[run.points["phi"] != 0]
    assert grid[["layers", "channels", "pixels", "target_cost"]].isna().all(axis=None)
    baseline = run.points["multiply_adds"].iloc[-1]
    assert (grid["realised_cost"] == grid["multiply_adds"] / baseline).all()
    assert (whole.models["realised_cost"] == whole.models["multiply_adds"] / baseline).all()
