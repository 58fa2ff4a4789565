"""A small run on Ray as a process of its own, to be harmed: `... tests.faults.small_run RUNS [EPOCHS [CORES [HOURS]]]`.

Four trainings of some seconds each, on so many cores, which write checkpoints four times a second however short they
are.
"""

import dataclasses
import sys
from functools import partial

import jax
from flax import nnx

from scaling_search.config import Split, SweepConfig, Workers
from scaling_search.errors import Terminated, UserError
from scaling_search.experiments import outputs, study
from scaling_search.experiments.given_networks import sweep
from scaling_search.recipe import Recipe
from scaling_search.training.checkpoints import Checkpoints
from tests.training.conftest import barred_images

EPOCHS = 400
TABLES = ("trials.csv", "sweep.csv")


class Small(nnx.Module):
    """Has what the state of a training is made of: kernels, statistics, a random stream."""

    def __init__(self, channels, rngs):
        self.conv = nnx.Conv(3, channels, (3, 3), strides=3, rngs=rngs)
        self.norm = nnx.BatchNorm(channels, rngs=rngs)
        self.dropout = nnx.Dropout(0.3, rngs=rngs)
        self.classifier = nnx.Linear(channels * 16, 3, rngs=rngs)

    def __call__(self, images):
        x = jax.nn.relu(self.norm(self.conv(images)))
        return self.classifier(self.dropout(x.reshape(len(x), -1)))


@dataclasses.dataclass(frozen=True)
class SmallFamily:
    name: str = "small"
    resolution: int = 12

    def build(self, scale, num_classes, *, rngs):
        return Small(round(4 * scale.width), rngs)


def config_of(runs, epochs=EPOCHS):
    recipe = Recipe(epochs=epochs, batch_size=16, evaluate_every=10, learning_rate=2.0, augment="shift", mixup=0.2)
    return SweepConfig(
        name="small",
        runs=str(runs),
        dims=("w",),
        widths=(2.0,),
        seeds=2,
        recipe=recipe,
        split=Split(validation=0.2, test=0.1),
        keep="all",
    )


def main(runs, epochs=EPOCHS, cores=1, max_hours=None):
    study.Checkpoints = partial(Checkpoints, least=0)
    # Nobody looks at pictures, which would take longer than a training.
    outputs._drawn = lambda figure, format: b""
    workers = Workers(checkpoint_every=1 / 240, cpus_per_trial=int(cores), max_hours=max_hours)
    sweep(config_of(runs, int(epochs)), family=SmallFamily(), data=barred_images(), workers=workers)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:3], *map(float, sys.argv[3:]))
    except UserError as error:
        sys.exit(f"error: {error}")
    except Terminated as end:
        print(end.line, file=sys.stderr)
        raise
    except KeyboardInterrupt as end:
        print(end, file=sys.stderr)
        sys.exit(130)
