import dataclasses

import pytest

from scaling_search.analysis import findings_of, load_run
from scaling_search.analysis.findings.frontier import frontier_frame
from scaling_search.analysis.findings.nas import nas_table
from scaling_search.analysis.report.html import report_page
from scaling_search.analysis.text.steps import nas_text
from scaling_search.config import NasConfig, to_dict
from scaling_search.rule import Scale
from scaling_search.store import start_run
from scaling_search.trial import Outcome, Spec, to_record
from tests.analysis.made_up import CONFIG, network_at, outcome_of, spec_of

NETWORKS = [
    dataclasses.replace(network_at(Scale(width=width)), options=(f"architecture=made-up-{number}",))
    for number, width in enumerate((1.0, 1.5, 2.0, 2.5))
]
FULL = CONFIG.recipe.epochs


@pytest.fixture
def run(tmp_path):
    """A search of four: the second is the finalist, the third failed, the fourth was sorted out after one epoch."""
    directory = start_run(NasConfig(name="made-up", runs=str(tmp_path)), "made-up:0")
    results = [(FULL, 0.8, 0.7), (FULL, 0.9, 0.75), (FULL, None, None), (1, 0.95, 0.9), (FULL, 0.8, 0.7)]
    tried = [
        {"batch": 1, "genotype": [0], "network": network.fingerprint, "cost": 5.0, "epochs": epochs}
        | {"accuracy": accuracy, "reward": reward}
        for network, (epochs, accuracy, reward) in zip([*NETWORKS, NETWORKS[0]], results, strict=True)
    ]
    networks = {network.fingerprint: to_dict(network) for network in NETWORKS}
    directory.write_document("nas", {"networks": networks, "tried": tried, "finalists": [tried[1]]})
    short = dataclasses.replace(CONFIG.recipe, epochs=1)
    for network, seeds in zip(NETWORKS[:2], ((0,), (0, 1, 2)), strict=True):
        for seed in seeds:
            directory.write_record(to_record(spec_of(network, seed), outcome_of(network, seed)))
    directory.write_record(to_record(spec_of(NETWORKS[2], 0), Outcome("failed", reason="the training loss was nan")))
    for network in NETWORKS:
        spec = Spec(network, short, "made-up:0", CONFIG.split, 0)
        directory.write_record(to_record(spec, outcome_of(network, 0)))
    return load_run(directory.path)


def test_finalists_lead_then_rewards_then_what_was_sorted_out(run):
    table = nas_table(run)
    assert list(table["architecture"]) == ["made-up-1", "made-up-0", "made-up-2", "made-up-3"]
    assert list(table["rank"]) == [1, 2, 3, 4] and list(table["finalist"]) == [True, False, False, False]
    assert list(table["seeds"]) == [2, 1, 0, 1]
    assert table["reward"].iloc[0] == pytest.approx(table["val_accuracy"].iloc[0] * 0.75 / 0.9)
    assert table["reward"].iloc[3] == 0.9
    assert table["val_accuracy"].iloc[3] == 0.95 and table["low"].isna().iloc[3]
    assert table["val_accuracy"].iloc[0] < table["high"].iloc[0]


def test_shorter_trainings_are_in_no_mean(run):
    assert len(run.trials) == 5
    frontier = frontier_frame(run).set_index("fingerprint")
    assert len(frontier) == 2 and frontier["seeds"].sum() == 3
    assert frontier.loc[NETWORKS[1].fingerprint, "label"] == "made-up-1"


def test_the_picture_shows_each_network(run):
    from scaling_search.analysis.figures import accuracy_against_multiply_adds

    (axes,) = accuracy_against_multiply_adds(findings_of(run)).axes
    assert {bars.get_label(): len(bars[0].get_xdata()) for bars in axes.containers} == {
        "tried from one seed": 1,
        "finalists, from fresh seeds": 1,
    }


def test_a_person_is_shown_the_best(run):
    text = nas_text(nas_table(run))
    assert text.index("made-up-1") < text.index("made-up-0")


def test_a_search_that_has_trained_nothing_has_a_table_too(run):
    nothing = run.nas.assign(finalist=False)
    table = nas_table(dataclasses.replace(run, trials=run.trials.iloc[:0], nas=nothing))
    assert len(table) == 4 and not table["finalist"].any()


def test_the_report_speaks_of_the_search_and_not_of_ratios(run):
    page = report_page(findings_of(run), "scaling-search nas").decode()
    best = nas_table(run).iloc[0]
    assert "Which architecture of mnasnet_tiny makes the best baseline on glyphs?" in page
    assert f"Of 4 architectures made-up-1 has the best reward, {best['reward']:.4f}, with " in page
    assert "STEP" not in page and "depth 1.00" not in page and "search for a baseline" in page
    # One seed of the first, three of the finalist, one that failed; the fourth was sorted out.
    assert "4 of 5 planned trainings have finished; 1 failed." in page
    assert page.count('data-network="' + NETWORKS[1].fingerprint) >= 3


def test_a_network_of_a_batch_that_is_going_on_is_in_the_report(run, tmp_path):
    """The records of a batch are written one by one, `nas.json` only at its end."""
    later = dataclasses.replace(network_at(Scale(width=3.0)), options=("architecture=made-up-9",))
    record = to_record(spec_of(later, 0), outcome_of(later, 0))
    start_run(NasConfig(name="made-up", runs=str(tmp_path)), "made-up:0").write_record(record)
    findings = findings_of(load_run(run.path))
    page = report_page(findings, "scaling-search nas").decode()
    assert len(findings.frontier) == 3 and len(findings.nas) == 4
    assert page.count('data-network="' + later.fingerprint) >= 2 and "other networks" in page


def test_the_report_of_a_search_that_has_just_begun_says_so(run, tmp_path):
    begun = start_run(NasConfig(name="begun", runs=str(tmp_path)), "made-up:0")
    begun.write_document("nas", {"networks": {}, "tried": [], "finalists": []})
    page = report_page(findings_of(load_run(begun.path)), "scaling-search nas").decode()
    assert "There is no answer yet." in page and "The search has not picked its finalists yet" in page
    assert "STEP" not in page
