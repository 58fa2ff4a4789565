"""Which weights a run keeps, under which names, and what becomes of those that it doesn't."""

from dataclasses import replace
from pathlib import Path

import pytest

from scaling_search import (
    Grid,
    Recipe,
    RunConfig,
    SweepConfig,
    TrainConfig,
    replay_config,
    resume,
    run,
    sweep,
    train,
)

pytestmark = pytest.mark.usefixtures("drawn_at_once")

SMALL = {"family": "efficientnet_tiny", "data": "digits", "recipe": Recipe(epochs=1)}


def names(findings):
    """The files that are there, all of which the findings must have."""
    folder = findings.run.path / "weights"
    assert sorted(findings.weights) == sorted(folder.iterdir())
    return [file.name for file in findings.weights]


def seeds_in(findings):
    """The seed of which each file is, by the key that was written into it."""
    of_key = dict(zip(findings.run.trials["key"], findings.run.trials["seed"], strict=True))
    return {file.name: of_key[file.read_text()] for file in findings.weights}


def test_one_seed_is_one_file(here, pretended):
    assert names(train(TrainConfig(**SMALL), progress=None)) == ["network.safetensors"]


def test_several_seeds_are_a_file_each_the_best_first(here, pretended):
    found = train(TrainConfig(**SMALL, seeds=3), progress=None)
    assert seeds_in(found) == {f"network-seed{seed}.safetensors": seed for seed in (2, 1, 0)}
    assert names(found)[0] == "network-seed2.safetensors"


def test_the_report_says_how_to_use_them(here, pretended):
    found = train(TrainConfig(**SMALL, seeds=2), progress=None)
    file = "runs/digits/weights/network-seed1.safetensors"
    line = f"<p>Weights: {file} and 1 more; try scaling-search predict {file} PICTURE</p>"
    assert line in found.report().read_text(encoding="utf-8")


def test_the_best_seed_alone_or_none(here, pretended):
    best = train(TrainConfig(**SMALL, seeds=3, keep="best"), progress=None)
    assert seeds_in(best) == {"network.safetensors": 2}
    none = train(TrainConfig(**SMALL, seeds=3, keep="none", name="none"), progress=None)
    assert none.weights == () and not (none.run.path / "weights").exists()


def test_what_is_kept_is_another_run_s_no_more_than_its_name_is(here, pretended):
    first = train(TrainConfig(**SMALL, seeds=2), progress=None)
    fewer = train(TrainConfig(**SMALL, seeds=2, keep="best"), progress=None)
    assert fewer.run.path == first.run.path and seeds_in(fewer) == {"network.safetensors": 1}
    assert len(pretended.trained) == 2


def test_the_networks_of_a_sweep_are_named_by_what_they_are(here, pretended):
    config = SweepConfig(**SMALL, dims=("w",), widths=(2.0,), scales=("2,1,1.25",))
    assert names(sweep(config, progress=None)) == [
        "baseline.safetensors",
        "width-2.safetensors",
        "given-2-1-1.25.safetensors",
    ]


METHOD = RunConfig(**SMALL, seeds=2, grid=Grid(divisions=2), match="paper", rivals=False, training_budget=1.5e9)


@pytest.fixture
def method(here, pretended):
    return run(METHOD, progress=None)


def test_a_run_keeps_the_best_seed_of_its_winner_and_of_the_models_that_were_measured(method):
    kept = names(method)
    measured = set(method.step2["model"][method.step2["source"] == "measured"])
    models = {name.removesuffix(".safetensors").split("-")[0] for name in kept[1:]}
    assert kept[0].startswith("winner") and "B0" in models and models <= measured
    judged = method.run.trials[method.run.trials["evaluate"] != "test"].set_index("key")
    best = judged.groupby("fingerprint")["seed"].agg(lambda seeds: max(seeds, key=lambda seed: (seed % 1000, seed)))
    assert all(judged["seed"][key] == best[judged["fingerprint"][key]] for key in map(Path.read_text, method.weights))


def test_weights_come_along_with_the_trials_of_another_run(method, pretended):
    trained = len(pretended.trained)
    again = run(replace(METHOD, name="again", reuse=("runs/digits",)), progress=None)
    assert [file.name for file in again.weights] == names(method)
    assert [file.read_text() for file in again.weights] == [file.read_text() for file in method.weights]
    assert len(pretended.trained) == trained


def test_trials_without_weights_are_said_once_and_not_trained_again(here, pretended, capsys):
    config = TrainConfig(**SMALL, seeds=2)
    first = train(config, progress=None)
    for file in first.weights:
        file.unlink()
    capsys.readouterr()
    trained = len(pretended.trained)
    assert train(config).weights == ()
    assert "no weights of network and 1 more" in capsys.readouterr().err
    resume(first.run.path)
    assert "no weights" not in capsys.readouterr().err and len(pretended.trained) == trained


def test_a_replay_keeps_nothing_and_says_nothing(here, capsys):
    found = train(replace(replay_config("tables/fashion_mnist.parquet", TrainConfig), name="replayed"))
    assert found.weights == () and "weights" not in capsys.readouterr().err


def test_names_left_by_a_killed_process_are_set_right(here, pretended):
    config = TrainConfig(**SMALL, seeds=2)
    first = train(config, progress=None)
    before = seeds_in(first)
    for file in first.weights:
        file.rename(file.with_name(f"{file.read_text()}.safetensors"))
    assert seeds_in(train(config, progress=None)) == before
