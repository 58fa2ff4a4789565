"""Runs that go on: what they were started for, where they lie now, by what and on what they were made."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from scaling_search import (
    Recipe,
    RunConfig,
    Split,
    TrainConfig,
    UserError,
    findings_of,
    load_run,
    record,
    replay_config,
    resume,
    run,
    train,
)
from scaling_search.recorded import RecordedTable
from scaling_search.store import open_run, start_run

pytestmark = pytest.mark.usefixtures("drawn_at_once")

TABLE = "tables/fashion_mnist.parquet"
COEFFICIENTS = (1.2, 1.1, 1.15)


def replayed(**changes):
    return replace(replay_config(TABLE, RunConfig), **changes)


def killed_at_once(config):
    """A run that was started and then killed, before anything but its manifest was written."""
    table = RecordedTable(config.replay).manifest() if config.replay else {"data": "none:0"}
    return start_run(config, table["data"]).path


# Steps


def test_a_killed_step_1_resumes_with_step_1_alone(here):
    findings = resume(killed_at_once(replayed(steps=(1,))), progress=None)
    assert findings.step1 is not None and findings.step2 is None
    assert open_run(findings.run.path).config().steps == (1,)


def test_a_killed_step_2_resumes_with_its_own_coefficients_and_no_grid(here):
    findings = resume(killed_at_once(replayed(steps=(2,), coefficients=COEFFICIENTS)), progress=None)
    assert findings.step1 is None and findings.step2 is not None
    directory = open_run(findings.run.path)
    assert tuple(directory.document("step2")["rule"].values()) == COEFFICIENTS
    assert directory.config().coefficients == COEFFICIENTS


def test_step_2_in_the_folder_of_step_1_makes_a_run_of_both(here):
    first = run(replayed(steps=(1,)), progress=None)
    both = run(replayed(steps=(2,)), progress=None)
    assert both.run.path == first.run.path and both.step1.equals(first.step1) and both.step2 is not None
    winner = both.winner
    rule = open_run(both.run.path).document("step2")["rule"]
    assert tuple(rule.values()) == (winner.alpha, winner.beta, winner.gamma)
    assert open_run(both.run.path).config().steps == (1, 2)
    again = resume(both.run.path, progress=None)
    assert again.step2.equals(both.step2)


def test_step_2_without_coefficients_needs_a_step_1(here):
    with pytest.raises(UserError, match=r"no STEP 1 yet.*step1.*--coefficients"):
        run(replayed(steps=(2,)), progress=None)


def test_other_coefficients_in_the_same_folder_are_refused(here):
    run(replayed(steps=(2,), coefficients=COEFFICIENTS), progress=None)
    with pytest.raises(UserError, match=r"coefficients was .* and is now"):
        run(replayed(steps=(2,), coefficients=(1.4, 1.1, 1.1)), progress=None)


# Versions and git


def widths(here, name="widths"):
    return train(replace(replay_config(TABLE, TrainConfig), name=name), progress=None).run.path


def change_manifest(path, **changes):
    directory = open_run(path)
    directory.write_document("manifest", {**directory.manifest(), **changes})


@pytest.mark.parametrize(
    "made_by",
    [
        {"packages": {"jax": "0.1"}},
        {"python": "3.2.1"},
        {"machine": "abacus, 10 CPUs"},
        {"git": {"commit": "0" * 40, "dirty": True}},
    ],
)
def test_going_on_under_other_versions_leaves_a_trace(here, made_by):
    path = widths(here)
    fresh = open_run(path).manifest()
    assert "resumed" not in fresh
    change_manifest(path, **made_by)
    resume(path, progress=None)
    after = open_run(path).manifest()
    (name,) = made_by
    assert after[name] == made_by[name]
    (entry,) = after["resumed"]
    assert entry[name] == fresh[name] and entry["started"]


def test_going_on_under_the_same_versions_leaves_none(here):
    path = widths(here)
    before = (path / "manifest.json").read_bytes()
    resume(path, progress=None)
    assert (path / "manifest.json").read_bytes() == before


# Places


def pictures(folder):
    """A few pictures of two classes."""
    for label, level in (("dark", 40), ("light", 200)):
        (folder / label).mkdir(parents=True)
        for number in range(10):
            Image.fromarray(np.full((8, 8), level + number, np.uint8)).save(folder / label / f"{number}.png")
    return f"folder:{folder}"


def small(data, **changes):
    recipe = Recipe(epochs=1, batch_size=4)
    split = Split(validation=0.2, test=0.2)
    return TrainConfig(family="efficientnet_tiny", data=data, recipe=recipe, split=split, **changes)


def test_images_that_moved_are_known_by_what_they_show(here, pretended, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "cache"))
    config = small(pictures(here / "old"), name="moved")
    first = train(config, progress=None)
    shutil.move(here / "old", here / "new place")
    data = f"folder:{here / 'new place'}"
    with pytest.raises(UserError, match="old"):
        resume(first.run.path, progress=None)
    trained = len(pretended.trained)
    assert resume(first.run.path, data=data, progress=None).sweep.equals(first.sweep)
    assert open_run(first.run.path).config().data == data
    assert resume(first.run.path, progress=None).sweep.equals(first.sweep)
    assert train(replace(config, data=data), progress=None).sweep.equals(first.sweep)
    assert len(pretended.trained) == trained


def test_other_images_are_refused_wherever_they_lie(here, pretended, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "cache"))
    path = train(small(pictures(here / "one"), name="one"), progress=None).run.path
    data = pictures(here / "other")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(here / "other" / "dark" / "0.png")
    with pytest.raises(UserError, match=r"images was .* and is now"):
        resume(path, data=data, progress=None)


@pytest.mark.parametrize("name", ["with a space", "прогон", "実験", "-dash", "a'quote"])
def test_a_run_s_folder_may_be_called_anything(here, name):
    path = widths(here)
    moved = path.rename(here / name)
    before = findings_of(load_run(moved)).sweep
    again = resume(moved, progress=None)
    assert again.run.path == moved and again.sweep.equals(before)
    assert not path.exists()
    table = record([moved], here / "moved.parquet")
    assert {one["key"] for one in table.records()} == {one["key"] for one in open_run(moved).records()}
    assert replay_config(table.path, TrainConfig).recipe == open_run(moved).config().recipe


# Records


def test_a_cut_record_is_passed_over_and_trained_again(here, pretended):
    config = small("digits", name="cut", seeds=2)
    first = train(config, progress=None)
    cut, _ = sorted((first.run.path / "trials").glob("*.json"))
    content = cut.read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    pretended.trained.clear()
    with pytest.warns(UserWarning, match=f"skipped .*{cut.name}"):
        again = train(config, progress=None)
    assert [spec.key for spec in pretended.trained] == [cut.stem]
    assert cut.read_bytes() == content and again.sweep.equals(first.sweep)


def test_options_of_a_later_version_are_refused_in_one_line(here):
    path = widths(here)
    manifest = json.loads((path / "manifest.json").read_text())
    change_manifest(path, config={**manifest["config"], "from_the_future": 1})
    with pytest.raises(UserError, match=r"does not fit this version.*from_the_future"):
        resume(path, progress=None)


def test_a_run_that_another_process_works_on_is_refused(here):
    path = widths(here)
    with open_run(path).locked(), pytest.raises(UserError, match=r"another process is working on .*--name"):
        resume(path, progress=None)
    resume(path, progress=None)
