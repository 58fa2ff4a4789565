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

OWN = "scaling-search"
"""The naming of a network without a reference: its own paths and layouts."""
LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
NO_PLACE = re.compile(r"(^|\.)(num_batches_tracked$|aux)", re.IGNORECASE)
"""Tensors of a file that a network need not have: counters of PyTorch's batch norm, and auxiliary heads."""


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


def export_weights(network: nnx.Module, naming: Naming | None) -> Arrays:
    """Parameters and batch statistics by their names in `naming`, in its layouts."""
    state = _flat_state(network)
    return {
        tensor.name: _to_reference(np.asarray(state[tensor.path][...]), tensor) for tensor in _tensors(network, naming)
    }


def import_weights(
    network: nnx.Module, arrays: Mapping[str, np.ndarray], namings: Mapping[str, Naming | None], *, head: bool = True
) -> str:
    """Sets parameters and batch statistics of `network` from `arrays`; returns the naming that they turned out to have.

    Without `head`, the classifier stays as it is. Raises UserError, and changes nothing, where an array is missing,
    has no place, has another shape or is no finite number.
    """
    naming = _naming_of(network, arrays, namings)
    state = _flat_state(network)
    tensors = list(_tensors(network, namings[naming]))
    wanted = [tensor for tensor in tensors if head or tensor.path[0] != HEAD]
    missing = [tensor.name for tensor in wanted if tensor.name not in arrays]
    extra = sorted(arrays.keys() - {tensor.name for tensor in tensors})
    extra = [name for name in extra if not NO_PLACE.search(name)]
    if missing or extra:
        said = [
            f"{len(names)} {what}, such as {names[0]}"
            for names, what in ((missing, "tensors are missing"), (extra, "have no place"))
            if names
        ]
        raise UserError(
            f"these weights are not this network's: by the naming of {naming}, {' and '.join(said)}",
            hint="check --network, and its depth and width",
        )
    values = {}
    for tensor in wanted:
        array = np.asarray(arrays[tensor.name])
        if array.shape != tensor.shape:
            classes = tensor.path[0] == HEAD
            raise UserError(
                f"weight {tensor.name} has shape {array.shape}, needs {tensor.shape}",
                hint="the number of classes differs" if classes else "check --network, and its depth and width",
            )
        if not np.isfinite(array).all():
            raise UserError(f"weight {tensor.name} holds values that are no finite numbers")
        values[tensor.path] = jnp.asarray(_from_reference(array, tensor), jnp.float32)
    for path, value in values.items():
        state[path][...] = value
    return naming


def load_network(family: Family, arrays: Mapping[str, np.ndarray]) -> tuple[nnx.Module, str]:
    """The network of `family` at scale 1 with these weights, for evaluation, and the naming that they have.

    The number of classes is the weights' own. Raises UserError as `import_weights` does.
    """
    network = family.build(Scale(), _classes_in(family, arrays), rngs=nnx.Rngs(0))
    naming = import_weights(network, arrays, namings_of(family))
    network.eval()
    return network, naming


def _classes_in(family: Family, arrays: Mapping[str, np.ndarray]) -> int:
    names = [f"{naming(HEAD) if naming else HEAD}.bias" for naming in namings_of(family).values()]
    sizes = [arrays[name].size for name in names if name in arrays]
    if not sizes:
        raise UserError(
            f"these weights are not those of {family.name}", f"they would have one of {', '.join(sorted(set(names)))}"
        )
    return int(sizes[0])


def _naming_of(network: nnx.Module, arrays: Mapping[str, np.ndarray], namings: Mapping[str, Naming | None]) -> str:
    """The naming by which most of the network's tensors are found in a file."""

    def found(name: str) -> int:
        return sum(tensor.name in arrays for tensor in _tensors(network, namings[name]))

    return max(namings, key=found)


def _flat_state(network: nnx.Module) -> dict[tuple[Any, ...], Any]:
    """Parameters and batch statistics as the network holds them, by path; setting one sets the network's."""
    return {
        (*path, name): variable
        for path, module in nnx.iter_modules(network)
        for name, variable in vars(module).items()
        if isinstance(variable, nnx.Param | nnx.BatchStat)
    }


def _tensors(network: nnx.Module, naming: Naming | None) -> Iterator[_Tensor]:
    for path, variable in _flat_state(network).items():
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
