"""Whole epochs as one compiled program, for a GPU or TPU: several seeds at once, on images that lie on the device.

A search's networks are so small that an accelerator would spend its time on being told what to do next. Here the host
says it once an epoch: which images, shifted how, in which order, from the generator that the steps of a CPU draw from.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from scaling_search.data import Moves, Pass, Prepared, judging_batches, reach, training_batches, training_pass
from scaling_search.input_side import checked_evaluation
from scaling_search.recipe import Recipe
from scaling_search.training.devices import FLOPS_PER_MULTIPLY_ADD, compiler_options
from scaling_search.training.hosts import here, placed
from scaling_search.training.step import Steps, TrainState, clear_shape_errors
from scaling_search.trial import Spec
from scaling_search.uncollected import uncollected

RESIDENT_SHARE = 0.25
"""Share of a device's memory that images may take to lie there for good."""
AHEAD = 2
"""Batches that are on their way to the device while one is trained on."""


class Sums(NamedTuple):
    """Of each seed, over the images that judge and, in a second column, those that are held out: (S, 1 or 2)."""

    correct: np.ndarray
    entropy: np.ndarray


@dataclass(frozen=True)
class Epochs:
    """A network's training compiled for as many seeds as it was made for."""

    start: Callable[[Sequence[nnx.Module]], TrainState]
    """Freshly built networks, one a seed -> their first states, stacked."""
    resumed: Callable[[Sequence[TrainState]], TrainState]
    """States of before, one a seed, stacked."""
    epoch: Callable[[TrainState, int, int, Callable[[], bool]], tuple[TrainState, np.ndarray]]
    """(states, number of the epoch, its steps that are done, whether to stop) -> (states, losses (S, steps)).

    The states are donated. Where images lie on the device, an epoch is whole or not begun."""
    judge: Callable[[TrainState], Sums]
    """Judges the averaged weights of every seed."""
    of_seed: Callable[[TrainState, int], TrainState]
    """(states, index of a seed) -> its state."""
    averaged: Callable[[TrainState, int], nnx.State[Any, Any]]
    """(states, index of a seed) -> the averaged weights and statistics of that seed, as its network holds them."""
    seconds: dict[str, float]
    """Wall time of trace and compile."""


def moved(images: Array, moves: Moves, recipe: Recipe) -> Array:
    """Images (B, H, W, C) after their moves, as `data.augment` makes them; can be traced."""
    if not recipe.shifts:
        return images
    height, width = images.shape[1:3]
    rows, columns = (
        jnp.clip(first[:, None] + jnp.arange(side) - reach(side, recipe.shift), 0, side - 1)
        for first, side in ((moves.rows, height), (moves.columns, width))
    )
    columns = jnp.where(moves.mirrored[:, None], columns[:, ::-1], columns)
    return images[jnp.arange(len(images))[:, None, None], rows[:, :, None], columns[:, None, :]]


def compile_epochs(
    steps: Steps, specs: Sequence[Spec], images: Prepared, network: nnx.Module, *, mesh: Mesh, resident: bool
) -> Epochs:
    """Compiles the training of `specs`, which differ in their seeds and learning rates alone.

    Images lie on the device where they are `resident`, and stream to it otherwise. Batches are shared out among the
    devices of `mesh`, and batch norm is over the whole batch. Raises UserError where the network does not take the
    images, or has no parameters to train.
    """
    checked_evaluation(network, images.train_images.shape[1])
    together = len(specs) > 1
    trained_on = len(specs) * specs[0].recipe.epochs * len(images.train_images)
    operations = FLOPS_PER_MULTIPLY_ADD * specs[0].network.multiply_adds * trained_on
    options = compiler_options(operations, jax.default_backend())
    compiler = _Compiler(mesh, {"trace": 0.0, "compile": 0.0}, images.train_images.shape, options)

    def start(networks: Sequence[nnx.Module]) -> TrainState:
        return resumed([steps.start(one) for one in networks])

    def resumed(states: Sequence[TrainState]) -> TrainState:
        at_rates = [state._replace(times=times) for state, times in zip(states, rate_factors(specs), strict=True)]
        return compiler.everywhere(
            jax.tree.map(lambda *leaves: jnp.stack(leaves), *at_rates) if together else at_rates[0]
        )

    def seed_by_seed(found: Sequence[Any]) -> Any:
        return jax.tree.map(lambda *leaves: np.stack(leaves), *found) if together else found[0]

    feed = (_resident if resident else _streaming)(steps, specs, images, compiler, seed_by_seed)
    states = start([network] * len(specs))
    train = compiler.compile(
        _over_seeds(feed.train, specs, 0, *feed.seeds_in), states, *next(feed.training(1, 0)), donate=(0,)
    )
    evaluate = compiler.compile(_over_seeds(feed.judge, specs, 0, None, None, None), states, *next(feed.judging()))

    def epoch(states: TrainState, number: int, begun: int, stop: Callable[[], bool]) -> tuple[TrainState, np.ndarray]:
        losses = [np.zeros((len(specs), 0) if together else 0, np.float32)]
        for piece in _ahead(feed.training(number, begun)):
            states, loss = train(states, *piece)
            losses.append(loss)
            if stop():
                break
        return states, np.atleast_2d(np.concatenate(jax.device_get(losses), -1))

    def judge(states: TrainState) -> Sums:
        found = [evaluate(states, *piece) for piece in _ahead(feed.judging())]
        return Sums(*np.asarray(jax.device_get(found), np.float64).sum(0).reshape(2, len(specs), -1))

    def of_seed(states: TrainState, seed: int) -> TrainState:
        # As it would be alone.
        return jax.tree.map(lambda leaf: leaf[seed], here(states))._replace(times=None) if together else here(states)

    def averaged(states: TrainState, seed: int) -> nnx.State[Any, Any]:
        ema, streams = here((states.ema, states.streams))
        if together:
            ema, streams = jax.tree.map(lambda leaf: leaf[seed], (ema, streams))
        return steps.averaged(states._replace(ema=jax.device_get(ema), streams=streams))

    return Epochs(start, resumed, epoch, judge, of_seed, averaged, compiler.seconds)


@dataclass(frozen=True)
class _Compiler:
    """Places arrays on the devices, compiles for them, and keeps account of the time."""

    mesh: Mesh
    seconds: dict[str, float]
    shape: tuple[int, ...]
    options: dict[str, str | bool]

    def everywhere(self, tree: Any) -> Any:
        return placed(tree, NamedSharding(self.mesh, PartitionSpec()))

    def batch(self, array: Any, axis: int) -> Any:
        return placed(array, NamedSharding(self.mesh, PartitionSpec(*[None] * axis, "images")))

    def shared_out(self, batch: Array) -> Array:
        """Has a batch be divided among the devices inside a program."""
        if self.mesh.size == 1:
            return batch
        return jax.lax.with_sharding_constraint(batch, NamedSharding(self.mesh, PartitionSpec("images")))

    @uncollected()
    def compile(self, function: Callable[..., Any], *arguments: Any, donate: tuple[int, ...] = ()) -> Any:
        began = time.perf_counter()
        everywhere = NamedSharding(self.mesh, PartitionSpec())
        with clear_shape_errors(self.shape):
            lowered = jax.jit(function, donate_argnums=donate, out_shardings=everywhere).lower(*arguments)
        traced = time.perf_counter()
        compiled = lowered.compile(self.options)
        self.seconds["trace"] += traced - began
        self.seconds["compile"] += time.perf_counter() - traced
        return compiled


def rate_factors(specs: Sequence[Spec]) -> list[Array | None]:
    """Each spec's learning rate over the first one's, or None for each where all are the same."""
    rates = [spec.recipe.learning_rate for spec in specs]
    if len(set(rates)) == 1:
        return [None] * len(specs)
    return [jnp.float32(rate / rates[0]) for rate in rates]


def _over_seeds(function: Callable[..., Any], specs: Sequence[Spec], *axes: int | None) -> Callable[..., Any]:
    return jax.vmap(function, in_axes=axes) if len(specs) > 1 else function


@dataclass(frozen=True)
class _Feed:
    """A way for images to reach the programs of an epoch: in how many pieces, and what is made of a piece."""

    train: Callable[..., tuple[TrainState, Array]]
    """(state, *piece) -> (state, losses (steps,)), of one seed."""
    seeds_in: tuple[int | None, ...]
    """Along which axis the parts of a piece have seeds, where several are trained."""
    training: Callable[[int, int], Iterator[Any]]
    """Number of the epoch, and how many of its steps are done -> the pieces that are left."""
    judge: Callable[..., tuple[Array, Array]]
    """(state, *piece) -> (correct, entropy), sums over the piece, of one seed."""
    judging: Callable[[], Iterator[Any]]
    """Pieces of the images that judge: pixels, labels and weights."""


def _resident(
    steps: Steps,
    specs: Sequence[Spec],
    images: Prepared,
    compiler: _Compiler,
    seed_by_seed: Callable[[Sequence[Any]], Any],
) -> _Feed:
    """Images are put on the device once: an epoch is one piece, of the host's choice among them."""
    recipe = specs[0].recipe
    count, height, width, _ = images.train_images.shape
    training = compiler.everywhere((np.ascontiguousarray(images.train_images), images.train_labels))
    judging = compiler.everywhere(_stacked_batches(images, recipe.batch_size))

    def pieces(number: int, begun: int) -> Iterator[tuple[Array, Array, Pass]]:
        if begun:
            return
        drawn = [training_pass(count, (height, width), recipe, seed=spec.seed, epoch=number) for spec in specs]
        yield *training, compiler.everywhere(seed_by_seed(drawn))

    def train(state: TrainState, pixels: Array, labels: Array, drawn: Pass) -> tuple[TrainState, Array]:
        def one(state: TrainState, chosen: Pass) -> tuple[TrainState, Array]:
            batch = compiler.shared_out(moved(pixels[chosen.order], chosen.moves, recipe))
            return steps.train(state, batch, compiler.shared_out(labels[chosen.order]))

        return jax.lax.scan(one, state, drawn)

    def judge(state: TrainState, pixels: Array, labels: Array, weights: Array) -> tuple[Array, Array]:
        def one(sums: tuple[Array, Array], batch: tuple[Array, Array, Array]) -> tuple[tuple[Array, Array], None]:
            correct, entropy = steps.evaluate(steps.averaged(state), *map(compiler.shared_out, batch))
            return (sums[0] + correct, sums[1] + entropy), None

        nothing = jnp.zeros(weights.shape[2:])
        return jax.lax.scan(one, (nothing, nothing), (pixels, labels, weights))[0]

    return _Feed(train, (None, None, 0), pieces, judge, lambda: iter([judging]))


def _streaming(
    steps: Steps,
    specs: Sequence[Spec],
    images: Prepared,
    compiler: _Compiler,
    seed_by_seed: Callable[[Sequence[Any]], Any],
) -> _Feed:
    """The host sends images a batch at a time, the next ones while one is trained on."""
    recipe = specs[0].recipe
    axis = 1 if len(specs) > 1 else 0

    def batches(number: int, begun: int) -> Iterator[Any]:
        of_seeds = [training_batches(images, recipe, seed=spec.seed, epoch=number, start=begun) for spec in specs]
        for drawn in zip(*of_seeds, strict=True):
            yield compiler.batch(seed_by_seed(drawn), axis)

    def judging() -> Iterator[Any]:
        for batch in judging_batches(images, recipe.batch_size):
            yield compiler.batch(batch, 0)

    def train(state: TrainState, pixels: Array, labels: Array) -> tuple[TrainState, Array]:
        state, loss = steps.train(state, pixels, labels)
        return state, loss[None]

    def judge(state: TrainState, *batch: Array) -> tuple[Array, Array]:
        return steps.evaluate(steps.averaged(state), *batch)

    return _Feed(train, (0, 0), batches, judge, judging)


def _stacked_batches(images: Prepared, batch_size: int) -> tuple[np.ndarray, ...]:
    """The images that judge or are held out, their labels and weights, (batches, B, ...)."""
    parts = zip(*judging_batches(images, batch_size), strict=True)
    return tuple(map(np.stack, parts))


def _ahead(batches: Iterator[Any]) -> Iterator[Any]:
    """The same batches, of which the next few have been asked for by the time that one is used."""
    waiting = deque(islice(batches, AHEAD))
    while waiting:
        yield waiting.popleft()
        waiting.extend(islice(batches, 1))
