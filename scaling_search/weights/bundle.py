"""Weights that say what they are: a safetensors file with the network, its classes and its pixels in the metadata."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flax import nnx

from scaling_search.errors import UserError
from scaling_search.family import Family, Naming, with_options
from scaling_search.weights.description import KEY, Description
from scaling_search.weights.files import read_arrays, read_metadata, write_arrays
from scaling_search.weights.hugging_face import read_config
from scaling_search.weights.transfer import Imported, export_weights, load_network


@dataclass(frozen=True)
class Opened:
    """A network with weights from a file."""

    network: nnx.Module
    """For evaluation."""
    imported: Imported
    family: Family
    description: Description | None
    """What the file says it is for; None where another family was asked for."""


def write_bundle(
    file: str | Path,
    network: nnx.Module | nnx.State[Any, Any],
    description: Description,
    naming: Naming | None = None,
) -> None:
    """Writes the weights of a network, or of its state, as a .safetensors file with its description inside.

    Whole or not at all. By default under the network's own names. Raises UserError where it cannot be written.
    """
    write_arrays(file, export_weights(network, naming), {KEY: description.to_json()})


def read_description(file: str | Path) -> Description:
    """What the weights in a file are for, by its metadata, or by the config.json of a model's folder.

    Raises UserError where it cannot be read or does not say.
    """
    if text := read_metadata(file).get(KEY):
        try:
            return Description.from_json(text)
        except UserError as error:
            raise UserError(f"weights {str(file)!r}: {error}") from None
    if description := read_config(Path(file).expanduser()):
        return description
    raise UserError(
        f"weights {str(file)!r} do not say which network they are for", hint="name it, with --network for example"
    )


def read_bundle(file: str | Path, family: Family | None = None) -> tuple[nnx.Module, Description]:
    """The network whose weights a file or a model's folder holds, for evaluation, and what the weights are for.

    `family` stands in for a network that is not registered. Raises UserError where the file cannot be read, does not
    say what it is for, or holds weights of something else.
    """
    description = read_description(file)
    network, _ = _described(file, description, family or _family_of(file, description))
    return network, description


def open_weights(
    file: str | Path,
    family: Family | None = None,
    *,
    named: str | None = None,
    new_head: int | None = None,
    averaged: bool = False,
) -> Opened:
    """The network whose weights a file holds: `family` at scale 1, or by default what the file says it is for.

    `named` is the import path by which the family was named, if it was: weights that say they are for that are opened
    as they say. `new_head` and `averaged` are those of `load_network`. Raises UserError as that and `read_description`
    do, and where the file itself names an import path, as to import it runs code.
    """
    by_path = named is not None and ":" in named and read_metadata(file).get(KEY)
    if family is None or by_path:
        description = read_description(file)
        if family is None or description.family == named:
            family = with_options(family, description.options) if family else _family_of(file, description)
            return Opened(*_described(file, description, family), family, description)
    network, imported = load_network(family, read_arrays(file), new_head=new_head, averaged=averaged)
    return Opened(network, imported, family, None)


def _family_of(file: str | Path, description: Description) -> Family:
    """The family that a file says its weights are for. Raises UserError where that would run code the file names."""
    if ":" in description.family:
        raise UserError(
            f"weights {str(file)!r} are for {description.family!r}, a module that would be imported, which runs it",
            hint=f"if you trust it, name it: --network {description.family}",
        )
    return description.network


def _described(file: str | Path, description: Description, family: Family) -> tuple[nnx.Module, Imported]:
    return load_network(family, read_arrays(file), scale=description.scale, num_classes=len(description.classes))
