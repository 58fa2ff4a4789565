"""Ray Tune's callbacks for TensorBoard, MLflow and Weights & Biases, told of each training as a trial of its own.

To Tune, a trial is a group of trainings that share a compiled program, and each of them one result. What a person wants
to see is a training, with a point for each epoch.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from scaling_search.trial import Epoch, Outcome, Spec


class LogTrainings(Callback):
    """Hands each training to the trackers once it has ended. A tracker that fails is left out from then on."""

    def __init__(self, tracking: Tracking, note: Callable[[str], None]) -> None:
        self._tracking = tracking
        self._note = note
        self._loggers: dict[Tracker, LoggerCallback] = {}

    def setup(self, *arguments: Any, **info: Any) -> None:
        """Tune starts."""
        for tracker in self._tracking.trackers:
            with self._left_out_on_failure(tracker):
                self._tracking.folder(tracker).mkdir(exist_ok=True)
                logger = _MAKE[tracker](self._tracking)
                logger.setup(*arguments, **info)
                self._loggers[tracker] = logger

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """A training has ended."""
        spec, outcome = trial.config[GROUP][result[NUMBER]], result[OUTCOME]
        for tracker, logger in list(self._loggers.items()):
            with self._left_out_on_failure(tracker):
                training = Training(spec, self._tracking.folder(tracker))
                if tracker == "tensorboard":
                    # It takes each folder for a run. The others have all runs in one place.
                    training = replace(training, folder=training.folder / str(training))
                _log(logger, training, outcome)

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Tune ends."""
        for tracker, logger in list(self._loggers.items()):
            with self._left_out_on_failure(tracker):
                logger.on_experiment_end(trials, **info)

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


def _log(logger: LoggerCallback, training: Any, outcome: Outcome) -> None:
    logger.log_trial_start(training)
    for epoch in outcome.curve:
        logger.log_trial_result(epoch.epoch, training, _metrics(epoch))
    logger.log_trial_end(training, failed=outcome.status != "ok")


def _metrics(epoch: Epoch) -> dict[str, Any]:
    """A point of a learning curve under the names that Tune's callbacks look for."""
    values = asdict(epoch) | {"training_iteration": epoch.epoch}
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


_MAKE: dict[Tracker, Callable[[Tracking], LoggerCallback]] = {
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
    "wandb": _wandb,
}
