"""A network's weights under the names, and in the layouts, of another implementation: out, and back in.

PyTorch keeps convolution kernels as (F, C, K, K) where Flax has (K, K, C, F), dense ones as (F, C) where Flax has
(C, F), and every reference has the two dense layers of squeeze-and-excitation as 1x1 convolutions.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from scaling_search.errors import UserError
from scaling_search.family import HEAD, Family, NamedFamily, Naming
from scaling_search.rule import Scale
from scaling_search.weights.files import Arrays
from scaling_search.weights.prefixes import Stripped, known_in, strip_prefixes

BASELINE = Scale()
OWN = "scaling-search"
"""The naming of a network without a reference: its own paths and layouts."""
LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
NO_PLACE = re.compile(r"(^|\.)((num_batches_tracked|n_averaged|total_ops|total_params)$|aux)", re.IGNORECASE)
"""Tensors of a file that a network need not have: counters of PyTorch and of profilers, and auxiliary heads."""
OTHER_HEAD = re.compile(r"(^|\.)(fc|_fc|heads?|classifier|cls_head|last_linear|linear|logits|output)\.")
"""Tensors of a head that is not the network's own, which is passed over where the network gets a new one."""
IMAGENET = 1000
"""Classes of ImageNet. TensorFlow's models have one more, the first, for the background."""


@dataclass(frozen=True)
class _Tensor:
    """One array of a network, and what it is called elsewhere."""

    path: tuple[Any, ...]
    name: str
    shape: tuple[int, ...]
    """In the reference's layout."""
    own_shape: tuple[int, ...]


def namings_of(family: Family) -> dict[str, Naming | None]:
    """The namings a family's weights may have, the one to export by first. None stands for its own paths."""
    namings: dict[str, Naming | None] = dict(family.namings) if isinstance(family, NamedFamily) else {}
    return namings | {OWN: None}


def export_weights(network: nnx.Module | nnx.State[Any, Any], naming: Naming | None) -> Arrays:
    """Parameters and batch statistics of a network, or of its state, by their names in `naming`, in its layouts."""
    state = _flat_state(network)
    return {
        tensor.name: _to_reference(np.asarray(state[tensor.path][...]), tensor) for tensor in _tensors(state, naming)
    }


@dataclass(frozen=True)
class Imported:
    """What was found in weights that came in."""

    naming: str
    """Whose names they have."""
    prefixes: tuple[str, ...] = ()
    """What wrappers had left before the names."""
    passed_over: tuple[str, ...] = ()
    """Tensors around the network, which it has no use for."""
    other_copies: tuple[str, ...] = ()
    """Prefixes of other copies of the network, such as an averaged one."""
    new_head: bool = False
    """Whether the network's head is not the weights'."""
    classes: int | None = None
    """Classes of the weights' head; None where they have none."""
    without_background: bool = False
    """Whether the class 0 of TensorFlow's models, the background, was dropped."""

    @property
    def notes(self) -> list[str]:
        """What a user should know, a sentence each."""
        notes = []
        if self.prefixes:
            notes.append(f"stripped {' and '.join(map(repr, self.prefixes))} from the names of tensors")
        if self.other_copies:
            notes.append(f"left out other copies of the network, under {' and '.join(map(repr, self.other_copies))}")
        if self.passed_over:
            others = f" and {len(self.passed_over) - 1} more" if len(self.passed_over) > 1 else ""
            notes.append(f"left out what is not the network's: {self.passed_over[0]}{others}")
        if self.new_head and self.classes is None:
            notes.append("the weights have no head: the network's is new and untrained")
        elif self.new_head:
            notes.append(f"the head is new and untrained: that of the weights, of {self.classes} classes, was left out")
        if self.without_background:
            notes.append("the head has 1001 classes, as TensorFlow's models: dropped the first, the background")
        return notes


def import_weights(
    network: nnx.Module,
    arrays: Mapping[str, np.ndarray],
    namings: Mapping[str, Naming | None],
    *,
    head: bool = True,
    averaged: bool = False,
) -> Imported:
    """Sets parameters and batch statistics of `network` from `arrays`; returns what was found in them.

    Prefixes that wrappers left are stripped. Without `head`, the classifier stays as it is. Of a head of 1001 classes
    in another implementation's names, a network of 1000 takes all but the first. With `averaged`, an averaged copy is
    taken. Raises UserError, and changes nothing, where an array is missing, has no place, has another shape, is not of
    floating-point numbers or is not finite.
    """
    naming, stripped = _recognised(network, arrays, namings, averaged)
    state = _flat_state(network)
    tensors = list(_tensors(state, namings[naming]))
    wanted = [tensor for tensor in tensors if head or tensor.path[0] != HEAD]
    theirs = [tensor for tensor in tensors if tensor.path[0] == HEAD and tensor.name in stripped.names]
    missing = [tensor.name for tensor in wanted if tensor.name not in stripped.names]
    if not theirs and missing and len(missing) == sum(tensor.path[0] == HEAD for tensor in tensors):
        raise UserError(
            f"these weights have no head: {missing[0]} is missing", hint="train one, with scaling-search train --init"
        )
    unused = arrays.keys() - set(stripped.names.values()) - set(stripped.outside)
    unused = {name for name in unused if not NO_PLACE.search(name) and not name.startswith(stripped.other_copies)}
    other_head = set() if theirs or head else {name for name in unused if OTHER_HEAD.search(name)}
    extra = sorted(unused - other_head)
    if missing or extra:
        said = [
            f"{len(names)} tensor{' ' + one if len(names) == 1 else 's ' + several}, such as {names[0]}"
            for names, one, several in (
                (missing, "is missing", "are missing"),
                (extra, "has no place", "have no place"),
            )
            if names
        ]
        raise UserError(
            f"these weights are not this network's: by the naming of {naming}, {' and '.join(said)}",
            hint="check --network, and its depth and width",
        )
    values, background = {}, False
    for tensor in wanted:
        name = stripped.names[tensor.name]
        array = np.asarray(arrays[name])
        if namings[naming] is not None and _has_background(array, tensor):
            array, background = array[1:], True
        _check(array, tensor, name)
        values[tensor.path] = jnp.asarray(_from_reference(array, tensor), jnp.float32)
    for path, value in values.items():
        state[path][...] = value
    passed_over = sorted({name for name in stripped.outside if not NO_PLACE.search(name)} | other_head)
    return Imported(
        naming,
        stripped.prefixes,
        tuple(passed_over),
        stripped.other_copies,
        new_head=not head,
        classes=next((int(arrays[stripped.names[one.name]].size) for one in theirs if len(one.shape) == 1), None),
        without_background=background,
    )


def load_network(
    family: Family,
    arrays: Mapping[str, np.ndarray],
    *,
    scale: Scale = BASELINE,
    num_classes: int | None = None,
    new_head: int | None = None,
    averaged: bool = False,
) -> tuple[nnx.Module, Imported]:
    """The network of `family` at `scale` with these weights, for evaluation, and what was found in them.

    The number of classes is the weights' own, but 1000 where another implementation has 1001, unless `num_classes`
    says otherwise. Weights without a head are refused, or with `new_head` get one of so many classes. Raises UserError
    as `import_weights` does.
    """
    namings = namings_of(family)

    def build(classes: int) -> nnx.Module:
        return family.build(scale, classes, rngs=nnx.Rngs(0))

    classes = _classes_in(namings, arrays) or IMAGENET
    network = build(num_classes or classes)
    naming, stripped = _recognised(network, arrays, namings, averaged)
    heads = {tensor.name for tensor in _tensors(_flat_state(network), namings[naming]) if tensor.path[0] == HEAD}
    takes_head = new_head is None or not heads.isdisjoint(stripped.names)
    if new_head is not None and not takes_head and new_head != classes:
        network = build(new_head)
    imported = import_weights(network, arrays, namings, head=takes_head, averaged=averaged)
    network.eval()
    return network, imported


def _classes_in(namings: Mapping[str, Naming | None], arrays: Mapping[str, np.ndarray]) -> int | None:
    """Classes of what looks like the head in a file, whatever stands before its name; None where nothing does."""
    for naming in namings.values():
        name = f"{naming(HEAD)}.weight" if naming else f"{HEAD}.kernel"
        # The shortest is the network's own, since others are those of auxiliary heads and of averaged copies.
        found = sorted((held for held in arrays if f".{held}".endswith(f".{name}") and arrays[held].ndim > 1), key=len)
        if found:
            classes = int(arrays[found[0]].shape[0 if naming else -1])
            return IMAGENET if naming is not None and classes == IMAGENET + 1 else classes
    return None


def _recognised(
    network: nnx.Module, arrays: Mapping[str, np.ndarray], namings: Mapping[str, Naming | None], averaged: bool
) -> tuple[str, Stripped]:
    """The naming by which most of the network's tensors are found in a file, and the file's names by it."""
    state = _flat_state(network)
    known = {name: {tensor.name for tensor in _tensors(state, naming)} for name, naming in namings.items()}
    best = max(known, key=lambda name: known_in(arrays, known[name]))
    return best, strip_prefixes(arrays, known[best], averaged=averaged)


def _has_background(array: np.ndarray, tensor: _Tensor) -> bool:
    """Whether this is the head of a TensorFlow model for a network of ImageNet's classes alone."""
    return tensor.path[0] == HEAD and tensor.shape[0] == IMAGENET and array.shape[:1] == (IMAGENET + 1,)


def _check(array: np.ndarray, tensor: _Tensor, name: str) -> None:
    """Raises UserError where an array cannot be this tensor of the network."""
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise UserError(
            f"weight {name} holds {array.dtype} numbers", "floating-point numbers", "dequantise quantised weights first"
        )
    if array.shape != tensor.shape:
        classes = tensor.path[0] == HEAD and array.shape[1:] == tensor.shape[1:]
        raise UserError(
            f"weight {name} has shape {array.shape}, needs {tensor.shape}",
            hint="the number of classes differs" if classes else "check --network, and its depth and width",
        )
    if not np.isfinite(array).all():
        raise UserError(f"weight {name} holds values that are not finite")


def _flat_state(network: nnx.Module | nnx.State[Any, Any]) -> dict[tuple[Any, ...], Any]:
    """Parameters and batch statistics as the network holds them, by path; setting one sets the network's."""
    variables: dict[tuple[Any, ...], Any]
    if isinstance(network, nnx.State):
        variables = dict(nnx.to_flat_state(network))
    else:
        variables = {
            (*path, name): variable
            for path, module in nnx.iter_modules(network)
            for name, variable in vars(module).items()
        }
    return {path: one for path, one in variables.items() if isinstance(one, nnx.Param | nnx.BatchStat)}


def _tensors(state: Mapping[tuple[Any, ...], Any], naming: Naming | None) -> Iterator[_Tensor]:
    """What `_flat_state` gives, by its names elsewhere."""
    for path, variable in state.items():
        *parents, leaf = path
        shape = tuple(variable.shape)
        if naming is None:
            yield _Tensor(path, ".".join(map(str, path)), shape, shape)
            continue
        name = f"{naming('.'.join(map(str, parents)))}.{LEAVES[leaf]}"
        if leaf == "kernel":
            shape = (*shape[:-3:-1], *shape[:-2])
            if len(shape) == 2 and parents[-1] in ("squeeze", "excite"):
                shape = (*shape, 1, 1)
        yield _Tensor(path, name, shape, tuple(variable.shape))


def _to_reference(array: np.ndarray, tensor: _Tensor) -> np.ndarray:
    if array.shape == tensor.shape and tensor.path[-1] != "kernel":
        return array
    return array if tensor.name.endswith(".kernel") else _swapped(array).reshape(tensor.shape)


def _from_reference(array: np.ndarray, tensor: _Tensor) -> np.ndarray:
    if tensor.path[-1] != "kernel" or tensor.name.endswith(".kernel"):
        return array
    if len(tensor.own_shape) == 2:
        return array.reshape(tensor.own_shape[::-1]).T
    return array.transpose(2, 3, 1, 0)


def _swapped(kernel: np.ndarray) -> np.ndarray:
    """(..., C, F) -> (F, C, ...)."""
    return np.moveaxis(kernel, (-1, -2), (0, 1))
