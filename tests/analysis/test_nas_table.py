import dataclasses

import pytest

from analysis.frames import load_run
from analysis.nas import nas_table, nas_text
from analysis.run_outputs import frontier_frame
from scaling_search.config import to_dict
from scaling_search.rule import Scale
from scaling_search.store import start_run
from scaling_search.trial import Spec, to_record
from tests.analysis.made_up import CONFIG, network_at, outcome_of, spec_of

NETWORKS = [
    dataclasses.replace(network_at(Scale(width=width)), options=(f"architecture=made-up-{number}",))
    for number, width in enumerate((1.0, 1.5, 2.0, 2.5))
]
FULL = CONFIG.recipe.epochs


@pytest.fixture
def run(tmp_path):
    """A search of four: the second is the finalist, the third failed, the fourth was sorted out after one epoch."""
    directory = start_run(dataclasses.replace(CONFIG, runs=str(tmp_path)), "made-up:0")
    results = [(FULL, 0.8, 0.7), (FULL, 0.9, 0.75), (FULL, None, None), (1, 0.95, 0.9), (FULL, 0.8, 0.7)]
    tried = [
        {"batch": 1, "genotype": [0], "network": network.fingerprint, "cost": 5.0, "epochs": epochs}
        | {"accuracy": accuracy, "reward": reward}
        for network, (epochs, accuracy, reward) in zip([*NETWORKS, NETWORKS[0]], results, strict=True)
    ]
    document = {
        "networks": {network.fingerprint: to_dict(network) for network in NETWORKS},
        "tried": tried,
        "finalists": [{**tried[1], "reward": 0.6}],
    }
    directory.write_document("nas", document)
    short = dataclasses.replace(CONFIG.recipe, epochs=1)
    for network, seeds in zip(NETWORKS[:2], ((0,), (0, 1, 2)), strict=True):
        for seed in seeds:
            directory.write_record(to_record(spec_of(network, seed), outcome_of(network, seed)))
    for network in NETWORKS:
        spec = Spec(network, short, "made-up:0", CONFIG.split, 0)
        directory.write_record(to_record(spec, outcome_of(network, 0)))
    return load_run(directory.path), document


def test_finalists_lead_then_rewards_then_what_was_sorted_out(run):
    table = nas_table(*run)
    assert list(table["architecture"]) == ["made-up-1", "made-up-0", "made-up-2", "made-up-3"]
    assert list(table["rank"]) == [1, 2, 3, 4] and list(table["finalist"]) == [True, False, False, False]
    assert list(table["seeds"]) == [3, 1, 0, 1]
    assert table["reward"].iloc[0] == 0.6 and table["reward"].iloc[3] == 0.9
    assert table["val_accuracy"].iloc[3] == 0.95 and table["low"].isna().iloc[3]
    assert table["val_accuracy"].iloc[0] < table["high"].iloc[0]


def test_shorter_trainings_are_in_no_mean(run):
    frames, _ = run
    assert len(frames.trials) == 4
    frontier = frontier_frame(frames).set_index("fingerprint")
    assert len(frontier) == 2 and frontier["seeds"].sum() == 4
    assert frontier.loc[NETWORKS[1].fingerprint, "label"] == "made-up-1"


def test_the_picture_shows_each_network(run):
    from analysis.figures import accuracy_against_multiply_adds

    (axes,) = accuracy_against_multiply_adds(run[0], None, None).axes
    (bars,) = axes.containers
    assert len(bars[0].get_xdata()) == 2


def test_a_person_is_shown_the_best(run):
    text = nas_text(nas_table(*run))
    assert text.index("made-up-1") < text.index("made-up-0")


def test_a_search_that_has_trained_nothing_has_a_table_too(run):
    frames, document = run
    empty = dataclasses.replace(frames, trials=frames.trials.iloc[:0])
    table = nas_table(empty, {**document, "finalists": []})
    assert len(table) == 4 and not table["finalist"].any()
