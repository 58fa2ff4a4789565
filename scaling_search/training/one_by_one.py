"""Trains the seeds of a network one after the other in one program: as a CPU is used best."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from scaling_search.data import Prepared, judging_batches, training_batches
from scaling_search.data.stream import noting_waits
from scaling_search.training.checkpoints import Checkpoints
from scaling_search.training.kept import Keep, noted, with_weights
from scaling_search.training.optimiser import learning_rate
from scaling_search.training.outcomes import (
    Weights,
    judgements_of,
    outcome_of,
    peak_memory,
    point,
    result,
    stops,
)
from scaling_search.training.precision import precision_of
from scaling_search.training.so_far import Keeper, SoFar, Template, made_here
from scaling_search.training.step import Build, Program, TrainState, compile_program
from scaling_search.training.stopping import Judgement, best_of
from scaling_search.trial import Outcome, Spec

STEPS_AHEAD = 2
"""Long steps that a CPU may be behind: JAX queues 32, and a training that is to stop would wait for all of them."""


class Ready(NamedTuple):
    """What the trainings of a network begin with."""

    images: Prepared
    build: Build
    network: nnx.Module
    """Of the first seed."""
    program: Program
    seconds: dict[str, float]
    """What it took."""


def make_ready(spec: Spec, images: Prepared, build: Build, prepared: float) -> Ready:
    """Builds the network of a spec and compiles its program. `prepared` took its images, in seconds."""
    began = time.perf_counter()
    network = build(spec.seed)
    built = prepared + time.perf_counter() - began
    batch_size = spec.recipe.batch_size
    program = compile_program(
        network,
        spec.recipe,
        images=jax.ShapeDtypeStruct((batch_size, *images.train_images.shape[1:]), images.train_images.dtype),
        mean=jnp.asarray(images.mean),
        std=jnp.asarray(images.std),
        steps_per_epoch=len(images.train_images) // batch_size,
        trained="all" if spec.init is None else spec.init.trained,
        precision=precision_of(spec.recipe, jax.default_backend()),
    )
    return Ready(images, build, network, program, {"build": built, **program.seconds})


def one_after_another(
    specs: Sequence[Spec], ready: Ready, keep: Keep | None, checkpoints: Checkpoints | None
) -> Iterator[Outcome]:
    """The outcome of each of the specs, which differ in their seeds alone. `ready` is of the first."""
    spec, (images, build, network, program, shared) = specs[0], ready
    precision = precision_of(spec.recipe, jax.default_backend())
    for one in specs:
        began = time.perf_counter()
        state = program.start(network if one is spec else build(one.seed))
        started = time.perf_counter() - began
        keeper = None if checkpoints is None else Keeper(checkpoints, [one], made_here(1))
        outcome, averaged = _train(one, program, state, images, keeper)
        outcome = with_weights(keep, one, outcome, images, averaged)
        rate = _images_a_second(one, outcome)
        seconds = {**shared, **outcome.seconds}
        seconds["build"] = seconds.get("build", 0.0) + started
        shared = {}
        yield replace(
            outcome,
            seconds=seconds,
            peak_memory=peak_memory(),
            device=jax.devices()[0].device_kind,
            precision=precision,
            images_per_second=rate,
        )


def _train(
    spec: Spec, program: Program, state: TrainState, images: Prepared, keeper: Keeper | None
) -> tuple[Outcome, Weights]:
    """What one seed decides of an outcome, and the averaged weights that are its result."""
    recipe = spec.recipe
    steps_per_epoch = len(images.train_images) // recipe.batch_size
    rate = learning_rate(recipe, steps_per_epoch)
    taken_up = None if keeper is None else keeper.take_up(Template(lambda: state, program.averaged))
    [so_far] = taken_up or [SoFar(state, best_of(recipe))]
    curve, best, seconds, losses = so_far.curve, so_far.best, so_far.seconds, so_far.losses
    state, so_far.state = so_far.state, None

    for epoch in range(so_far.epoch + 1, recipe.epochs + 1):
        began = time.perf_counter()
        of_epoch = list(losses[(epoch - 1) * steps_per_epoch :].astype(np.float32))
        losses = losses[: (epoch - 1) * steps_per_epoch]
        begun, waited = len(of_epoch), seconds.get("data", 0.0)
        batches = training_batches(images, recipe, seed=spec.seed, epoch=epoch, start=begun)
        if not isinstance(images.train_images, np.ndarray):
            batches = noting_waits(batches, seconds)
        for batch, labels in batches:
            state, loss = program.train(state, batch, labels)
            of_epoch.append(loss)
            if keeper is not None:
                if keeper.long_steps and len(of_epoch) > begun + STEPS_AHEAD:
                    of_epoch[-1 - STEPS_AHEAD].block_until_ready()
                if keeper.asked_to_stop():
                    break
        values = np.array(jax.device_get(of_epoch))
        losses = np.concatenate([losses, values])
        seconds["train"] += time.perf_counter() - began - (seconds.get("data", 0.0) - waited)
        if keeper is not None and keeper.asked_to_stop():
            raise keeper.stop([replace(so_far, state=state, losses=losses)])
        if not np.isfinite(values).all():
            break
        began = time.perf_counter()
        judged = epoch % recipe.evaluate_every == 0 or epoch == recipe.epochs
        judgements = _evaluate(program, state, images, recipe.batch_size) if judged else []
        seconds["evaluate"] += time.perf_counter() - began
        done = epoch * steps_per_epoch
        curve.append(point(epoch, done, float(rate(jnp.asarray(done - 1))), float(values.mean()), judgements))
        so_far.epoch = epoch
        if stops(best, epoch, judgements, partial(program.averaged, state)):
            break
        if keeper is not None:
            keeper.tell([curve], done * recipe.batch_size / seconds["train"])
        if keeper is not None and judged and epoch < recipe.epochs and keeper.due():
            keeper.save([replace(so_far, state=state, losses=losses)])
    outcome = replace(outcome_of(curve, losses, steps_per_epoch, best), seconds=seconds)
    if keeper is not None:
        outcome = noted(outcome, keeper.finish())
    return outcome, result(best, partial(program.averaged, state))


def _evaluate(program: Program, state: TrainState, images: Prepared, batch_size: int) -> list[Judgement]:
    # Once for all batches: hundreds of small arrays.
    averaged = jax.device_put(program.averaged(state))
    sums = [
        program.evaluate(averaged, batch, labels, weights)
        for batch, labels, weights in judging_batches(images, batch_size)
    ]
    correct, entropy = np.array(jax.device_get(sums), np.float64).sum(0).reshape(2, -1)
    return judgements_of(correct, entropy, images)


def _images_a_second(spec: Spec, outcome: Outcome) -> float:
    steps = outcome.failed_step or outcome.curve[-1].step
    return steps * spec.recipe.batch_size / (outcome.seconds["train"] + outcome.seconds.get("data", 0.0))
