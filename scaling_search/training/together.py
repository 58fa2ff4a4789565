"""Trains seeds of a network together, in one program on all devices of all hosts, as many as their memory takes."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from scaling_search.cost import memory
from scaling_search.data import Prepared, moves_alone
from scaling_search.family import Cost
from scaling_search.training import devices
from scaling_search.training.checkpoints import Checkpoints
from scaling_search.training.epochs import RESIDENT_SHARE, compile_epochs
from scaling_search.training.hosts import any_of_them, least, mesh_of, several
from scaling_search.training.kept import Keep, noted, with_weights
from scaling_search.training.optimiser import learning_rate
from scaling_search.training.outcomes import judgements_of, outcome_of, peak_memory, point, result, stops
from scaling_search.training.precision import precision_of
from scaling_search.training.so_far import Keeper, SoFar, Template, made_here
from scaling_search.training.step import Build, steps_of
from scaling_search.training.stopping import best_of
from scaling_search.trial import Outcome, Spec

MEMORY_SHARE = 0.8
"""Share of a device's memory that seeds trained together may take by the estimate of `cost.memory`."""


def within_memory(
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
                judgements = [] if sums is None else judgements_of(sums.correct[seed], sums.entropy[seed], images)
                at = float(rates[seed](jnp.asarray(done - 1)))
                one.curve.append(point(number, done, at, float(of_epoch[seed].mean()), judgements))
                one.going = not stops(one.best, number, judgements, partial(program.averaged, states, seed))
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
        "peak_memory": devices.peak_memory(jax.local_devices()) or peak_memory(),
    }
    if precision == "bfloat16":
        measured["utilisation"] = devices.utilisation(
            spec.network.multiply_adds, measured["images_per_second"], measured["device"], mesh.size
        )
    share = {phase: seconds.pop(phase) / len(specs) for phase in ("train", "evaluate")}
    outcomes = [
        replace(
            outcome_of(one.curve, losses[seed], steps_per_epoch, one.best),
            seconds=share | (seconds if seed == 0 else {}),
            **measured,
        )
        for seed, one in enumerate(trainings)
    ]
    if keeper is not None:
        outcomes = [noted(outcome, keeper.finish()) for outcome in outcomes]
    return [
        with_weights(keep, one, outcome, images, result(ended.best, partial(program.averaged, states, seed)))
        for seed, (one, ended, outcome) in enumerate(zip(specs, trainings, outcomes, strict=True))
    ]


def _size(images: Prepared) -> int:
    """Bytes of all images, where they lie in memory."""
    held = (images.train_images, images.eval_images, images.held_images)
    return sum(part.nbytes for part in held if isinstance(part, np.ndarray))
