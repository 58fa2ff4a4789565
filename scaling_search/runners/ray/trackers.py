"""Ray Tune's callbacks for TensorBoard, MLflow and Weights & Biases, told of each training as a trial of its own.

To Tune, a trial is a group of trainings that share a compiled program, and each of them one result. What a person wants
to see is a training, with a point for each epoch.
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.logger import LoggerCallback

from scaling_search.config import Tracker, to_dict
from scaling_search.errors import in_one_line
from scaling_search.runners.ray.worker import GROUP, NUMBER, OUTCOME
from scaling_search.runners.tracking import Tracking
from scaling_search.training.checkpoints import curve_so_far, forget_curve
from scaling_search.trial import Epoch, Spec

LOOK_SECONDS = 2.0
"""How often it is looked at how trainings go on."""


class LogTrainings(Callback):
    """Hands each training to the trackers, an epoch at a time. A tracker that fails is left out from then on."""

    def __init__(self, tracking: Tracking, note: Callable[[str], None]) -> None:
        self._tracking = tracking
        self._note = note
        self._loggers: dict[Tracker, LoggerCallback] = {}
        self._told: dict[str, int] = {}
        """By key, how many epochs of a training under way the trackers have."""
        self._ended: set[str] = set()
        self._looked = time.monotonic()

    def setup(self, *arguments: Any, **info: Any) -> None:
        """Tune starts."""
        self._tracking.curves.mkdir(exist_ok=True)
        for tracker in self._tracking.trackers:
            with self._left_out_on_failure(tracker):
                self._tracking.folder(tracker).mkdir(exist_ok=True)
                logger = _MAKE[tracker](self._tracking)
                logger.setup(*arguments, **info)
                self._loggers[tracker] = logger

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Tune has waited for a moment: hands over what trainings have come to."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        for trial in trials:
            for spec in trial.config[GROUP] if trial.status == Trial.RUNNING else ():
                curve, images_per_second = curve_so_far(self._tracking.curves, spec.key)
                if curve and spec.key not in self._ended:
                    self._tell(spec, curve, images_per_second)
        self._looked = time.monotonic()

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """A training has ended."""
        spec, outcome = trial.config[GROUP][result[NUMBER]], result[OUTCOME]
        if outcome.status == "stopped":
            return
        self._tell(spec, outcome.curve, outcome.images_per_second)
        self._end(spec, failed=outcome.status != "ok")

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Tune ends."""
        for spec in [spec for trial in trials for spec in trial.config[GROUP] if spec.key in self._told]:
            # It was to end before its time. Where it is taken up again, all of it is written anew.
            self._end(spec, failed=True)
        for tracker, logger in list(self._loggers.items()):
            with self._left_out_on_failure(tracker):
                logger.on_experiment_end(trials, **info)
        with suppress(OSError):
            self._tracking.curves.rmdir()

    def _tell(self, spec: Spec, curve: Sequence[Epoch], images_per_second: float | None) -> None:
        """Hands over those epochs that are new; a training that was begun anew repeats the first ones."""
        told = self._told.get(spec.key)
        for tracker, logger in list(self._loggers.items()):
            with self._left_out_on_failure(tracker):
                training = self._training(spec, tracker)
                if told is None:
                    _FORGET[tracker](self._tracking, training)
                    logger.log_trial_start(training)  # type: ignore[arg-type]
                for epoch in curve[told or 0 :]:
                    metrics = _metrics(epoch, images_per_second)
                    logger.log_trial_result(epoch.epoch, training, metrics)  # type: ignore[arg-type]
        self._told[spec.key] = max(told or 0, len(curve))

    def _end(self, spec: Spec, *, failed: bool) -> None:
        self._told.pop(spec.key, None)
        self._ended.add(spec.key)
        forget_curve(self._tracking.curves, spec.key)
        for tracker, logger in list(self._loggers.items()):
            with self._left_out_on_failure(tracker):
                logger.log_trial_end(self._training(spec, tracker), failed=failed)  # type: ignore[arg-type]

    def _training(self, spec: Spec, tracker: Tracker) -> "Training":
        training = Training(spec, self._tracking.folder(tracker))
        # TensorBoard takes each folder for a run. The others have all runs in one place.
        return replace(training, folder=training.folder / str(training)) if tracker == "tensorboard" else training

    @contextmanager
    def _left_out_on_failure(self, tracker: Tracker) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            # The run's own records are what counts, and Tune would end the run.
            self._loggers.pop(tracker, None)
            self._note(f"nothing more is written to {tracker}: {in_one_line(error)}")


@dataclass(frozen=True)
class Training:
    """A training as Tune's callbacks take a trial."""

    spec: Spec
    folder: Path
    """For its files."""

    def __str__(self) -> str:
        network = self.spec.network
        scale = f"d{network.scale.depth:.3g} w{network.scale.width:.3g} {network.input_resolution}px"
        words = f"{network.family} {scale} seed{self.spec.seed} {self.spec.evaluate} {self.spec.key[:6]}"
        return re.sub(r"[^A-Za-z0-9.]+", "-", words)

    @property
    def trial_id(self) -> str:
        """A name that no other training has."""
        return self.spec.key

    @property
    def experiment_dir_name(self) -> str:
        """What trainings are grouped by: their network."""
        return self.spec.network.fingerprint

    @property
    def local_path(self) -> str:
        """The folder for its files."""
        return str(self.folder)

    def init_local_path(self) -> None:
        """Makes the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def config(self) -> dict[str, Any]:
        """What decides the outcome, flat, without what is not set."""
        network = self.spec.network
        given = {
            "family": network.family,
            "options": " ".join(network.options),
            **asdict(network.scale),
            **{name: getattr(network, name) for name in ("input_resolution", "parameters", "multiply_adds")},
            "data": self.spec.data,
            "seed": self.spec.seed,
            "evaluate": self.spec.evaluate,
            **{f"recipe.{name}": value for name, value in to_dict(self.spec.recipe).items()},
            **{f"split.{name}": value for name, value in to_dict(self.spec.split).items()},
        }
        return {name: value for name, value in given.items() if value is not None}

    @property
    def evaluated_params(self) -> dict[str, Any]:
        """The same, as TensorBoard's hyperparameters."""
        return self.config


def _metrics(epoch: Epoch, images_per_second: float | None) -> dict[str, Any]:
    """A point of a learning curve under the names that Tune's callbacks look for."""
    values = asdict(epoch) | {"training_iteration": epoch.epoch, "images_per_second": images_per_second}
    return {name: value for name, value in values.items() if value is not None}


def _tensorboard(tracking: Tracking) -> LoggerCallback:
    from ray.tune.logger import TBXLoggerCallback

    return TBXLoggerCallback()


def mlflow_store(tracking: Tracking) -> str:
    """The address of a run's MLflow store: a database in a file, as MLflow 3 refuses a folder of files."""
    return f"sqlite:///{tracking.folder('mlflow') / 'mlflow.db'}"


def _mlflow(tracking: Tracking) -> LoggerCallback:
    # Before it is imported: unless told otherwise, it reports its use to its makers.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    return MLflowLoggerCallback(mlflow_store(tracking), experiment_name=tracking.run.name)


def _wandb(tracking: Tracking) -> LoggerCallback:
    from ray.air.integrations.wandb import WandbLoggerCallback

    # Without it, the callback asks for a key to the service.
    os.environ["WANDB_MODE"] = "offline"
    folder = str(tracking.folder("wandb"))
    return WandbLoggerCallback(project="scaling-search", mode="offline", dir=folder)


def _forget_in_mlflow(tracking: Tracking, training: "Training") -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=mlflow_store(tracking))
    experiment = client.get_experiment_by_name(tracking.run.name)
    for run in client.search_runs([experiment.experiment_id], f"tags.trial_name = '{training}'") if experiment else ():
        client.delete_run(run.info.run_id)


def _forget_in_wandb(tracking: Tracking, training: "Training") -> None:
    for folder in tracking.folder("wandb").glob(f"wandb/offline-run-*-{training.trial_id}"):
        shutil.rmtree(folder)


_MAKE: dict[Tracker, Callable[[Tracking], LoggerCallback]] = {
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
    "wandb": _wandb,
}

_FORGET: dict[Tracker, Callable[[Tracking, Training], None]] = {
    "tensorboard": lambda tracking, training: shutil.rmtree(training.folder, ignore_errors=True),
    "mlflow": _forget_in_mlflow,
    "wandb": _forget_in_wandb,
}
"""Remove what was written of a training that was ended before its time, as another run of Tune takes it up again."""
