"""Native CPU kernels, an accelerator that is never required: whether they are in use.

The library is built at installation where a C++ compiler is there (setup.py). Set SCALING_SEARCH_NATIVE=0 to do without
it. The choice is made here, once a process; `networks.ops` alone asks for it. They are called
through `native.calls`; `native.resize` needs nothing of XLA.
"""

import ctypes
import os
import re
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from scaling_search.errors import first_line
from scaling_search.native import choice

VARIABLE = "SCALING_SEARCH_NATIVE"
CALLS = (
    "depthwise",
    "depthwise_gradient",
    "batch_norm",
    "batch_norm_gradient",
    "normalise",
    "squeeze_excite",
    "squeeze_excite_gradient",
    "split",
    "moving_average",
    "dense",
    "dense_dx",
    "dense_dkernel",
    "grouped",
    "grouped_dx",
    "grouped_dkernel",
    "muon",
)


def available() -> bool:
    """Whether the native kernels are in use on a CPU. The first call loads the library and tells XLA of it."""
    return _load()[0]


def convolves() -> bool:
    """Whether dense convolutions are native too, as `choice` says: measured with AVX2 and AVX-512, not without."""
    return available() and "AVX" in _load()[1]


def status() -> str:
    """One line: whether the native kernels are in use, and with which instructions or why not."""
    return _load()[1]


def library() -> ctypes.CDLL | None:
    """The library, without XLA; None where there is none, it cannot be loaded, or is not to be used."""
    path = _library()
    if path is None or os.environ.get(VARIABLE) == "0":
        return None
    try:
        return ctypes.CDLL(str(path))
    except OSError:
        return None


@cache
def _load() -> tuple[bool, str]:
    if os.environ.get(VARIABLE) == "0":
        return False, f"native kernels: not in use: {VARIABLE}=0"
    path = _library()
    if path is None:
        return False, "native kernels: not in use: no compiled library (no C++ compiler at installation)"
    try:
        instructions = _register(path)
    except Exception as error:  # Whatever is wrong with a library, the other path remains.
        return False, f"native kernels: not in use: {first_line(error)}"
    return True, f"native kernels: in use, {instructions}; for {choice.chosen(dense='AVX' in instructions)}"


def _library() -> Path | None:
    paths = [Path(__file__).with_name(f"_kernels{suffix}") for suffix in EXTENSION_SUFFIXES]
    return next((path for path in paths if path.is_file()), None)


def _register(path: Path) -> str:
    """Loads the library and registers its calls with XLA; the name of the instructions it chose."""
    import jax

    library = ctypes.CDLL(str(path))
    built = (library.scaling_search_ffi_major(), library.scaling_search_ffi_minor())
    running = _ffi_version(Path(jax.ffi.include_dir()))
    if built[0] != running[0] or built[1] > running[1]:
        raise RuntimeError(
            "compiled for XLA FFI {}.{}, but jaxlib has {}.{}; install scaling-search again".format(*built, *running)
        )
    for name in CALLS:
        symbol = getattr(library, f"scaling_search_{name}")
        jax.ffi.register_ffi_target(f"scaling_search_{name}", jax.ffi.pycapsule(symbol), platform="cpu")
    library.scaling_search_instructions.restype = ctypes.c_char_p
    return str(library.scaling_search_instructions().decode())


def _ffi_version(headers: Path) -> tuple[int, int]:
    """The FFI version of the jaxlib that runs, from the headers it brings."""
    text = (headers / "xla/ffi/api/c_api.h").read_text()
    major, minor = (re.search(rf"#define XLA_FFI_API_{part} (\d+)", text) for part in ("MAJOR", "MINOR"))
    if major is None or minor is None:
        raise RuntimeError("the version of jaxlib's FFI is unknown")
    return int(major[1]), int(minor[1])
