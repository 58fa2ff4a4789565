"""Experiment trackers that a run can be written to beside its own records: which, and where. Loads none of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from scaling_search.config import Tracker
from scaling_search.errors import UserError

PACKAGES: dict[Tracker, str] = {"tensorboard": "tensorboardX", "mlflow": "mlflow", "wandb": "wandb"}
"""What each needs to be installed."""


@dataclass(frozen=True)
class Tracking:
    """What to write to trackers, each in a folder of its own."""

    trackers: tuple[Tracker, ...]
    run: Path
    """The folder of the run, absolute."""

    def folder(self, tracker: Tracker) -> Path:
        """Where a tracker's files go."""
        return self.run / tracker

    @property
    def curves(self) -> Path:
        """Where trainings that go on write their learning curves."""
        return self.run / "curves"


def check_trackers(trackers: Sequence[str]) -> None:
    """Raises UserError where a tracker is not known or not installed."""
    for name in trackers:
        if name not in PACKAGES:
            raise UserError(f"tracker {name!r} given", f"trackers are {', '.join(PACKAGES)}")
        if find_spec(PACKAGES[name]) is None:
            raise UserError(
                f"--log {name} given, but {PACKAGES[name]} is not installed",
                hint="pip install 'scaling-search[trackers]'",
            )
