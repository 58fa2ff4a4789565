"""`weights`: import, export and convert."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from scaling_search.cli.command import Command, Format
from scaling_search.cli.tables import print_rows
from scaling_search.errors import UserError, printable

HUGGING_FACE = "huggingface"


@dataclass(frozen=True)
class Weights(Command):
    """Imports, exports and converts weights of other implementations.

    Example: scaling-search weights import resnet50.safetensors --network resnet50 --output own.safetensors
    """

    action: Annotated[Literal["import", "export", "convert"], tyro.conf.Positional]
    """import: to the network's own names; export: to another implementation's; convert: a PyTorch checkpoint to
    safetensors, by PyTorch's loader that runs no code, names unchanged."""
    file: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """A .safetensors or .npz file, the index of a sharded one or a model's folder; a PyTorch checkpoint to convert."""
    network: str | None = None
    """The network that the weights are for; by default what the file says, where train wrote it or timm did."""
    family_options: tuple[str, ...] = ()
    """Fields of the network to set, as NAME=VALUE, such as padding=SYMMETRIC batch_norm_epsilon=1e-5."""
    naming: str | None = None
    """For export: timm, torchvision or another naming that the network knows, by default its first; or huggingface, for
    a folder with config.json and model.safetensors, which timm loads where the network is one of its own."""
    averaged: bool = False
    """Take the averaged copy of the weights where a file has one, such as model_ema or state_dict_ema."""
    output: Annotated[str | None, tyro.conf.arg(aliases=["-o"])] = None
    """The .safetensors file to write, or the folder with --naming huggingface. Without it, import only checks."""
    format: Format = "table"
    """How the table is printed."""

    def execute(self) -> None:
        """Does it and prints what was found."""
        run_weights(self)


def run_weights(options: Weights) -> None:
    """Does what `options.action` says, and prints a row about it; what is worth knowing goes to stderr."""
    if options.action == "convert":
        _convert(options)
    else:
        _transfer(options)


def _transfer(options: Weights) -> None:
    """Reads weights into a network, and writes them in its own names or in another implementation's."""
    from scaling_search.family import load_family
    from scaling_search.weights.bundle import open_weights
    from scaling_search.weights.description import KEY
    from scaling_search.weights.files import write_arrays
    from scaling_search.weights.hugging_face import write_model_folder
    from scaling_search.weights.transfer import IMAGENET, OWN, export_weights, namings_of

    if options.action == "export" and options.output is None:
        raise UserError("no file to export to given", hint="try --output weights.safetensors")
    family = load_family(options.network, options.family_options) if options.network else None
    opened = open_weights(options.file, family, named=options.network, new_head=IMAGENET, averaged=options.averaged)
    imported, namings = opened.imported, namings_of(opened.family)
    target = OWN if options.action == "import" else options.naming or next(iter(namings))
    if target not in (*namings, HUGGING_FACE):
        raise UserError(
            f"naming {target!r} given", f"{opened.family.name} knows {', '.join(namings)} and {HUGGING_FACE}"
        )
    arrays = export_weights(opened.network, namings.get(target))
    if target == HUGGING_FACE:
        if opened.description is None:
            raise UserError(
                "a folder of Hugging Face's layout needs to know classes and pixels",
                "weights that say what they are for, as train writes them, without --network",
            )
        write_model_folder(str(options.output), opened.network, opened.description)
    elif options.output is not None:
        about = {} if opened.description is None else {KEY: opened.description.to_json()}
        write_arrays(options.output, arrays, {"network": opened.family.name, "naming": target} | about)
    _tell(imported.notes)
    row = {
        "network": opened.family.name,
        "naming": imported.naming,
        "tensors": len(arrays),
        "values": sum(array.size for array in arrays.values()),
        "written": options.output or "nothing",
        "written_naming": target if options.output else "-",
    }
    print_rows([row], options.format)


def _convert(options: Weights) -> None:
    """Writes the tensors of a PyTorch checkpoint as safetensors, in their own names."""
    from scaling_search.weights.files import write_arrays
    from scaling_search.weights.torch_checkpoint import read_checkpoint

    if options.output is None:
        raise UserError("no file to convert to given", hint="try --output weights.safetensors")
    checkpoint = read_checkpoint(options.file, averaged=options.averaged)
    write_arrays(options.output, checkpoint.arrays, {"converted_from": Path(options.file).name})
    _tell(checkpoint.notes)
    row = {
        "tensors": len(checkpoint.arrays),
        "values": sum(array.size for array in checkpoint.arrays.values()),
        "found_under": checkpoint.under or "-",
        "written": options.output,
    }
    print_rows([row], options.format)


def _tell(notes: Iterable[str]) -> None:
    for note in notes:
        print(f"note: {printable(note)}", file=sys.stderr)
