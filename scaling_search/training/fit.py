"""Trains one network: the seeds of a spec's network, after each other on a CPU and together elsewhere."""

import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import groupby

import jax
from flax import nnx

from scaling_search.data import ImageData, Prepared, prepare
from scaling_search.family import Family, load_family, with_options
from scaling_search.networks.initialise import on_host
from scaling_search.training.ahead import Ahead
from scaling_search.training.checkpoints import Checkpoints
from scaling_search.training.hosts import any_of_them, first
from scaling_search.training.kept import Keep
from scaling_search.training.one_by_one import Ready, make_ready, one_after_another
from scaling_search.training.optimiser import starting
from scaling_search.training.so_far import TrainingStopped, at_one_point
from scaling_search.training.step import Build
from scaling_search.training.together import within_memory
from scaling_search.trial import Outcome, Spec
from scaling_search.uncollected import uncollected
from scaling_search.weights.files import read_arrays
from scaling_search.weights.transfer import import_weights, namings_of


def train_group(
    specs: Sequence[Spec],
    data: ImageData,
    family: Family | None = None,
    keep: Keep | None = None,
    checkpoints: Checkpoints | None = None,
    ahead: Ahead[Ready] | None = None,
) -> Iterator[Outcome]:
    """Trains specs that differ in their seeds and learning rates alone, and yields the outcome of each in order.

    `family` is the specs' own where it was handed over as an object, which no name leads to. `keep` writes the weights
    of each before its outcome is yielded. `checkpoints` has long trainings write some, and go on from those that are
    there; where it says that the run is to end, what is not done has stopped. A loss that is not finite ends its seed
    with a failed outcome that says at which step; the others go on. On a CPU one is trained after the other; on other
    devices, or on several, as many at a time as their memory takes. On a CPU `ahead`, by which the calls in a process
    know of each other, makes the network and the program of what follows while these are trained.

    Where several hosts take part, all of them call this with the same specs and data. The first one's outcomes count,
    and it alone writes weights and checkpoints, which all of them read.
    """
    done = 0
    try:
        for outcome in _trained(specs, data, family, keep if first() else None, checkpoints, ahead):
            yield outcome
            done += 1
    except TrainingStopped:
        yield from [Outcome("stopped")] * (len(specs) - done)


def _trained(
    specs: Sequence[Spec],
    data: ImageData,
    family: Family | None,
    keep: Keep | None,
    checkpoints: Checkpoints | None,
    ahead: Ahead[Ready] | None,
) -> Iterator[Outcome]:
    """What `train_group` yields. Raises TrainingStopped where the run is to end."""
    if checkpoints is not None and any_of_them(checkpoints.stop_asked()):
        raise TrainingStopped
    if jax.default_backend() == "cpu" and jax.device_count() == 1:
        ahead = ahead or Ahead()

        def make(spec: Spec) -> Ready:
            return make_ready(spec, *_images_and_build(spec, data, family))

        for _, at_one_rate in groupby(specs, key=lambda one: one.recipe.learning_rate):
            group = list(at_one_rate)
            ready, waited = ahead.take(group[0], make)
            if waited is not None:
                ready = ready._replace(seconds={"build": 0.0, "trace": 0.0, "compile": waited})
            ahead.begin(make)
            yield from one_after_another(group, ready, keep, checkpoints)
    else:
        images, build, prepared = _images_and_build(specs[0], data, family)
        for run in [specs] if checkpoints is None else at_one_point(checkpoints, specs):
            yield from within_memory(run, images, build, prepared, keep, checkpoints)
            prepared = 0.0


def _images_and_build(spec: Spec, data: ImageData, family: Family | None) -> tuple[Prepared, Build, float]:
    """The images of a spec, what builds its network, and the seconds that the images took."""
    named = spec.network
    family = with_options(family, named.options) if family else load_family(named.family, named.options)
    family = starting(family, spec.recipe)
    start_from = None if spec.init is None else read_arrays(spec.init.weights, spec.init.digest)
    # A user's family may do with initial values what only JAX's arrays can.
    ours = type(family).__module__.startswith("scaling_search.")

    @uncollected()
    def build(seed: int) -> nnx.Module:
        with on_host() if ours else nullcontext():
            network = family.build(spec.network.scale, spec.network.num_classes, rngs=nnx.Rngs(seed))
        if start_from is not None:
            import_weights(network, start_from, namings_of(family), head=False)
        return network

    began = time.perf_counter()
    images = prepare(data, spec.split, spec.network.input_resolution, spec.evaluate, spec.recipe)
    return images, build, time.perf_counter() - began
