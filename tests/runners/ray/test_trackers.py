"""Trackers, each told of two trainings of a group by Ray's own callbacks, and read back."""

import struct

import pytest
from ray.tune.experiment import Trial

from scaling_search.errors import UserError
from scaling_search.runners.ray import trackers
from scaling_search.runners.ray.trackers import LogTrainings, Training
from scaling_search.runners.ray.worker import GROUP, NUMBER, OUTCOME
from scaling_search.runners.tracking import PACKAGES, Tracking, check_trackers
from scaling_search.training.checkpoints import write_curve
from scaling_search.trial import Epoch, Outcome
from tests.runners.fake_training import seeds_of

SPECS = tuple(seeds_of("mine", 0, 1))
CURVE = (Epoch(1, 10, 0.5, 2.0), Epoch(2, 20, 0.25, 1.0, accuracy=0.75, loss=0.5))


class GroupOfTwo:
    """A trial of Tune, as far as it is looked at."""

    status = Trial.RUNNING
    config = {GROUP: SPECS}  # noqa: RUF012


def logged(tracker, run):
    """What a person was told, after two trainings were handed over, the second of which failed in its second epoch."""
    notes = []
    callback = LogTrainings(Tracking((tracker,), run), notes.append)
    callback.setup()
    outcomes = (Outcome("ok", accuracy=0.75, curve=CURVE), Outcome("failed", curve=CURVE[:1]))
    for number, outcome in enumerate(outcomes):
        callback.on_trial_result(number, [], GroupOfTwo, {OUTCOME: outcome, NUMBER: number})
    callback.on_experiment_end([])
    return notes


def steps_of(file):
    """(tag, step, value) in order, of an events file: length, its checksum, an event, its checksum, and so on."""
    from tensorboardX.proto.event_pb2 import Event

    content = file.read_bytes()
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        event = Event.FromString(content[12 : 12 + length])
        content = content[16 + length :]
        yield from ((value.tag, event.step, value.simple_value) for value in event.summary.value if value.tag[0] == "r")


def scalars_of(file):
    """{(tag, step): value}."""
    return {(tag, step): value for tag, step, value in steps_of(file)}


def test_tensorboard_has_a_curve_for_each_training(tmp_path):
    assert logged("tensorboard", tmp_path) == []
    folders = sorted((tmp_path / "tensorboard").iterdir())
    assert [folder.name.rpartition("-")[0] for folder in folders] == [
        f"mine-d1-w1-8px-seed{seed}-validation" for seed in (0, 1)
    ]
    whole, failed = (scalars_of(next(folder.glob("events.*"))) for folder in folders)
    assert whole["ray/tune/accuracy", 2] == 0.75 and ("ray/tune/accuracy", 1) not in whole
    assert [whole["ray/tune/train_loss", epoch] for epoch in (1, 2)] == [2.0, 1.0]
    assert [whole["ray/tune/learning_rate", epoch] for epoch in (1, 2)] == [0.5, 0.25]
    assert failed["ray/tune/train_loss", 1] == 2.0 and ("ray/tune/train_loss", 2) not in failed


def after_looks_at(curves, run, monkeypatch):
    """The callback of a session that has looked at a training once for each curve it had by then."""
    monkeypatch.setattr(trackers, "LOOK_SECONDS", 0)
    callback = LogTrainings(Tracking(("tensorboard",), run), pytest.fail)
    callback.setup()
    for curve in curves:
        write_curve(run / "curves", SPECS[0].key, curve, 30.0)
        callback.on_step_end(0, [GroupOfTwo])
    return callback


def test_epochs_are_logged_once_as_they_end(tmp_path, monkeypatch):
    # Its process died after the second epoch, and it began anew.
    callback = after_looks_at([CURVE[:1], CURVE, CURVE[:1]], tmp_path, monkeypatch)
    last = Epoch(3, 30, 0.125, 0.5, accuracy=1.0, loss=0.25)
    callback.on_trial_result(0, [], GroupOfTwo, {OUTCOME: Outcome("ok", curve=(*CURVE, last)), NUMBER: 0})
    callback.on_step_end(0, [GroupOfTwo])
    callback.on_experiment_end([GroupOfTwo])
    (file,) = (tmp_path / "tensorboard").glob("*/events.*")
    told = [value for tag, _, value in steps_of(file) if tag == "ray/tune/train_loss"]
    assert told == [2.0, 1.0, 0.5]
    assert scalars_of(file)["ray/tune/images_per_second", 1] == 30
    assert not (tmp_path / "curves").exists()


def test_a_training_that_another_session_takes_up_is_written_anew(tmp_path, monkeypatch):
    after_looks_at([CURVE[:1]], tmp_path, monkeypatch).on_experiment_end([GroupOfTwo])
    after_looks_at([CURVE], tmp_path, monkeypatch).on_experiment_end([GroupOfTwo])
    (file,) = (tmp_path / "tensorboard").glob("*/events.*")
    assert [step for tag, step, _ in steps_of(file) if tag == "ray/tune/train_loss"] == [1, 2]


def test_mlflow_has_a_run_for_each_training(tmp_path):
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    assert logged("mlflow", tmp_path) == []
    client = MlflowClient(tracking_uri=trackers.mlflow_store(Tracking(("mlflow",), tmp_path)))
    experiment = client.get_experiment_by_name(tmp_path.name)
    runs = {run.data.params["seed"]: run for run in client.search_runs([experiment.experiment_id])}
    assert {seed: run.info.status for seed, run in runs.items()} == {"0": "FINISHED", "1": "FAILED"}
    assert runs["0"].data.metrics["accuracy"] == 0.75 and "accuracy" not in runs["1"].data.metrics
    assert [one.value for one in client.get_metric_history(runs["0"].info.run_id, "train_loss")] == [2.0, 1.0]
    assert runs["0"].data.params["recipe.batch_size"] == "32"


def test_a_tracker_that_fails_is_left_out_and_said_once(tmp_path, monkeypatch):
    def full(training):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Training, "init_local_path", full)
    (note,) = logged("tensorboard", tmp_path)
    assert "nothing more is written to tensorboard" in note and "No space left" in note


def test_hyperparameters_are_flat_and_set():
    config = Training(SPECS[1], None).config
    assert config["seed"] == 1 and config["recipe.epochs"] == SPECS[1].recipe.epochs
    assert all(isinstance(value, str | int | float) for value in config.values())


def test_a_tracker_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setitem(PACKAGES, "wandb", "no_such_package")
    with pytest.raises(UserError, match=r"no_such_package is not installed; pip install 'scaling-search\[trackers\]'"):
        check_trackers(["wandb"])
    with pytest.raises(UserError, match="trackers are tensorboard, mlflow, wandb"):
        check_trackers(["comet"])
