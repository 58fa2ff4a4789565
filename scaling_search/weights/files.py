"""Named arrays in files: safetensors in and out, NumPy archives in. Never a pickle."""

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from scaling_search.atomic import write_atomically
from scaling_search.errors import UserError

Arrays = dict[str, np.ndarray]


def digest_of(file: str | Path) -> str:
    """SHA-256 of a file's content. Raises UserError where it cannot be read."""
    try:
        with open(Path(file).expanduser(), "rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"weights {str(file)!r} cannot be read: {error.strerror or error}") from None


def read_arrays(file: str | Path, digest: str | None = None) -> Arrays:
    """Every array of a .safetensors or .npz file by its name; with `digest`, only if that is its content's.

    Raises UserError where there is no such file, it is of another kind, it is damaged, or its content is another.
    """
    if digest is not None and digest_of(file) != digest:
        raise UserError(f"weights {str(file)!r} are no longer what they were when the run began")
    path = Path(file).expanduser()
    if not path.is_file():
        raise UserError(f"weights {str(file)!r} given", "a .safetensors or .npz file", "there is no such file")
    try:
        match path.suffix.lower():
            case ".safetensors":
                from safetensors.numpy import load_file

                return load_file(path)
            case ".npz":
                with np.load(path, allow_pickle=False) as archive:
                    return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"weights {str(file)!r} cannot be read: {error}") from None
    except Exception as error:  # safetensors has an exception of its own.
        raise UserError(f"weights {str(file)!r} cannot be read: {str(error).splitlines()[0]}") from None
    raise UserError(
        f"weights {str(file)!r} given",
        "a .safetensors or .npz file",
        "a .pth or .pt file is a pickle, which can run code: turn it into safetensors first, with "
        "scaling-search weights convert"
        if path.suffix.lower() in (".pth", ".pt", ".bin", ".ckpt")
        else "",
    )


def write_arrays(file: str | Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, str]) -> None:
    """Writes a .safetensors file, whole or not at all, with `about` as its metadata."""
    from safetensors.numpy import save

    path = Path(file).expanduser()
    if path.suffix.lower() != ".safetensors":
        raise UserError(f"file {str(file)!r} given", "its name ends in .safetensors")
    if not path.parent.is_dir():
        raise UserError(f"{path.parent} is no folder", hint="make it, or write elsewhere")
    content = save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, dict(about))
    try:
        write_atomically(path, content)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None
