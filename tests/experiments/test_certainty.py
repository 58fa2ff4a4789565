"""STEP 1 in rounds, from the config to the tables."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from scaling_search import Recipe, RunConfig, UserError, record, replay_config, resume, run
from scaling_search.analysis.report.words import certainty as words
from scaling_search.store import open_run
from scaling_search.trial import Epoch, Outcome
from tests.pretended import Pretended

pytestmark = pytest.mark.usefixtures("drawn_at_once")

CONFIG = RunConfig(name="sure", data="glyphs:320", seeds=2, steps=(1,), recipe=Recipe(epochs=1), certainty=0.9)


def outcome(spec):
    """An accuracy that differs by network and scatters by seed."""
    own = np.random.default_rng([*spec.network.fingerprint.encode()]).uniform(0.50, 0.52)
    accuracy = float(own + np.random.default_rng([spec.seed, *spec.key.encode()]).normal(0, 0.01))
    curve = (Epoch(1, 10, 0.1, 1.0, accuracy, 1.0),)
    return Outcome("ok", accuracy, 1.0, curve=curve, seconds={"train": 1.0})


def scatter(patch, pretended, cache):
    """Makes trainings of no time whose accuracies scatter, and no pictures."""
    patch.setattr("scaling_search.experiments.study.write_outputs", lambda directory, findings: ())
    patch.setenv("XDG_CACHE_HOME", str(cache))
    patch.setattr("scaling_search.runners.ray.driver.run_on_ray", pretended.run)
    patch.setattr(pretended, "outcome", lambda spec: pretended.trained.append(spec) or outcome(spec))
    return pretended


@pytest.fixture
def scattering(here, monkeypatch):
    return scatter(monkeypatch, Pretended(), here / "cache")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was not interrupted. Not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        scatter(patch, Pretended(), tmp_path_factory.mktemp("cache"))
        return run(replace(CONFIG, runs=str(tmp_path_factory.mktemp("whole"))), progress=None)


def document(findings):
    return open_run(findings.run.path).document("step1")


def test_trainings_go_where_they_matter_until_it_is_sure(whole):
    findings = whole
    certainty, seeds = findings.certainty, findings.run.planned_seeds
    assert certainty.reached and findings.complete and certainty.more == 0
    assert min(seeds.values()) == 2 < max(seeds.values())
    table = findings.step1.drop_duplicates("fingerprint").set_index("fingerprint")
    assert table["seeds"].to_dict() == {name: seeds[name] for name in table.index}
    assert (table["note"] == "").all()
    assert certainty.trainings == sum(seeds.values()) == findings.run.trials["val_accuracy"].notna().sum()
    assert document(findings)["rounds"][-1]["sure"] == pytest.approx(certainty.sure)
    said = re.compile(r"9\d % sure that \(.*\) is within 0.5 points of the best of \d+ networks")
    assert any(said.match(paragraph) for paragraph in words(findings))


def test_a_table_of_such_a_run_repeats_it(whole, scattering, here):
    table = record([whole.run.path], here / "sure.parquet").path
    again = run(replay_config(table, RunConfig), progress=None)
    assert document(again) == document(whole) and again.step1.equals(whole.step1)


def test_a_killed_run_resumes_with_the_same_rounds_and_tables(whole, scattering, monkeypatch):
    half, left = scattering.outcome, iter(range(len(whole.run.trials) - 9))

    def dies(spec):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return half(spec)

    monkeypatch.setattr(scattering, "outcome", dies)
    with pytest.raises(KeyboardInterrupt):
        run(CONFIG, progress=None)
    monkeypatch.setattr(scattering, "outcome", half)
    scattering.trained.clear()
    again = resume("runs/sure", progress=None)
    assert len(scattering.trained) == 9
    assert document(again) == document(whole) and again.step1.equals(whole.step1)
    assert again.certainty == whole.certainty


def test_more_trainings_continue_the_run_and_what_is_unsure_is_said(whole, scattering, capsys):
    from scaling_search.cli.tables import print_findings

    short = run(replace(CONFIG, max_trainings=30), progress=None)
    assert short.certainty.trainings == 30 and not short.certainty.reached and short.complete
    assert short.certainty.doubtful and short.certainty.more > 0
    print_findings(short, "table")
    said = " ".join(capsys.readouterr().out.split())
    assert "after 30 trainings in" in said and "may be better by more than 0.5 points. About" in said
    assert run(replace(CONFIG, max_trainings=1000), progress=None).step1.equals(whole.step1)
    # What is asked for is kept where only STEP 2 is asked for next.
    assert open_run(short.run.path).config().max_trainings == 1000


def test_too_few_trainings_for_the_first_round_are_refused_before_training(scattering):
    with pytest.raises(UserError, match="first round alone takes"):
        run(replace(CONFIG, max_trainings=5), progress=None)
    assert not scattering.trained


def test_a_table_is_replayed_with_the_seeds_that_it_has(scattering, here, capsys):
    six = run(replace(CONFIG, name="six", seeds=6, certainty=None), progress=None)
    table = record([six.run.path], here / "six.parquet").path
    scattering.trained.clear()
    config = replace(replay_config(table, RunConfig), name="replayed", certainty=0.99, seeds=2)
    findings = run(config)
    seeds = findings.run.planned_seeds
    assert not scattering.trained
    assert 2 <= min(seeds.values()) <= max(seeds.values()) == 6
    assert findings.run.exhausted and not findings.certainty.reached and findings.complete
    assert "could not get more trainings: the table has none" in capsys.readouterr().err
    both = findings.run.trials.merge(six.run.trials, on="key")
    assert len(both) == len(findings.run.trials)
    assert both["val_accuracy_x"].equals(both["val_accuracy_y"])


def test_runs_of_before_have_no_rounds(scattering):
    findings = run(replace(CONFIG, certainty=None), progress=None)
    assert findings.certainty is None and "rounds" not in document(findings)
    manifest = findings.run.path / "manifest.json"
    tree = json.loads(manifest.read_text())
    for name in ("certainty", "within", "max_trainings"):
        del tree["config"][name]
    del tree["checksum"]
    manifest.write_text(json.dumps(tree))
    assert resume(findings.run.path, progress=None).step1.equals(findings.step1)
    assert run(CONFIG, progress=None).certainty.reached
