"""`weights`: import, export and convert."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from scaling_search.cli.command import Command, Format
from scaling_search.cli.tables import print_rows
from scaling_search.errors import UserError


@dataclass(frozen=True)
class Weights(Command):
    """Reads weights of other implementations into a network and writes them back: import, export or convert.

    Example: scaling-search weights import resnet50.safetensors --network resnet50 --output own.safetensors
    """

    action: Annotated[Literal["import", "export", "convert"], tyro.conf.Positional]
    """import: into the network's own names; export: into another implementation's; convert: a PyTorch checkpoint
    into safetensors, by PyTorch's loader of weights alone, names as they are."""
    file: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """A .safetensors or .npz file; a .pth file for convert."""
    network: str | None = None
    """The network that the weights are for."""
    family_options: tuple[str, ...] = ()
    """Fields of the network to set, as NAME=VALUE, such as padding=SYMMETRIC batch_norm_epsilon=1e-5."""
    naming: str | None = None
    """For export: timm, torchvision or another naming that the network knows; by default its first."""
    output: Annotated[str | None, tyro.conf.arg(aliases=["-o"])] = None
    """The .safetensors file to write. Without one, import only checks."""
    format: Format = "table"
    """How the table is printed."""

    def execute(self) -> None:
        """Does it and prints what was found."""
        run_weights(self)


def run_weights(options: Weights) -> None:
    """Does what `options.action` says, and prints a row about it."""
    if options.action == "convert":
        _convert(options)
        return
    from scaling_search.family import load_family
    from scaling_search.weights.files import read_arrays, write_arrays
    from scaling_search.weights.transfer import OWN, export_weights, load_network, namings_of

    if options.network is None:
        raise UserError("no network given", hint="try --network resnet50")
    family = load_family(options.network, options.family_options)
    namings = namings_of(family)
    target = OWN if options.action == "import" else options.naming or next(iter(namings))
    if target not in namings:
        raise UserError(f"naming {target!r} given", f"{family.name} knows {', '.join(namings)}")
    if options.action == "export" and options.output is None:
        raise UserError("no file to export to given", hint="try --output weights.safetensors")
    network, found = load_network(family, read_arrays(options.file))
    arrays = export_weights(network, namings[target])
    if options.output is not None:
        write_arrays(options.output, arrays, {"network": family.name, "naming": target})
    row = {
        "network": family.name,
        "naming": found,
        "tensors": len(arrays),
        "values": sum(array.size for array in arrays.values()),
        "written": options.output or "nothing",
        "written_naming": target if options.output else "-",
    }
    print_rows([row], options.format)


def _convert(options: Weights) -> None:
    """A PyTorch checkpoint of tensors as safetensors, read by PyTorch's loader that runs no code."""
    from scaling_search.weights.files import write_arrays

    if options.output is None:
        raise UserError("no file to convert to given", hint="try --output weights.safetensors")
    if not Path(options.file).expanduser().is_file():
        raise UserError(f"weights {options.file!r} given", "a PyTorch checkpoint", "there is no such file")
    try:
        import torch
    except ImportError:
        raise UserError(
            "converting a PyTorch checkpoint needs PyTorch", hint="pip install 'scaling-search[torch]'"
        ) from None
    try:
        tree = torch.load(Path(options.file).expanduser(), map_location="cpu", weights_only=True)
    except Exception as error:  # Whatever a damaged or an unsafe file makes PyTorch raise.
        raise UserError(
            f"{options.file} is no checkpoint of tensors alone: {str(error).strip().splitlines()[0]}"
        ) from None
    if isinstance(tree, dict):
        tree = next((tree[key] for key in ("state_dict", "model") if isinstance(tree.get(key), dict)), tree)
    if not isinstance(tree, dict) or not all(isinstance(value, torch.Tensor) for value in tree.values()):
        raise UserError(f"{options.file} holds no dictionary of tensors")
    arrays = {name: tensor.detach().numpy() for name, tensor in tree.items()}
    write_arrays(options.output, arrays, {"converted_from": Path(options.file).name})
    values = sum(array.size for array in arrays.values())
    print_rows([{"tensors": len(arrays), "values": values, "written": options.output}], options.format)
