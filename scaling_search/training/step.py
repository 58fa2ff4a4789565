"""A network's training step and evaluation, as pure functions and compiled.

Everything that is a number lies in a few long vectors: kernels, other parameters, batch statistics, and as many of the
optimiser's and of the averaged weights. A network has hundreds of small arrays, and one kernel for each in optimiser
and averages would take longer to compile than the network itself.
"""

import math
import time
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike

from scaling_search.config import Trained
from scaling_search.data import Mixed
from scaling_search.errors import UserError, first_line
from scaling_search.family import HEAD
from scaling_search.input_side import refuse_small_input
from scaling_search.networks import ops
from scaling_search.networks.blocks import BatchNorm
from scaling_search.recipe import Precision, Recipe
from scaling_search.training.moving import Packed, Pieces, joined_pieces, towards
from scaling_search.training.optimiser import batch_norm_momentum, ema_decay, optimiser
from scaling_search.training.precision import compute_in
from scaling_search.uncollected import uncollected

Build = Callable[[int], nnx.Module]
"""Builds a network from a seed."""

AUXILIARY_LOSS = 0.4
"""How much an auxiliary head's loss counts, as in NASNet (Zoph et al., 2018, appendix A.4)."""


class TrainState(NamedTuple):
    """All that training changes. Donated to each step."""

    step: Array
    params: Packed
    """{"kernels": vector, "rest": vector}, float32."""
    statistics: Array
    """Batch statistics and whatever else of the network is floating point, one vector."""
    streams: Any
    """Random streams and whatever else is not floating point, as the network holds it."""
    optimiser: Any
    ema: tuple[Packed, Array]
    """Averages of params and statistics."""
    times: Array | None = None
    """What the recipe's learning rate is multiplied by, where trainings at several rates share a program."""


@dataclass(frozen=True)
class Program:
    """A network compiled: what every seed of it shares."""

    train: Callable[[TrainState, ArrayLike, Any], tuple[TrainState, Array]]
    """(state, images, labels) -> (state, loss). The state is donated."""
    evaluate: Callable[[nnx.State[Any, Any], ArrayLike, ArrayLike, ArrayLike], tuple[Array, Array]]
    """(averaged, images, labels, weights) -> (weighted correct answers, weighted cross-entropy)."""
    averaged: Callable[[TrainState], nnx.State[Any, Any]]
    """The averaged weights and statistics of a state, as the network holds them."""
    start: Callable[[nnx.Module], TrainState]
    """A network freshly built -> its first state."""
    seconds: dict[str, float]
    """Wall time of trace and compile."""


class _Parts(NamedTuple):
    """A network's state, taken apart by what happens to it."""

    params: Packed
    statistics: Array
    streams: Any


class _Inverse(NamedTuple):
    """How the parts become a network's state again; both functions can be traced."""

    cut: Callable[[Packed], Pieces]
    put_together: Callable[[Pieces, Array, Any], nnx.State[Any, Any]]
    """(pieces of the params, statistics, streams) -> state."""
    kernels: list[tuple[int, ...]]
    """The shapes of the first vector's pieces."""


def shape_of(leaf: Array) -> jax.ShapeDtypeStruct:
    """Shape and dtype of an array."""
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


def _copied(vector: Array) -> Array:
    """By NumPy, as in `_pack`."""
    return jnp.asarray(np.array(vector), vector.dtype)


def _is_float(leaf: Any) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jnp.floating))


def _partition(tree: Any, first: Callable[[Any], bool]) -> tuple[list[Any], list[Any], Callable[..., Any]]:
    """The leaves that `first` picks, the others, and the inverse: (picked, others) -> tree."""
    leaves, structure = jax.tree.flatten(tree)
    picked = [first(leaf) for leaf in leaves]

    def join(chosen: list[Any], others: list[Any]) -> Any:
        sources = iter(chosen), iter(others)
        return jax.tree.unflatten(structure, [next(sources[0 if one else 1]) for one in picked])

    left = [leaf for leaf, one in zip(leaves, picked, strict=True) if not one]
    return [leaf for leaf, one in zip(leaves, picked, strict=True) if one], left, join


def _pack(leaves: list[Any]) -> tuple[Array, Callable[[Any], list[Any]]]:
    """Arrays as one vector, and the inverse, which works on NumPy's vectors as well as on traced ones."""
    # By NumPy, as XLA would compile a program for each shape.
    flat = np.concatenate([np.ravel(leaf) for leaf in leaves] or [np.zeros(0, np.float32)])
    vector = jnp.asarray(flat, flat.dtype)
    shapes = tuple(leaf.shape for leaf in leaves)

    def unpack(packed: Any) -> list[Any]:
        if not shapes:
            return []
        cuts: list[Any] = ops.split(packed, shapes) if isinstance(packed, Array) else _views(packed, shapes)
        return [cut.astype(leaf.dtype) for cut, leaf in zip(cuts, leaves, strict=True)]

    return vector, unpack


def _views(vector: np.ndarray[Any, Any], shapes: tuple[tuple[int, ...], ...]) -> list[np.ndarray[Any, Any]]:
    parts = np.split(vector, np.cumsum([math.prod(shape) for shape in shapes])[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def _trainable(trained: Trained) -> Any:
    """A filter of the variables that are trained."""
    return nnx.Param if trained == "all" else nnx.All(nnx.Param, nnx.PathContains(HEAD))


def _take_apart(network: nnx.Module, trained: Trained) -> tuple[Any, _Parts, _Inverse]:
    """The graph of a network, the parts of its state, and the inverse of these."""
    state: tuple[Any, ...] = nnx.split(network, _trainable(trained), ...)
    graphdef, params, others = state
    kernel_list, rest_list, join_params = _partition(params, lambda leaf: leaf.ndim >= 2)
    statistic_list, streams, join_others = _partition(others, _is_float)
    (kernels, kernels_back), (rest, rest_back) = _pack(kernel_list), _pack(rest_list)
    statistics, statistics_back = _pack(statistic_list)

    def cut(params: Packed) -> Pieces:
        return {"kernels": kernels_back(params["kernels"]), "rest": rest_back(params["rest"])}

    def put_together(pieces: Pieces, statistics: Array, streams: Any) -> nnx.State[Any, Any]:
        params = join_params(pieces["kernels"], pieces["rest"])
        return nnx.merge_state(params, join_others(statistics_back(statistics), streams))

    if kernels.size + rest.size == 0:
        raise UserError("the network has no parameters to train", "parameters are nnx.Param variables of the module")
    parts = _Parts({"kernels": kernels, "rest": rest}, statistics, streams)
    return graphdef, parts, _Inverse(cut, put_together, [leaf.shape for leaf in kernel_list])


def _batch_norms(network: nnx.Module) -> dict[Any, Any]:
    """The batch norms of a network by their paths."""
    return {path: one for path, one in nnx.iter_modules(network) if isinstance(one, nnx.BatchNorm | BatchNorm)}


def _biases(network: nnx.Module, trained: Trained, norms: Container[Any]) -> np.ndarray:
    """Of what `_take_apart` packs as the rest, 1 where it is no batch norm's, float32."""
    leaves, _ = jax.tree.flatten_with_path(nnx.state(network, _trainable(trained)))
    rest = [(tuple(key.key for key in path if hasattr(key, "key")), leaf) for path, leaf in leaves if leaf.ndim < 2]
    return np.concatenate(
        [np.full(leaf.size, path[:-1] not in norms, np.float32) for path, leaf in rest] or [np.zeros(0, np.float32)]
    )


def _changed(network: nnx.Module, trained: Trained) -> tuple[Array, Any]:
    """Statistics and streams of a network after a call, as `_take_apart` orders them."""
    statistics, streams, _ = _partition(nnx.state(network, nnx.Not(_trainable(trained))), _is_float)
    return ravel_pytree(statistics)[0], streams


class Steps(NamedTuple):
    """A network's training and evaluation as pure functions, which can be compiled alone, in loops or over seeds."""

    train: Callable[[TrainState, Array, Any], tuple[TrainState, Array]]
    """(state, images, labels) -> (state, loss). Labels are (B,), or `data.Mixed`."""
    evaluate: Callable[[nnx.State[Any, Any], Array, Array, Array], tuple[Array, Array]]
    """(averaged, images, labels, weights) -> (weighted correct answers, weighted cross-entropy), for weights (B,) or,
    by column, (B, parts)."""
    start: Callable[[nnx.Module], TrainState]
    """A network freshly built -> its first state."""
    state: TrainState
    """Shapes and dtypes of a state."""
    averaged: Callable[[TrainState], nnx.State[Any, Any]]
    """The averaged weights and statistics of a state, as the network holds them; can be traced."""


def steps_of(
    network: nnx.Module,
    recipe: Recipe,
    *,
    mean: Array,
    std: Array,
    steps_per_epoch: int,
    trained: Trained = "all",
    precision: Precision = "float32",
    parts: int = 1,
) -> Steps:
    """What trains and evaluates `network` on batches of images (N, H, W, 3), uint8 or float32.

    Images are normalised by `mean` and `std` (3,) inside the program. Where the head alone is `trained`, the rest
    works as in evaluation: batch statistics stay as they are. A network that answers in training with a pair has an
    auxiliary head, whose loss counts 0.4 times. A step takes its batch in `parts`, which divide it, and adds their
    gradients up: less memory, and batch norm over each part. Raises UserError where there is nothing to train.
    """
    norms = _batch_norms(network)
    for norm in norms.values():
        norm.momentum = batch_norm_momentum(recipe, recipe.epochs * steps_per_epoch)
    compute_in(network, precision)
    graphdef, initial, (cut, put_together, kernels) = _take_apart(network, trained)
    rule = optimiser(recipe, steps_per_epoch, kernels, _biases(network, trained, norms))

    def network_of(state: nnx.State[Any, Any]) -> Any:
        # Without copy, batch statistics written under jax.grad raise TraceContextError.
        return nnx.merge(graphdef, state, copy=True)

    def normalised(batch: Array) -> Array:
        return ((batch.astype(jnp.float32) - mean) / std).astype(precision)

    def gradient(
        pieces: Pieces, statistics: Array, streams: Any, batch: Array, labels: Any
    ) -> tuple[tuple[Array, tuple[Array, Any]], Pieces]:
        def loss(pieces: Pieces) -> tuple[Array, tuple[Array, Any]]:
            net = network_of(put_together(pieces, statistics, streams))
            net.train() if trained == "all" else net.eval()
            answers = net(normalised(batch))
            logits, *auxiliary = answers if isinstance(answers, tuple) else (answers,)
            targets = optax.smooth_labels(_targets(labels, logits.shape[-1]), recipe.label_smoothing)
            total = optax.softmax_cross_entropy(_wide(logits), targets).mean()
            for more in auxiliary:
                total += AUXILIARY_LOSS * optax.softmax_cross_entropy(_wide(more), targets).mean()
            return total, _changed(net, trained)

        return jax.value_and_grad(loss, has_aux=True)(pieces)

    def accumulated(state: TrainState, batch: Array, labels: Any) -> Any:
        """What `gradient` answers, of one part of the batch after another."""
        pieces = cut(state.params)

        def one(carry: Any, part: Any) -> tuple[Any, Array]:
            statistics, streams, total = carry
            (value, (statistics, streams)), gradients = gradient(pieces, statistics, streams, *part)
            total = {name: total[name] + joined_pieces(gradients[name]) for name in total}
            return (statistics, streams, total), value

        parted = jax.tree.map(lambda array: array.reshape(parts, -1, *array.shape[1:]), (batch, labels))
        nothing = jax.tree.map(jnp.zeros_like, state.params)
        (statistics, streams, total), values = jax.lax.scan(one, (state.statistics, state.streams, nothing), parted)
        return (values.mean(), (statistics, streams)), {name: [vector / parts] for name, vector in total.items()}

    def train(state: TrainState, batch: Array, labels: Any) -> tuple[TrainState, Array]:
        if parts == 1:
            answer = gradient(cut(state.params), state.statistics, state.streams, batch, labels)
        else:
            answer = accumulated(state, batch, labels)
        (value, (statistics, streams)), gradients = answer
        keep = jnp.asarray(ema_decay(recipe, state.step), jnp.float32)
        averages, of_statistics = state.ema
        params, memory, averages = rule.move(gradients, state.optimiser, state.params, averages, keep, state.times)
        ema = averages, towards(of_statistics, statistics, keep)
        return TrainState(state.step + 1, params, statistics, streams, memory, ema, state.times), value

    def evaluate(averaged: nnx.State[Any, Any], batch: Array, labels: Array, weights: Array) -> tuple[Array, Array]:
        net = network_of(averaged)
        net.eval()
        logits = _wide(net(normalised(batch)))
        correct = (logits.argmax(-1) == labels) * weights.T
        entropy = optax.softmax_cross_entropy_with_integer_labels(logits, labels) * weights.T
        return correct.sum(-1), entropy.sum(-1)

    def start(fresh: nnx.Module) -> TrainState:
        _, parts, _ = _take_apart(fresh, trained)
        # Averages start as copies: a donated buffer may not be given twice.
        ema = jax.tree.map(_copied, (parts.params, parts.statistics))
        return TrainState(jnp.zeros((), jnp.int32), *parts, rule.init(parts.params), ema)

    def averaged(state: TrainState) -> nnx.State[Any, Any]:
        params, statistics = state.ema
        return put_together(cut(params), statistics, state.streams)

    shapes = jax.tree.map(shape_of, initial)
    state: Any = TrainState(
        jax.ShapeDtypeStruct((), jnp.int32),  # type: ignore[arg-type]
        shapes.params,
        shapes.statistics,
        shapes.streams,
        jax.eval_shape(rule.init, initial.params),
        (shapes.params, shapes.statistics),
    )
    return Steps(train, evaluate, start, state, averaged)


@uncollected()
def compile_program(
    network: nnx.Module,
    recipe: Recipe,
    *,
    images: jax.ShapeDtypeStruct,
    mean: Array,
    std: Array,
    steps_per_epoch: int,
    trained: Trained = "all",
    precision: Precision = "float32",
) -> Program:
    """Compiles `steps_of` a network, a step at a time, for batches like `images` (N, H, W, 3), uint8 or float32.

    Raises UserError where the network does not take such images, or has no parameters to train.
    """
    steps = steps_of(
        network,
        recipe,
        mean=mean,
        std=std,
        steps_per_epoch=steps_per_epoch,
        trained=trained,
        precision=precision,
    )

    def averaged(state: TrainState) -> nnx.State[Any, Any]:
        # NumPy cuts the vectors up in no time; a program to do it would take as long to compile as evaluation itself.
        return steps.averaged(state._replace(ema=jax.tree.map(np.asarray, state.ema)))

    began = time.perf_counter()
    averages = jax.eval_shape(steps.averaged, steps.state)
    labels = jax.ShapeDtypeStruct(images.shape[:1], jnp.int32)
    share = jax.ShapeDtypeStruct(images.shape[:1], jnp.float32)
    weights = share if recipe.patience is None else jax.ShapeDtypeStruct((*images.shape[:1], 2), jnp.float32)
    with clear_shape_errors(images.shape):
        evaluation = jax.jit(steps.evaluate).trace(averages, images, labels, weights)
        refuse_small_input(network, evaluation.jaxpr, images.shape[1])
        trained_on = Mixed(labels, labels, share) if recipe.mixes else labels  # type: ignore[arg-type]
        traced_train = jax.jit(steps.train, donate_argnums=0).lower(steps.state, images, trained_on)
        traced_evaluate = evaluation.lower()
    traced = time.perf_counter()
    compiled_train, compiled_evaluate = traced_train.compile(), traced_evaluate.compile()
    return Program(
        train=compiled_train,
        evaluate=compiled_evaluate,
        averaged=averaged,
        start=steps.start,
        seconds={"trace": traced - began, "compile": time.perf_counter() - traced},
    )


@contextmanager
def clear_shape_errors(shape: tuple[int, ...]) -> Iterator[None]:
    """Turns what tracing raises into a UserError that names the shape of the images."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise UserError(f"the network cannot be trained on images of shape {shape}: {first_line(error)}") from error


def _targets(labels: Any, classes: int) -> Array:
    """(B, classes): what labels say, also of images that are two in one."""
    if not isinstance(labels, Mixed):
        return jax.nn.one_hot(labels, classes)
    share = labels.share[:, None]
    return share * jax.nn.one_hot(labels.labels, classes) + (1 - share) * jax.nn.one_hot(labels.others, classes)


def _wide(logits: Array) -> Array:
    return logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
