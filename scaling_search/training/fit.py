"""Trains one network: the seeds of a spec's network, after each other on a CPU and together elsewhere."""

import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from scaling_search.cost import memory
from scaling_search.data import ImageData, Prepared, judging_batches, moves_alone, prepare, training_batches
from scaling_search.data.stream import noting_waits
from scaling_search.family import Cost, Family, load_family, with_options
from scaling_search.training import devices
from scaling_search.training.checkpoints import Checkpoints
from scaling_search.training.epochs import RESIDENT_SHARE, compile_epochs
from scaling_search.training.hosts import any_of_them, first, least, mesh_of, several
from scaling_search.training.kept import Keep, noted, with_weights
from scaling_search.training.optimiser import learning_rate, starting
from scaling_search.training.precision import precision_of
from scaling_search.training.so_far import Keeper, SoFar, Template, TrainingStopped, at_one_point, made_here
from scaling_search.training.step import Program, TrainState, compile_program, steps_of
from scaling_search.training.stopping import Best, Judgement, best_of
from scaling_search.trial import Epoch, Outcome, Spec
from scaling_search.weights.files import read_arrays
from scaling_search.weights.transfer import import_weights, namings_of

Build = Callable[[int], nnx.Module]
"""Builds a group's network from a seed."""
Weights = Callable[[], nnx.State[Any, Any]]
"""The averaged weights of a network, as it holds them."""

MEMORY_SHARE = 0.8
"""Share of a device's memory that seeds trained together may take by the estimate of `cost.memory`."""
STEPS_AHEAD = 2
"""Long steps that a CPU may be behind: JAX queues 32, and a training that is to stop would wait for all of them."""


def train_group(
    specs: Sequence[Spec],
    data: ImageData,
    family: Family | None = None,
    keep: Keep | None = None,
    checkpoints: Checkpoints | None = None,
) -> Iterator[Outcome]:
    """Trains specs that differ in their seeds and learning rates alone, and yields the outcome of each in order.

    `family` is the specs' own where it was handed over as an object, which no name leads to. `keep` writes the weights
    of each before its outcome is yielded. `checkpoints` has long trainings write some, and go on from those that are
    there; where it says that the run is to end, what is not done has stopped. A loss that is not finite ends its seed
    with a failed outcome that says at which step; the others go on. On a CPU one is trained after the other; on other
    devices, or on several, as many at a time as their memory takes.

    Where several hosts take part, all of them call this with the same specs and data. The first one's outcomes count,
    and it alone writes weights and checkpoints, which all of them read.
    """
    done = 0
    try:
        for outcome in _trained(specs, data, family, keep if first() else None, checkpoints):
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
) -> Iterator[Outcome]:
    """What `train_group` yields. Raises TrainingStopped where the run is to end."""
    spec = specs[0]
    if checkpoints is not None and any_of_them(checkpoints.stop_asked()):
        raise TrainingStopped
    named = spec.network
    family = with_options(family, named.options) if family else load_family(named.family, named.options)
    family = starting(family, spec.recipe)

    start_from = None if spec.init is None else read_arrays(spec.init.weights, spec.init.digest)

    def build(seed: int) -> nnx.Module:
        network = family.build(spec.network.scale, spec.network.num_classes, rngs=nnx.Rngs(seed))
        if start_from is not None:
            import_weights(network, start_from, namings_of(family), head=False)
        return network

    began = time.perf_counter()
    images = prepare(data, spec.split, spec.network.input_resolution, spec.evaluate, spec.recipe)
    prepared = time.perf_counter() - began
    if jax.default_backend() == "cpu" and jax.device_count() == 1:
        for _, at_one_rate in groupby(specs, key=lambda one: one.recipe.learning_rate):
            yield from _one_after_another(list(at_one_rate), images, build, prepared, keep, checkpoints)
            prepared = 0.0
    else:
        for run in [specs] if checkpoints is None else at_one_point(checkpoints, specs):
            yield from _within_memory(run, images, build, prepared, keep, checkpoints)
            prepared = 0.0


def _one_after_another(
    specs: Sequence[Spec],
    images: Prepared,
    build: Build,
    prepared: float,
    keep: Keep | None,
    checkpoints: Checkpoints | None,
) -> Iterator[Outcome]:
    spec = specs[0]
    began = time.perf_counter()
    network = build(spec.seed)
    built = prepared + time.perf_counter() - began
    batch_size = spec.recipe.batch_size
    precision = precision_of(spec.recipe, jax.default_backend())
    program = compile_program(
        network,
        spec.recipe,
        images=jax.ShapeDtypeStruct((batch_size, *images.train_images.shape[1:]), images.train_images.dtype),
        mean=jnp.asarray(images.mean),
        std=jnp.asarray(images.std),
        steps_per_epoch=len(images.train_images) // batch_size,
        trained="all" if spec.init is None else spec.init.trained,
        precision=precision,
    )
    shared = {"build": built, **program.seconds}
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
            peak_memory=_peak_memory(),
            device=jax.devices()[0].device_kind,
            precision=precision,
            images_per_second=rate,
        )


def _within_memory(
    specs: Sequence[Spec],
    images: Prepared,
    build: Build,
    prepared: float,
    keep: Keep | None = None,
    checkpoints: Checkpoints | None = None,
) -> Iterator[Outcome]:
    """As many seeds at a time as memory takes; where that was too many, fewer, and at last one by parts of a batch."""
    left, parts, note = list(specs), 1, None
    at_once = _seeds_at_once(specs, images)
    while left:
        try:
            outcomes = train_together(left[:at_once], images, build, parts=parts, keep=keep, checkpoints=checkpoints)
        except jax.errors.JaxRuntimeError as error:
            batch_size = specs[0].recipe.batch_size
            # Several hosts go on alike, or not at all.
            if not devices.is_out_of_memory(error) or (at_once == 1 and parts == batch_size) or several():
                raise
            if at_once > 1:
                at_once = 1
            else:
                parts = next(count for count in range(2 * parts, batch_size + 1) if batch_size % count == 0)
                note = (
                    f"out of device memory at {batch_size} images a step: gradients of {parts} parts of "
                    f"{batch_size // parts} were added up, and batch norm was over each part"
                )
            continue
        for outcome in outcomes:
            seconds = {**outcome.seconds, "build": outcome.seconds.get("build", 0.0) + prepared}
            prepared = 0.0
            yield noted(replace(outcome, seconds=seconds), note)
        left = left[at_once:]


def _seeds_at_once(specs: Sequence[Spec], images: Prepared) -> int:
    """How many seeds a device's memory takes by the estimate of what one does."""
    limit = least(devices.memory_limit(jax.local_devices()[0]))
    if limit is None:
        return len(specs)
    network, recipe = specs[0].network, specs[0].recipe
    counted = Cost(network.parameters, network.multiply_adds, network.activations)
    mesh = mesh_of(jax.devices(), recipe.batch_size)
    one = memory(counted, network.input_resolution, recipe.batch_size // mesh.size)
    return max(1, min(len(specs), int(MEMORY_SHARE * limit / one)))


def train_together(
    specs: Sequence[Spec],
    images: Prepared,
    build: Build,
    *,
    parts: int = 1,
    keep: Keep | None = None,
    checkpoints: Checkpoints | None = None,
) -> list[Outcome]:
    """Trains specs that differ in their seeds and learning rates alone in one program, on all devices of all hosts.

    `parts` of each batch are computed one after the other; `keep` writes the weights of each seed. Each has checkpoints
    of its own. Raises jax.errors.JaxRuntimeError where memory is short, and TrainingStopped where the run is to end.
    """
    spec, recipe = specs[0], specs[0].recipe
    platform = jax.default_backend()
    precision = precision_of(recipe, platform)
    mesh = mesh_of(jax.devices(), recipe.batch_size // parts)
    limit = least(devices.memory_limit(jax.local_devices()[0]))
    began = time.perf_counter()
    networks = [build(one.seed) for one in specs]
    steps_per_epoch = len(images.train_images) // recipe.batch_size
    steps = steps_of(
        networks[0],
        recipe,
        mean=jnp.asarray(images.mean),
        std=jnp.asarray(images.std),
        steps_per_epoch=steps_per_epoch,
        trained="all" if spec.init is None else spec.init.trained,
        precision=precision,
        parts=parts,
    )
    seconds = {"build": time.perf_counter() - began}
    keeper, taken_up = None, None
    if checkpoints is not None:
        keeper = Keeper(checkpoints, specs, made_here(mesh.size, seeds=len(specs), parts=parts))
        taken_up = keeper.take_up(Template(partial(steps.start, networks[0]), steps.averaged))
    trainings = taken_up or [SoFar(None, best_of(recipe)) for _ in specs]
    losses = np.stack([one.losses for one in trainings])
    # An epoch that was begun elsewhere is ended in batches.
    whole_epochs = losses.shape[1] % steps_per_epoch == 0
    resident = moves_alone(images, recipe) and (limit is None or _size(images) <= RESIDENT_SHARE * limit)
    program = compile_epochs(steps, specs, images, networks[0], mesh=mesh, resident=resident and whole_epochs)
    seconds |= program.seconds
    seconds |= {phase: sum(one.seconds[phase] for one in trainings) for phase in ("train", "evaluate")}
    states = program.start(networks) if taken_up is None else program.resumed([one.state for one in taken_up])
    del networks, taken_up
    rates = [learning_rate(one.recipe, steps_per_epoch) for one in specs]

    def kept() -> Iterator[SoFar]:
        for seed, one in enumerate(trainings):
            spent = {phase: seconds[phase] / len(specs) for phase in one.seconds}
            yield replace(one, state=program.of_seed(states, seed), losses=losses[seed], seconds=spent)

    for number in range(trainings[0].epoch + 1, recipe.epochs + 1):
        began = time.perf_counter()
        begun = losses[:, (number - 1) * steps_per_epoch :].astype(np.float32)
        # Several hosts stop alike, after an epoch.
        stop = (lambda: False) if keeper is None or several() else keeper.asked_to_stop
        states, rest = program.epoch(states, number, begun.shape[1], stop)
        of_epoch, losses = np.concatenate([begun, rest], 1), np.concatenate([losses, rest], 1)
        seconds["train"] += time.perf_counter() - began
        if keeper is not None and any_of_them(keeper.asked_to_stop()):
            raise keeper.stop(kept())
        if not np.isfinite(losses).all(1).any():
            break
        began = time.perf_counter()
        judged = number % recipe.evaluate_every == 0 or number == recipe.epochs
        sums = program.judge(states) if judged else None
        seconds["evaluate"] += time.perf_counter() - began
        done = number * steps_per_epoch
        for seed, one in enumerate(trainings):
            if one.going and np.isfinite(losses[seed]).all():
                judgements = [] if sums is None else _judgements(sums.correct[seed], sums.entropy[seed], images)
                at = float(rates[seed](jnp.asarray(done - 1)))
                one.curve.append(_point(number, done, at, float(of_epoch[seed].mean()), judgements))
                one.going = not _stops(one.best, number, judgements, partial(program.averaged, states, seed))
            else:
                one.going = False
            one.epoch = number
        if not any(one.going for one in trainings):
            break
        if keeper is not None:
            keeper.tell((one.curve for one in trainings), losses.size * recipe.batch_size / seconds["train"])
        if keeper is not None and judged and number < recipe.epochs and keeper.due():
            keeper.save(kept())
    trained_on = losses.size * recipe.batch_size
    measured = {
        "precision": precision,
        "device": jax.devices()[0].device_kind,
        "images_per_second": trained_on / seconds["train"],
        "peak_memory": devices.peak_memory(jax.local_devices()) or _peak_memory(),
    }
    if precision == "bfloat16":
        measured["utilisation"] = devices.utilisation(
            spec.network.multiply_adds, measured["images_per_second"], measured["device"], mesh.size
        )
    share = {phase: seconds.pop(phase) / len(specs) for phase in ("train", "evaluate")}
    outcomes = [
        replace(
            _ended(one.curve, losses[seed], steps_per_epoch, one.best),
            seconds=share | (seconds if seed == 0 else {}),
            **measured,
        )
        for seed, one in enumerate(trainings)
    ]
    if keeper is not None:
        outcomes = [noted(outcome, keeper.finish()) for outcome in outcomes]
    return [
        with_weights(keep, one, outcome, images, _result(ended.best, partial(program.averaged, states, seed)))
        for seed, (one, ended, outcome) in enumerate(zip(specs, trainings, outcomes, strict=True))
    ]


def _train(
    spec: Spec, program: Program, state: TrainState, images: Prepared, keeper: Keeper | None
) -> tuple[Outcome, Weights]:
    """What one seed decides of an outcome, and the averaged weights that are its result."""
    recipe = spec.recipe
    steps_per_epoch = len(images.train_images) // recipe.batch_size
    rate = jax.jit(learning_rate(recipe, steps_per_epoch))
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
        curve.append(_point(epoch, done, float(rate(jnp.asarray(done - 1))), float(values.mean()), judgements))
        so_far.epoch = epoch
        if _stops(best, epoch, judgements, partial(program.averaged, state)):
            break
        if keeper is not None:
            keeper.tell([curve], done * recipe.batch_size / seconds["train"])
        if keeper is not None and judged and epoch < recipe.epochs and keeper.due():
            keeper.save([replace(so_far, state=state, losses=losses)])
    outcome = replace(_ended(curve, losses, steps_per_epoch, best), seconds=seconds)
    if keeper is not None:
        outcome = noted(outcome, keeper.finish())
    return outcome, _result(best, partial(program.averaged, state))


def _stops(best: Best | None, epoch: int, judgements: Sequence[Judgement], averaged: Weights) -> bool:
    """Whether early stopping ends a training after an epoch."""
    if best is None or not judgements:
        return False
    # A copy, as the next step is given the memory of these.
    return best.judged(epoch, judgements[1], judgements[0], lambda: jax.tree.map(lambda leaf: leaf.copy(), averaged()))


def _result(best: Best | None, averaged: Weights) -> Weights:
    """The weights of the best epoch, or, without early stopping, those at the end."""
    weights = None if best is None else best.weights
    return averaged if weights is None else lambda: weights


def _ended(curve: Sequence[Epoch], losses: np.ndarray, steps_per_epoch: int, best: Best | None) -> Outcome:
    """The outcome of a training that came to its end, or to a loss that is not finite."""
    # Seeds that are trained together go on until the last of them stops.
    finite = np.isfinite(losses[: curve[-1].step if best is not None and best.stopped else None])
    if finite.all() and best is not None and best.judgement is not None:
        accuracy, loss = best.judgement
        return Outcome("ok", accuracy=accuracy, loss=loss, curve=tuple(curve), best_epoch=best.epoch)
    if finite.all():
        return Outcome("ok", accuracy=curve[-1].accuracy, loss=curve[-1].loss, curve=tuple(curve))
    step = int(np.argmin(finite)) + 1
    epoch = (step - 1) // steps_per_epoch + 1
    reason = f"the training loss was {losses[step - 1]} at step {step} (epoch {epoch})"
    return Outcome("failed", reason=reason, failed_step=step, curve=tuple(curve))


def _judgements(correct: np.ndarray, entropy: np.ndarray, images: Prepared) -> list[Judgement]:
    """By the images that judge, and by those that are held out, if any."""
    counts = [len(labels) for labels in (images.eval_labels, images.held_labels) if labels is not None]
    return [
        Judgement(float(right / count), float(nats / count) if np.isfinite(nats) else None)
        for right, nats, count in zip(correct, entropy, counts, strict=True)
    ]


def _point(epoch: int, step: int, rate: float, train_loss: float, judgements: Sequence[Judgement]) -> Epoch:
    judgement = judgements[0] if judgements else None
    return Epoch(
        epoch=epoch,
        step=step,
        learning_rate=rate,
        train_loss=train_loss,
        accuracy=judgement.accuracy if judgement else None,
        loss=judgement.loss if judgement else None,
    )


def _evaluate(program: Program, state: TrainState, images: Prepared, batch_size: int) -> list[Judgement]:
    averaged = program.averaged(state)
    sums = [
        program.evaluate(averaged, batch, labels, weights)
        for batch, labels, weights in judging_batches(images, batch_size)
    ]
    correct, entropy = np.array(jax.device_get(sums), np.float64).sum(0).reshape(2, -1)
    return _judgements(correct, entropy, images)


def _size(images: Prepared) -> int:
    """Bytes of all images, where they lie in memory."""
    held = (images.train_images, images.eval_images, images.held_images)
    return sum(part.nbytes for part in held if isinstance(part, np.ndarray))


def _images_a_second(spec: Spec, outcome: Outcome) -> float:
    steps = outcome.failed_step or outcome.curve[-1].step
    return steps * spec.recipe.batch_size / (outcome.seconds["train"] + outcome.seconds.get("data", 0.0))


def _peak_memory() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
