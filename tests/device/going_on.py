"""Trainings at several rates together, stopped and gone on with: `going_on.py EPOCHS`.

Two seeds at two learning rates of a network of STEP 1 of the default run are trained in one program; one of them again
alone; and all of them once more, stopped early and then gone on with. Prints one JSON object:
the largest differences of the curves' losses, relative to these, between together and alone, and between stopped and
not; and after how many of the steps they were stopped.
"""

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import jax

from scaling_search.config import RunConfig
from scaling_search.data import load
from scaling_search.family import load_family
from scaling_search.search.grid import lay_out
from scaling_search.training import so_far
from scaling_search.training.checkpoints import Checkpoints
from scaling_search.training.fit import train_group
from scaling_search.trial import Outcome, Spec


@dataclass(frozen=True)
class StoppedAfter(Checkpoints):
    """Has trainings end after so many looks at whether they shall: on an accelerator there is one an epoch."""

    left: Iterator[int] = field(default_factory=lambda: iter(()))

    def stop_asked(self) -> bool:
        """Whether they have been looked at often enough."""
        return next(self.left, None) is None


def losses(outcomes: Sequence[Outcome]) -> list[list[float]]:
    """The mean loss of each epoch, of each training."""
    return [[point.train_loss for point in outcome.curve] for outcome in outcomes]


def apart(given: Sequence[Outcome], right: Sequence[Outcome]) -> float:
    """The largest difference of two trainings' losses, relative to the second's."""
    pairs = zip(losses(given), losses(right), strict=True)
    return max(abs(one - other) / abs(other) for a, b in pairs for one, other in zip(a, b, strict=True))


def main(epochs: int) -> None:
    """Trains them all."""
    config = RunConfig()
    data = load(config.data)
    network = lay_out(load_family(config.family, config.family_options), config, data.num_classes).networks[0]
    recipes = [replace(config.recipe, epochs=epochs, learning_rate=rate) for rate in (0.01, 0.02)]
    specs = [Spec(network, recipe, data.identity, config.split, seed) for recipe in recipes for seed in (0, 1)]
    whole = list(train_group(specs, data))
    alone = list(train_group(specs[-1:], data))
    # Looked at whenever it can be, however short a training is.
    so_far.LOOK_SECONDS = -1.0
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder), every=0, least=0)
        checkpoints.go_on()
        first = list(train_group(specs, data, checkpoints=StoppedAfter(Path(folder), 0, 0, left=iter(range(4)))))
        done = max((int(step.name) for step in Path(folder).glob("*/[0-9]*")), default=0)
        gone_on = list(train_group(specs, data, checkpoints=checkpoints))
    found = {
        "statuses": [outcome.status for outcome in (*whole, *alone)],
        "stopped": [outcome.status for outcome in first],
        "steps_done": done,
        "steps": whole[0].curve[-1].step,
        "alone": apart(alone, whole[-1:]),
        "gone_on": apart(gone_on, whole),
        "device": jax.devices()[0].device_kind,
    }
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
