import json
import shutil

import numpy as np
import pytest
from made_up import network_at, spec_of

from scaling_search import RunConfig, UserError
from scaling_search.analysis.findings.two_runs import compare_runs
from scaling_search.analysis.text.runs import two_runs_text
from scaling_search.rule import Scale
from scaling_search.store import RunDirectory, start_run
from scaling_search.trial import Outcome, to_record

NETWORKS = [network_at(Scale(depth)) for depth in (1.0, 2.0, 3.0)]


def a_run(folder, name, accuracy, *, seeds=(0, 1, 2), networks=NETWORKS, **options):
    """A run with the accuracy that `accuracy(network index, seed)` gives."""
    run = start_run(RunConfig(name=name, runs=str(folder), **options), "made-up:0")
    for index, network in enumerate(networks):
        for seed in seeds:
            run.write_record(to_record(spec_of(network, seed), Outcome("ok", accuracy(index, seed), 0.3)))
    return run.path


def test_the_same_run_twice_is_the_same_to_the_bit(whole_run, tmp_path):
    copy = shutil.copytree(whole_run.path, tmp_path / "copy")
    two = compare_runs(whole_run.path, copy)
    assert two.settings == ()
    assert two.only_first == two.only_second == 0
    assert two.shared_trials == two.identical_trials == len(two.first.trials)
    assert (two.networks["difference"] == 0).all() and two.mean_difference[0] == 0
    assert "asked for the same" in two_runs_text(two)


def test_seeds_that_confirm_the_winner_are_compared_too(tmp_path):
    first, second = (a_run(tmp_path, name, lambda index, seed: 0.5 + 0.01 * seed) for name in ("first", "second"))
    for path in (first, second):
        spec = spec_of(NETWORKS[0], 1000)
        RunDirectory(path).write_record(to_record(spec, Outcome("ok", 0.6, 0.3)))
    two = compare_runs(first, second)
    assert two.first.trials["fresh_accuracy"].notna().sum() == 1
    assert two.shared_trials == two.identical_trials == 10


def test_differences_are_the_second_less_the_first(tmp_path):
    first = a_run(tmp_path, "first", lambda index, seed: 0.5 + 0.1 * index + 0.01 * seed)
    second = a_run(tmp_path, "second", lambda index, seed: 0.6 + 0.1 * index + 0.01 * seed, seeds=(1, 2, 3))
    two = compare_runs(first, second)
    assert two.networks["difference"].to_numpy() == pytest.approx([0.11] * 3)
    assert two.shared_trials == 6 and two.identical_trials == 0
    assert two.mean_difference[0] == pytest.approx(0.11)


def test_networks_of_one_run_alone_are_counted(tmp_path):
    first = a_run(tmp_path, "first", lambda index, seed: 0.5 + 0.01 * seed)
    second = a_run(tmp_path, "second", lambda index, seed: 0.5 + 0.01 * seed, networks=NETWORKS[:1])
    two = compare_runs(first, second)
    assert (len(two.networks), two.only_first, two.only_second) == (1, 2, 0)


def test_what_was_asked_differently_is_named(tmp_path):
    first = a_run(tmp_path, "first", lambda index, seed: 0.5 + 0.01 * seed)
    second = a_run(tmp_path, "second", lambda index, seed: 0.5 + 0.01 * seed, phi=2.0)
    manifest = json.loads((second / "manifest.json").read_text())
    RunDirectory(second).write_document("manifest", {**manifest, "python": "3.99"})
    settings = compare_runs(first, second).settings
    assert "phi was 1.0 and is now 2.0" in settings
    assert any(line.startswith("python was") for line in settings)
    assert not any(line.startswith(("name", "runs")) for line in settings)


def test_intervals_of_equal_networks_cover_no_difference(tmp_path):
    rng = np.random.default_rng(0)
    many = [network_at(Scale(depth, width)) for depth in range(1, 11) for width in range(1, 11)]
    noise = rng.normal(0, 0.02, (2, len(many), 3))
    paths = [
        a_run(tmp_path, name, lambda i, seed, of=of: float(0.6 + noise[of, i, seed % 10]), networks=many, seeds=seeds)
        for of, (name, seeds) in enumerate([("first", (0, 1, 2)), ("second", (10, 11, 12))])
    ]
    table = compare_runs(*paths).networks
    covered = (table["difference_low"] <= 0) & (table["difference_high"] >= 0)
    assert 0.88 <= covered.mean() <= 1.0


def test_one_seed_gives_a_difference_without_an_interval(tmp_path):
    paths = [a_run(tmp_path, name, lambda index, seed: 0.5, seeds=(0,)) for name in ("first", "second")]
    assert compare_runs(*paths).networks["difference_low"].isna().all()


def test_a_run_without_a_finished_training_is_refused(tmp_path, new_run):
    with pytest.raises(UserError, match="no finished training"):
        compare_runs(new_run.path, new_run.path)
