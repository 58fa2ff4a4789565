"""`weights import`, `export` and `convert`."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from scaling_search.cli.show import print_rows
from scaling_search.errors import UserError, printable

if TYPE_CHECKING:
    from scaling_search.cli.commands import Weights


def run_weights(options: "Weights") -> None:
    """Does what `options.action` says, and prints a row about it; what is worth knowing goes to stderr."""
    if options.action == "convert":
        _convert(options)
    else:
        _transfer(options)


def _transfer(options: "Weights") -> None:
    """Reads weights into a network, and writes them in its own names or in another implementation's."""
    from scaling_search.family import load_family
    from scaling_search.weights.files import read_arrays, write_arrays
    from scaling_search.weights.transfer import IMAGENET, OWN, export_weights, load_network, namings_of

    if options.network is None:
        raise UserError("no network given", hint="try --network resnet50")
    family = load_family(options.network, options.family_options)
    namings = namings_of(family)
    target = OWN if options.action == "import" else options.naming or next(iter(namings))
    if target not in namings:
        raise UserError(f"naming {target!r} given", f"{family.name} knows {', '.join(namings)}")
    if options.action == "export" and options.output is None:
        raise UserError("no file to export to given", hint="try --output weights.safetensors")
    network, imported = load_network(family, read_arrays(options.file), new_head=IMAGENET, averaged=options.averaged)
    arrays = export_weights(network, namings[target])
    if options.output is not None:
        write_arrays(options.output, arrays, {"network": family.name, "naming": target})
    _tell(imported.notes)
    row = {
        "network": family.name,
        "naming": imported.naming,
        "tensors": len(arrays),
        "values": sum(array.size for array in arrays.values()),
        "written": options.output or "nothing",
        "written_naming": target if options.output else "-",
    }
    print_rows([row], options.format)


def _convert(options: "Weights") -> None:
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
