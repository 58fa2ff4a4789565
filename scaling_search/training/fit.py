"""Trains one network: the seeds of a spec's network after each other, in one compiled program."""

import resource
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from scaling_search.data import ImageData, Prepared, evaluation_batches, prepare, training_batches
from scaling_search.family import Family, load_family
from scaling_search.training.recipe import learning_rate
from scaling_search.training.step import Program, TrainState, compile_program
from scaling_search.trial import Epoch, Outcome, Spec
from scaling_search.weights.files import read_arrays
from scaling_search.weights.transfer import import_weights, namings_of


def train_group(specs: Sequence[Spec], data: ImageData, family: Family | None = None) -> Iterator[Outcome]:
    """Trains specs that differ in their seeds alone, and yields the outcome of each in order.

    `family` is the specs' own where it was handed over as an object, which no name leads to. A loss that is not finite
    ends its seed with a failed outcome that says at which step; the others go on.
    """
    spec = specs[0]
    family = family or load_family(spec.network.family, spec.network.options)

    start_from = None if spec.init is None else read_arrays(spec.init.weights, spec.init.digest)

    def build(seed: int) -> nnx.Module:
        network = family.build(spec.network.scale, spec.network.num_classes, rngs=nnx.Rngs(seed))
        if start_from is not None:
            import_weights(network, start_from, namings_of(family), head=False)
        return network

    began = time.perf_counter()
    images = prepare(data, spec.split, spec.network.input_resolution, spec.evaluate)
    network = build(spec.seed)
    built = time.perf_counter()
    batch_size = spec.recipe.batch_size
    program = compile_program(
        network,
        spec.recipe,
        images=jax.ShapeDtypeStruct((batch_size, *images.train_images.shape[1:]), images.train_images.dtype),
        mean=jnp.asarray(images.mean),
        std=jnp.asarray(images.std),
        steps_per_epoch=len(images.train_images) // batch_size,
        trained="all" if spec.init is None else spec.init.trained,
    )
    shared = {"build": built - began, **program.seconds}
    for one in specs:
        began = time.perf_counter()
        state = program.start(network if one is spec else build(one.seed))
        started = time.perf_counter() - began
        outcome = _train(one, program, state, images)
        seconds = {**shared, **outcome.pop("seconds")}
        seconds["build"] = seconds.get("build", 0.0) + started
        shared = {}
        yield Outcome(**outcome, seconds=seconds, peak_memory=_peak_memory(), device=jax.devices()[0].device_kind)


def _train(spec: Spec, program: Program, state: TrainState, images: Prepared) -> dict[str, Any]:
    """The fields of an outcome that one seed decides."""
    recipe = spec.recipe
    steps_per_epoch = len(images.train_images) // recipe.batch_size
    rate = jax.jit(learning_rate(recipe, steps_per_epoch))
    curve: list[Epoch] = []
    seconds = {"train": 0.0, "evaluate": 0.0}
    for epoch in range(1, recipe.epochs + 1):
        began = time.perf_counter()
        losses = []
        batches = training_batches(
            images.train_images,
            images.train_labels,
            recipe.batch_size,
            seed=spec.seed,
            epoch=epoch,
            augment=recipe.augment,
        )
        for batch, labels in batches:
            state, loss = program.train(state, batch, labels)
            losses.append(loss)
        values = np.array(jax.device_get(losses))
        seconds["train"] += time.perf_counter() - began
        done = (epoch - 1) * steps_per_epoch
        if not np.isfinite(values).all():
            step = done + int(np.argmin(np.isfinite(values))) + 1
            reason = f"the training loss was {values[step - done - 1]} at step {step} (epoch {epoch})"
            return {
                "status": "failed",
                "reason": reason,
                "failed_step": step,
                "curve": tuple(curve),
                "seconds": seconds,
            }
        began = time.perf_counter()
        judged = epoch % recipe.evaluate_every == 0 or epoch == recipe.epochs
        judgement = _evaluate(program, state, images, recipe.batch_size) if judged else None
        seconds["evaluate"] += time.perf_counter() - began
        curve.append(
            Epoch(
                epoch=epoch,
                step=done + steps_per_epoch,
                learning_rate=float(rate(jnp.asarray(done + steps_per_epoch - 1))),
                train_loss=float(values.mean()),
                accuracy=judgement.accuracy if judgement else None,
                loss=judgement.loss if judgement else None,
            )
        )
    return {
        "status": "ok",
        "accuracy": curve[-1].accuracy,
        "loss": curve[-1].loss,
        "curve": tuple(curve),
        "seconds": seconds,
    }


class _Judgement(NamedTuple):
    accuracy: float
    loss: float | None
    """None where it is no finite number."""


def _evaluate(program: Program, state: TrainState, images: Prepared, batch_size: int) -> _Judgement:
    averaged = program.averaged(state)
    sums = [
        program.evaluate(averaged, batch, labels, weights)
        for batch, labels, weights in evaluation_batches(images.eval_images, images.eval_labels, batch_size)
    ]
    correct, entropy = np.array(jax.device_get(sums), np.float64).sum(0) / len(images.eval_labels)
    return _Judgement(float(correct), float(entropy) if np.isfinite(entropy) else None)


def _peak_memory() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
