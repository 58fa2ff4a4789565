"""Trainings that are stopped and taken up again, to the bit as if they had not been, and what damage does to that."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from flax import nnx

from scaling_search.config import RunConfig, Split
from scaling_search.data import prepare
from scaling_search.places import inside, place_of
from scaling_search.recipe import Recipe
from scaling_search.rule import Scale
from scaling_search.search.candidates import network_at, specs_of
from scaling_search.training import one_by_one, so_far
from scaling_search.training.checkpoints import Checkpoints, Series, curve_so_far
from scaling_search.training.fit import train_group
from scaling_search.training.kept import Keep
from scaling_search.training.so_far import TrainingStopped
from scaling_search.training.together import train_together
from scaling_search.trial import Outcome
from tests.faults.small_run import SmallFamily
from tests.runners.observing import wait_until

STEPS = 5
"""Steps of an epoch."""
MOVED = Recipe(epochs=4, batch_size=16, evaluate_every=1, learning_rate=2.0, augment="shift_flip", shift=1 / 12)
RECIPES = {
    "moved": MOVED,
    "mixed": dataclasses.replace(MOVED, mixup=0.2, erasing=0.5),
    "early stopping": dataclasses.replace(MOVED, patience=3, held_out=0.02, optimiser="sgd"),
}
RESIDENT = ("moved", "early stopping")
"""With their images on the device, where seeds are trained together: an epoch is one program, and whole."""

FAMILY = SmallFamily()
SPLIT = Split(validation=0.2, test=0.1)


def specs_with(images, recipe, seeds=1):
    config = RunConfig(recipe=recipe, split=SPLIT, seeds=max(seeds, 2))
    return specs_of(network_at(FAMILY, Scale(), 3, name="small"), config, images.identity)[:seeds]


def trained(specs, images, checkpoints=None, keep=None):
    return list(train_group(specs, images, FAMILY, keep, checkpoints))


def one_at_a_time(images, specs, folder, checkpoints=None):
    return trained(specs, images, checkpoints, Keep(folder, images.classes, specs[0].recipe))


def together(images, specs, folder, checkpoints=None):
    keep = Keep(folder, images.classes, specs[0].recipe)
    prepared = prepare(images, SPLIT, 12, "validation", specs[0].recipe)

    def build(seed):
        return FAMILY.build(Scale(), 3, rngs=nnx.Rngs(seed))

    try:
        return train_together(specs, prepared, build, keep=keep, checkpoints=checkpoints)
    except TrainingStopped:
        return [Outcome("stopped") for _ in specs]


def numbers(outcomes):
    """What of outcomes is no time and no memory."""
    measured = {"seconds": {}, "peak_memory": None, "images_per_second": None}
    return [dataclasses.replace(outcome, **measured) for outcome in outcomes]


def checkpoints_in(folder):
    """As often as can be, however short a training is."""
    (folder / "checkpoints").mkdir()
    (folder / "curves").mkdir()
    checkpoints = Checkpoints(folder / "checkpoints", every=0, least=0, curves=folder / "curves")
    checkpoints.go_on()
    return checkpoints


@pytest.fixture
def checkpoints(tmp_path):
    return checkpoints_in(tmp_path)


@pytest.fixture
def stop_after(monkeypatch):
    """Has trainings stop after so many looks at whether they should."""
    monkeypatch.setattr(so_far, "LOOK_SECONDS", -1)

    def stop_after(looks):
        left = iter(range(looks))
        monkeypatch.setattr(Checkpoints, "stop_asked", lambda self: next(left, None) is None)

    yield stop_after


def folders(tmp_path):
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
        yield tmp_path / name


@pytest.mark.parametrize("way", [one_at_a_time, together])
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_training_that_was_stopped_ends_as_one_that_was_not_to_the_bit(
    way, recipe, images, checkpoints, stop_after, tmp_path, monkeypatch
):
    monkeypatch.setattr(so_far, "TELL_SECONDS", 0)
    whole, parts = folders(tmp_path)
    specs = specs_with(images, RECIPES[recipe], seeds=2)
    expected = way(images, specs, whole)
    # In the middle of the second epoch, where that can be.
    stop_after(3 if way is together and recipe in RESIDENT else STEPS + 3)
    assert [outcome.status for outcome in way(images, specs, parts, checkpoints)] == ["stopped", "stopped"]
    stop_after(10**6)
    outcomes = way(images, specs, parts, checkpoints)
    assert numbers(outcomes) == numbers(expected)
    assert {outcome.status for outcome in outcomes} == {"ok"}
    for spec, outcome in zip(specs, outcomes, strict=True):
        name = f"{spec.key}.safetensors"
        assert (parts / name).read_bytes() == (whole / name).read_bytes()
        told, images_per_second = curve_so_far(checkpoints.curves, spec.key)
        assert told and told == list(outcome.curve[: len(told)]) and images_per_second > 0


def test_checkpoints_elsewhere_are_one_object_each_and_give_the_same_numbers(
    images, stop_after, tmp_path, memory_store
):
    whole, parts = folders(tmp_path)
    specs = specs_with(images, MOVED, seeds=2)
    expected = one_at_a_time(images, specs, whole)
    checkpoints = Checkpoints(place_of("memory://bucket/checkpoints"), every=0, least=0)
    stop_after(3 * STEPS + 3)
    assert {outcome.status for outcome in one_at_a_time(images, specs, parts, checkpoints)} == {"stopped"}
    # The last two of the first seed; the second one had not begun.
    folder = checkpoints.of(specs[0].key)
    assert [file.name for file in inside(folder)] == [f"{2 * STEPS}.tar", f"{3 * STEPS}.tar"]
    assert checkpoints.held() == 1 and checkpoints.size() == sum(file.stat().st_size for file in inside(folder))
    last = folder / f"{3 * STEPS}.tar"
    last.write_bytes(last.read_bytes()[:3000])
    stop_after(10**6)
    outcomes = one_at_a_time(images, specs, parts, checkpoints)
    assert f"checkpoint {last} cannot be read" in outcomes[0].note
    assert numbers([dataclasses.replace(one, note=None) for one in outcomes]) == numbers(expected)
    for spec in specs:
        checkpoints.remove(spec.key)
    assert checkpoints.held() == 0 and not memory_store


@pytest.fixture(scope="module")
def killed_once(images, tmp_path_factory):
    """A spec whose training was killed in its fourth epoch, the outcome it would have had, and where it left what."""
    folder = tmp_path_factory.mktemp("killed")
    checkpoints = checkpoints_in(folder)
    (spec,) = specs_with(images, MOVED)
    expected = one_at_a_time(images, [spec], folder)
    batches, series = one_by_one.training_batches, Series(checkpoints.of(spec.key))

    def dying(*args, **options):
        if options["epoch"] == 4:
            # What is being written is there by then.
            wait_until(lambda: series.numbers() == [3 * STEPS, 2 * STEPS], seconds=20)
            raise KeyboardInterrupt
        return batches(*args, **options)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(one_by_one, "training_batches", dying)
        trained([spec], images, checkpoints)
    return spec, expected, checkpoints.of(spec.key)


@pytest.fixture
def killed(killed_once, checkpoints):
    """The spec, the outcome it would have had, and its checkpoints in a folder of this test's own."""
    spec, expected, left = killed_once
    shutil.copytree(left, checkpoints.of(spec.key))
    return spec, expected


def test_a_training_that_was_killed_goes_on_from_its_last_checkpoint(killed, images, checkpoints, monkeypatch):
    spec, expected = killed
    epochs = []
    batches = one_by_one.training_batches
    monkeypatch.setattr(
        one_by_one,
        "training_batches",
        lambda *args, **options: epochs.append(options["epoch"]) or batches(*args, **options),
    )
    assert numbers(trained([spec], images, checkpoints)) == numbers(expected)
    assert epochs == [4]


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def cut_off(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize("damage", [flip, cut_off])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(damage, killed, images, checkpoints):
    spec, expected = killed
    folder = checkpoints.of(spec.key)
    last, before = Series(folder).numbers()
    assert (last, before) == (3 * STEPS, 2 * STEPS)
    for file in folder.glob(f"{last}/arrays/**/d/*"):
        damage(file)
    (outcome,) = trained([spec], images, checkpoints)
    assert str(folder / str(last)) in outcome.note and f"the one after {before} steps was used" in outcome.note
    assert numbers([dataclasses.replace(outcome, note=None)]) == numbers(expected)


def test_without_a_checkpoint_that_is_whole_training_begins_anew(killed, images, checkpoints):
    spec, expected = killed
    folder = checkpoints.of(spec.key)
    for number in Series(folder).numbers():
        (folder / str(number) / "about" / "metadata").write_text('{"format": 1}')
    (outcome,) = trained([spec], images, checkpoints)
    assert outcome.note.count("does not match its checksum") == 2 and outcome.note.endswith("training began anew")
    assert numbers([dataclasses.replace(outcome, note=None)]) == numbers(expected)


def test_another_kind_of_device_goes_on_and_says_so(killed, images, checkpoints, monkeypatch):
    spec, _ = killed
    made = so_far.made_here
    monkeypatch.setattr(one_by_one, "made_here", lambda *args, **more: made(*args, **more) | {"device": "TPU v9"})
    (outcome,) = trained([spec], images, checkpoints)
    assert outcome.status == "ok" and "went on after 15 steps with device TPU v9" in outcome.note


def test_a_checkpoint_that_cannot_be_written_is_noted_and_training_goes_on(images, checkpoints, monkeypatch):
    def full(*_):
        raise ValueError("RESOURCE_EXHAUSTED: Error: x: No space left on device [os_error_code='28'] [more='y']")

    monkeypatch.setattr(Series, "write", full)
    (spec,) = specs_with(images, MOVED)
    (outcome,) = trained([spec], images, checkpoints)
    folder = checkpoints.of(spec.key)
    assert outcome.status == "ok"
    assert outcome.note == f"a checkpoint could not be written to {folder}: No space left on device"


def test_short_trainings_write_none(images, checkpoints, stop_after):
    (spec,) = specs_with(images, MOVED)
    checkpoints = dataclasses.replace(checkpoints, least=60)
    assert [outcome.status for outcome in trained([spec], images, checkpoints)] == ["ok"]
    stop_after(STEPS)
    assert [outcome.status for outcome in trained([spec], images, checkpoints)] == ["stopped"]
    assert not checkpoints.of(spec.key).exists()


def test_the_last_two_are_kept_and_their_size_is_known(killed, checkpoints):
    assert len(Series(checkpoints.of(killed[0].key)).numbers()) == 2
    assert checkpoints.size() > 10_000
    checkpoints.remove(killed[0].key)
    assert checkpoints.size() == 0
    checkpoints.settle()
    assert not checkpoints.folder.exists()


def test_seeds_go_on_side_by_side_from_where_all_of_them_had_come_to(images, checkpoints, stop_after, tmp_path):
    specs = specs_with(images, MOVED, seeds=3)
    stop_after(3)
    together(images, specs[:2], tmp_path, checkpoints)
    assert so_far.at_one_point(checkpoints, specs) == [[*specs[:2]], [*specs[2:]]]
    assert so_far.at_one_point(checkpoints, specs[2:] * 2) == [[*specs[2:] * 2]]


def test_orders_are_what_was_last_said(checkpoints):
    assert not checkpoints.stop_asked()
    checkpoints.stop()
    assert checkpoints.stop_asked()
    checkpoints.go_on()
    assert not checkpoints.stop_asked()


def test_nothing_of_a_checkpoint_is_a_pickle(killed, checkpoints, monkeypatch):
    import pickle

    folder = checkpoints.of(killed[0].key)
    about = json.loads((folder / str(3 * STEPS) / "about" / "metadata").read_text())
    assert about["key"] == killed[0].key and len(about["digest"]) == 64
    monkeypatch.setattr(pickle, "loads", None)
    monkeypatch.setattr(pickle, "load", None)
    arrays, _ = Series(folder).read(3 * STEPS)
    assert {array.dtype for array in arrays.values()} <= {np.dtype(name) for name in ("f4", "f8", "i4", "u4")}


@pytest.mark.parametrize(("seconds", "are_long"), [(0.5, True), (0.01, False)])
def test_long_steps_are_told_from_short_ones(seconds, are_long, images, checkpoints, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(so_far.time, "monotonic", lambda: now[0])
    keeper = so_far.Keeper(checkpoints, specs_with(images, MOVED), {})
    while now[0] < 103:
        now[0] += seconds
        keeper.asked_to_stop()
    assert keeper.long_steps is are_long
