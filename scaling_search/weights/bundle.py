"""Weights that say what they are: a safetensors file with the network, its classes and its pixels in the metadata."""

from pathlib import Path

from flax import nnx

from scaling_search.errors import UserError
from scaling_search.family import Family, Naming
from scaling_search.weights.description import KEY, Description
from scaling_search.weights.files import read_arrays, read_metadata, write_arrays
from scaling_search.weights.hugging_face import read_config
from scaling_search.weights.transfer import export_weights, load_network


def write_bundle(file: str | Path, network: nnx.Module, description: Description, naming: Naming | None = None) -> None:
    """Writes a network's weights as a .safetensors file with its description inside, whole or not at all.

    By default under the network's own names. Raises UserError where it cannot be written.
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
    network, _ = load_network(
        description.network if family is None else family,
        read_arrays(file),
        scale=description.scale,
        num_classes=len(description.classes),
    )
    return network, description
