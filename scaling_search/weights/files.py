"""Named arrays in files: safetensors in and out, whole or in shards, and NumPy archives in. Never a pickle.

Floating-point numbers of any size are read as float32; integers stay what they are.
"""

import hashlib
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from scaling_search.atomic import write_atomically
from scaling_search.bounded import check_expansion
from scaling_search.errors import UserError, first_line
from scaling_search.places import Place, place_of

Arrays = dict[str, np.ndarray]

READABLE = "a .safetensors or .npz file"
INDEX = ".index.json"
"""How the name of the index of a sharded file ends: it says which shard has which tensor."""
IN_FOLDER = ("model.safetensors", "model.safetensors.index.json")
"""What Hugging Face calls the weights in a model's folder."""
_DTYPES: dict[str, Any] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
    "F8_E8M0": ml_dtypes.float8_e8m0fnu,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
_PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".pkl", ".pth.tar", ".tar")


def digest_of(file: str | Place) -> str:
    """SHA-256 of a file's content, or of a sharded one's index and shards. Raises UserError where it cannot be read."""
    path = _located(file)
    if not path.name.endswith(INDEX):
        return hashlib.sha256(_content(path, file)).hexdigest()
    parts = (path, *(path.with_name(name) for name in sorted(set(_weight_map(path, file).values()))))
    digests = [hashlib.sha256(_content(part, part)).hexdigest() for part in parts]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def read_arrays(file: str | Place, digest: str | None = None) -> Arrays:
    """Every array of a file by its name: a .safetensors or .npz file, the index of a sharded one, or a folder of
    Hugging Face's layout. With `digest`, only if that is its content's.

    Raises UserError where there is no such file, it is of another kind, it is damaged, its content is another, or it
    holds numbers that float32 cannot.
    """
    if digest is not None and digest_of(file) != digest:
        raise UserError(f"weights {str(file)!r} are no longer what they were when the run began")
    path = _located(file)
    name = path.name.lower()
    if name.endswith(INDEX):
        return _sharded(path, file)
    if name.endswith(".safetensors"):
        _refuse_one_shard(path, file)
        return safetensors_arrays(_content(path, file), str(file))
    if name.endswith(".npz"):
        return numpy_arrays(_content(path, file), str(file))
    pickle = name.endswith(_PICKLES)
    raise UserError(
        f"weights {str(file)!r} given",
        READABLE,
        "a PyTorch checkpoint is a pickle, which can run code: turn it into safetensors first, with "
        "scaling-search weights convert"
        if pickle
        else "",
    )


def read_metadata(file: str | Place) -> dict[str, str]:
    """The metadata of a safetensors file, or of a folder that has one; empty for any other file that can be read.

    Raises UserError where the file cannot be read.
    """
    path = _located(file)
    if path.suffix.lower() != ".safetensors":
        return {}
    content = _content(path, file)
    safetensors_arrays(content, str(file))
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return dict(header.get("__metadata__") or {})


def safetensors_arrays(content: bytes, file: str) -> Arrays:
    """The arrays in the content of a safetensors file, which messages call `file`. Raises UserError."""
    from safetensors import deserialize

    refuse_what_is_no_weights(content, file)
    try:
        tensors = deserialize(content)
    except Exception as error:  # safetensors has an exception of its own.
        reason = first_line(error).removeprefix("Error while deserializing: ")
        raise UserError(f"weights {file!r} cannot be read: damaged or cut off ({reason})") from None
    arrays = {}
    for name, tensor in sorted(tensors):
        dtype = _DTYPES.get(tensor["dtype"])
        if dtype is None:
            raise _refused(name, tensor["dtype"], file)
        try:
            array = np.frombuffer(tensor["data"], dtype).reshape(tensor["shape"])
        except ValueError as error:  # A length of 2^63 beside one of 0.
            raise UserError(f"weights {file!r} cannot be read: {name!r}: {first_line(error)}") from None
        arrays[name] = array if array.dtype.kind in "iub" else in_float32(array, name, file)
    return arrays


def numpy_arrays(content: bytes, file: str) -> Arrays:
    """The arrays in the content of a NumPy archive, which messages call `file`. Raises UserError."""
    refuse_what_is_no_weights(content, file)
    if not content.startswith(b"PK"):
        raise UserError(f"weights {file!r} cannot be read: the file is not a NumPy archive")
    arrays = {}
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            check_expansion(sum(member.file_size for member in archive.zip.infolist()), len(content), file)
            for name in archive.files:
                arrays[name] = np.asarray(archive[name])
    except UserError:
        raise
    except Exception as error:  # Whatever damage makes zipfile, zlib and NumPy raise.
        raise UserError(f"weights {file!r} cannot be read: {first_line(error)}") from None
    for name, array in arrays.items():
        if array.dtype.kind == "f":
            arrays[name] = in_float32(array, name, file)
        elif array.dtype.kind not in "iub":
            raise _refused(name, str(array.dtype), file)
    return arrays


def in_float32(array: np.ndarray, name: str, file: str) -> np.ndarray:
    """Floating-point numbers as float32. Raises UserError where one is too large for it."""
    if array.dtype == np.float32:
        return array
    with np.errstate(over="ignore"):
        narrow = array.astype(np.float32)
    if not np.array_equal(np.isinf(narrow), np.isinf(array)):
        raise UserError(f"weights {file!r}: {name!r} holds {array.dtype} numbers too large for float32")
    return narrow


def refuse_what_is_no_weights(content: bytes, file: str) -> None:
    """Raises UserError for content that stands in a file of weights by mistake: nothing, a pointer, a web page."""
    start = content[:256].lstrip().lower()
    if not content:
        raise UserError(f"weights {file!r} cannot be read: the file is empty")
    if start.startswith(b"version https://git-lfs"):
        raise UserError(
            f"weights {file!r} cannot be read: the file is a Git LFS pointer, not the weights", hint="try git lfs pull"
        )
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise UserError(
            f"weights {file!r} cannot be read: the file is a web page, not the weights",
            hint="download the file itself",
        )


def write_arrays(file: str | Place, arrays: Mapping[str, np.ndarray], about: Mapping[str, str]) -> None:
    """Writes a .safetensors file, whole or not at all, with `about` as its metadata. Raises UserError."""
    from safetensors.numpy import save

    path = place_of(file)
    if path.suffix.lower() != ".safetensors":
        raise UserError(f"file {str(file)!r} given", "its name must end in .safetensors")
    if isinstance(path, Path) and not path.parent.is_dir():
        raise UserError(f"{str(path.parent)!r} is not a folder", hint="make it, or write elsewhere")
    content = save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, dict(about))
    try:
        write_atomically(path, content)
    except OSError as error:
        said = error.strerror or first_line(error)
        raise UserError(f"cannot write {str(file)!r}: {said}", hint="give another --output") from None


def _located(file: str | Place) -> Place:
    """The file to open for what a user gave: that file, or the weights in that folder."""
    path = place_of(file)
    try:
        if path.is_dir():
            found = next((path / name for name in IN_FOLDER if (path / name).is_file()), None)
            if found is None:
                raise UserError(
                    f"weights {str(file)!r} given: a folder without {IN_FOLDER[0]}", f"{READABLE}, or a model's folder"
                )
            return found
        if path.is_file():
            return path
        reason = "it is not a file" if path.exists() else "there is no such file"
    except (OSError, ValueError) as error:  # Names that are too long or hold a zero byte, folders one may not enter.
        reason = first_line(error)
    raise UserError(f"weights {str(file)!r} given", READABLE, reason)


def _content(path: Place, file: str | Place) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"weights {str(file)!r} cannot be read: there is no such file") from None
    except OSError as error:
        raise UserError(f"weights {str(file)!r} cannot be read: {error.strerror or first_line(error)}") from None
    except ValueError:
        raise UserError(f"weights {str(file)!r} cannot be read: no file can have such a name") from None
    except MemoryError:
        raise UserError(f"weights {str(file)!r} cannot be read: memory does not hold them") from None


def _sharded(index: Place, file: str | Place) -> Arrays:
    """The arrays that an index names, from the shards beside it."""
    weight_map = _weight_map(index, file)
    arrays: Arrays = {}
    for shard in sorted(set(weight_map.values())):
        held = safetensors_arrays(_content(index.with_name(shard), index.with_name(shard)), shard)
        expected = [name for name, place in weight_map.items() if place == shard]
        missing = [name for name in expected if name not in held]
        if missing:
            raise UserError(f"weights {str(file)!r} cannot be read: {shard!r} does not have {missing[0]!r}")
        arrays |= {name: held[name] for name in expected}
    return arrays


def _weight_map(index: Place, file: str | Place) -> dict[str, str]:
    """From the names of tensors to the names of the shards that hold them."""
    content = _content(index, file)
    refuse_what_is_no_weights(content, str(file))
    try:
        weight_map = json.loads(content)["weight_map"]
        shards = set(weight_map.values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UserError(
            f"weights {str(file)!r} cannot be read", "an index holds a weight_map from tensors to files"
        ) from None
    for shard in shards:
        if not isinstance(shard, str) or Path(shard).name != shard or not shard.endswith(".safetensors"):
            raise UserError(
                f"weights {str(file)!r} cannot be read: {shard!r} given as a shard",
                "a .safetensors file in the same folder",
                "convert each shard of PyTorch first, with scaling-search weights convert"
                if str(shard).endswith(_PICKLES)
                else "",
            )
    return dict(weight_map)


def _refuse_one_shard(path: Place, file: str | Place) -> None:
    shard = re.fullmatch(r"(.*)-\d{5}-of-(?!00001)\d{5}\.safetensors", path.name)
    index = path.with_name(f"{shard[1]}.safetensors{INDEX}") if shard else path
    if shard and index.is_file():
        raise UserError(f"weights {str(file)!r} given: one shard of several", f"their index, {index.name}")


def _refused(name: str, dtype: str, file: str) -> UserError:
    return UserError(f"weights {file!r}: {name!r} holds {dtype} numbers", "floating-point numbers or integers")
