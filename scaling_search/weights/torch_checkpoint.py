"""PyTorch checkpoints as named arrays, by PyTorch's loader of weights alone, which runs no code of the file's."""

import argparse
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scaling_search.errors import UserError, first_line
from scaling_search.weights.files import Arrays, in_float32, refuse_what_is_no_weights
from scaling_search.weights.wrappings import find_tensors

_ZIP, _PICKLE, _TAR = b"PK\x03\x04", re.compile(rb"\x80[\x02-\x05]"), b"ustar"
_COUNTS = {"torch.uint8", "torch.uint16", "torch.uint32", "torch.uint64", "torch.bool"} | {
    f"torch.int{bits}" for bits in (8, 16, 32, 64)
}
"""What is kept as it is: counters of batch norm, and indices."""


@dataclass(frozen=True)
class Checkpoint:
    """A network's tensors from a checkpoint."""

    arrays: Arrays
    """Floating-point numbers as float32, integers as they were."""
    under: str
    """The keys that led to them, such as `checkpoint.model`; empty where the file is a plain state dict."""
    notes: tuple[str, ...]
    """What the user should know: which copy this is, what was left out."""


def read_checkpoint(file: str | Path, *, averaged: bool = False) -> Checkpoint:
    """The network's weights in a checkpoint that PyTorch saved; with `averaged`, their averaged copy.

    Quantised tensors are dequantised, sparse ones filled in. Raises UserError where PyTorch is not installed, the file
    is of another kind, damaged, or cannot be read without running code from it; where it holds no network's tensors,
    or numbers that float32 cannot hold.
    """
    _check_kind(file)
    torch = _torch()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of kinds of tensors that PyTorch calls experimental or deprecated.
        try:
            found = find_tensors(_loaded(torch, file), lambda value: isinstance(value, torch.Tensor), averaged=averaged)
        except UserError as error:
            raise UserError(f"weights {str(file)!r} given: {error}") from None
        arrays = {name: _array(torch, value, name, str(file)) for name, value in found.tensors.items()}
    notes = []
    if found.averaged and not averaged:
        notes.append(f"only averaged weights are there; took them from {found.under}")
    if found.averaged_beside:
        notes.append(f"averaged weights are there too, under {found.averaged_beside}: --averaged takes those")
    if found.left_out:
        notes.append(f"{len(found.left_out)} entries that are not tensors were left out, such as {found.left_out[0]}")
    return Checkpoint(arrays, found.under, tuple(notes))


def _check_kind(file: str | Path) -> None:
    """Raises UserError where the file is not one that PyTorch saved, which its own messages say less clearly."""
    path = Path(file).expanduser()
    try:
        if path.is_dir():
            raise UserError(f"weights {str(file)!r} given", "a PyTorch checkpoint", "it is a folder")
        with open(path, "rb") as handle:
            start = handle.read(512)
    except FileNotFoundError:
        raise UserError(f"weights {str(file)!r} given", "a PyTorch checkpoint", "there is no such file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise UserError(f"weights {str(file)!r} cannot be read: {reason}") from None
    refuse_what_is_no_weights(start, str(file))
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= path.stat().st_size:
        raise UserError(f"weights {str(file)!r} are safetensors already", hint="take them by weights import")
    if not (start.startswith(_ZIP) or _PICKLE.match(start) or start[257:262] == _TAR):
        raise UserError(f"weights {str(file)!r} given", "a PyTorch checkpoint", "it is a file of another kind")


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise UserError(
            "converting a PyTorch checkpoint needs PyTorch", hint="pip install 'scaling-search[torch]'"
        ) from None
    return torch


def _loaded(torch: Any, file: str | Path) -> object:
    try:
        with torch.serialization.safe_globals(_plain_data()):
            return torch.load(Path(file).expanduser(), map_location="cpu", weights_only=True)
    except Exception as error:  # Whatever a damaged or an unsafe file makes PyTorch raise.
        raise UserError(_reason(error), hint=_hint(error)) from None


def _plain_data() -> list[Any]:
    """Classes and functions that may run: what training programs keep beside weights as arguments, scores and paths."""
    scalar, array = np.float64(0).__reduce__()[0], np.zeros(0).__reduce__()[0]
    numpy = [
        (function, f"{module}.multiarray.{name}")
        for module in ("numpy._core", "numpy.core")
        for function, name in ((scalar, "scalar"), (array, "_reconstruct"))
    ]
    kinds = {type(np.dtype(kind)) for kind in "?bhilqBHILQefd"}
    return [argparse.Namespace, type(Path()), np.ndarray, np.dtype, *kinds, *numpy]


_CODE = re.compile(r"GLOBAL ([\w.]+)|(?:class|type|function) ([\w.]+\.[\w.]+)")
"""How PyTorch names what a file would have run."""


def _reason(error: Exception) -> str:
    text = str(error)
    if "TorchScript" in text:
        return "it is a TorchScript program"
    if code := _CODE.search(text):
        return f"it cannot be read without running code from it ({code[1] or code[2]})"
    if isinstance(error, EOFError):
        return "it is cut off"
    return "it is damaged" if "weights_only" in text else f"PyTorch cannot read it: {first_line(error)[:200]}"


def _hint(error: Exception) -> str:
    code = "TorchScript" in str(error) or _CODE.search(str(error))
    return "save model.state_dict() where the model's code is" if code else ""


def _array(torch: Any, tensor: Any, name: str, file: str) -> np.ndarray:
    """A tensor of any kind as float32, or as the integers it holds."""
    kind = str(tensor.dtype).removeprefix("torch.")
    try:
        tensor = tensor.detach()
        if tensor.is_quantized:
            tensor = tensor.dequantize()
        if tensor.layout != torch.strided:
            tensor = tensor.to_dense()
        tensor = tensor.resolve_neg()
        if str(tensor.dtype) in _COUNTS or tensor.dtype == torch.float64:
            array = tensor.numpy()
        elif tensor.is_floating_point():
            array = tensor.to(torch.float32).numpy()
        else:
            raise TypeError(f"{kind} numbers")
    except Exception as error:  # Kinds without values, or that PyTorch itself cannot convert.
        raise UserError(
            f"weights {file!r}: {name!r} cannot be read as float32: {kind}, {first_line(error)[:200]}",
            "floating-point numbers or integers",
        ) from None
    return array if array.dtype.kind in "iub" else in_float32(array, name, file)
