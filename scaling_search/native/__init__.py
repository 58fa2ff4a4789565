"""Native CPU kernels, an accelerator that is never required: whether they are in use.

The library is built at installation where a C++ compiler is there (setup.py). Set SCALING_SEARCH_NATIVE=0 to do without
it. The choice is made here, once a process, and `networks.lowering` asks for it. They are called through
`native.calls`; `native.resize` needs nothing of XLA.
"""

import ctypes
import os
import re
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import NamedTuple

from scaling_search.errors import first_line
from scaling_search.native import choice

VARIABLE = "SCALING_SEARCH_NATIVE"
CALLS = (
    "depthwise",
    "depthwise_gradient",
    "norm_depthwise",
    "norm_depthwise_gradient",
    "batch_norm",
    "batch_norm_gradient",
    "normalise",
    "norm_residual",
    "half_batch_norm",
    "half_batch_norm_gradient",
    "half_normalise",
    "half_norm_depthwise",
    "half_norm_depthwise_gradient",
    "half_norm_residual",
    "half_norm_squeeze_excite",
    "half_norm_squeeze_excite_gradient",
    "norm_squeeze_excite",
    "norm_squeeze_excite_gradient",
    "squeeze_excite",
    "squeeze_excite_gradient",
    "split",
    "moving_average",
    "dense",
    "dense_dx",
    "dense_dkernel",
    "pointwise",
    "pointwise_gradient",
    "gathered",
    "gathered_dkernel",
    "max_pool",
    "max_pool_gradient",
    "grouped",
    "grouped_dx",
    "grouped_dkernel",
    "amx",
    "amx_dx",
    "amx_dkernel",
    "muon",
    "rmsprop",
    "kept",
)


def available() -> bool:
    """Whether the native kernels are in use on a CPU. The first call loads the library and tells XLA of it."""
    return _load().in_use


def convolves() -> bool:
    """Whether dense and grouped convolutions are native too, where `choice` says so of their shapes."""
    return available() and choice.convolves(lanes())


def has_amx() -> bool:
    """Whether convolutions in bfloat16 are native: the CPU has the tile instructions for their products (AMX)."""
    return _load().amx


def lanes() -> int:
    """Floats of a register of the instructions in use; 0 without a library."""
    return _load().lanes


def status() -> str:
    """One line: whether the native kernels are in use, and with which instructions or why not."""
    return _load().status


def library() -> ctypes.CDLL | None:
    """The library, without XLA; None where there is none, it cannot be loaded, or is not to be used."""
    path = _library()
    if path is None or os.environ.get(VARIABLE) == "0":
        return None
    try:
        return ctypes.CDLL(str(path))
    except OSError:
        return None


class _Loaded(NamedTuple):
    in_use: bool
    status: str
    lanes: int = 0
    amx: bool = False


@cache
def _load() -> _Loaded:
    if os.environ.get(VARIABLE) == "0":
        return _Loaded(False, f"native kernels: not in use: {VARIABLE}=0")
    path = _library()
    if path is None:
        return _Loaded(False, "native kernels: not in use: no compiled library (no C++ compiler at installation)")
    try:
        library = _register(path)
    except Exception as error:  # Whatever is wrong with a library, the other path remains.
        return _Loaded(False, f"native kernels: not in use: {first_line(error)}")
    library.scaling_search_instructions.restype = ctypes.c_char_p
    library.scaling_search_lanes.restype = ctypes.c_int64
    instructions, floats = library.scaling_search_instructions().decode(), library.scaling_search_lanes()
    amx = bool(library.scaling_search_has_amx())
    return _Loaded(True, f"native kernels: in use, {instructions}; for {choice.chosen(floats, amx)}", floats, amx)


def _library() -> Path | None:
    paths = [Path(__file__).with_name(f"_kernels{suffix}") for suffix in EXTENSION_SUFFIXES]
    return next((path for path in paths if path.is_file()), None)


def _register(path: Path) -> ctypes.CDLL:
    """Loads the library and registers its calls with XLA."""
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
    return library


def _ffi_version(headers: Path) -> tuple[int, int]:
    """The FFI version of the jaxlib that runs, from the headers it brings."""
    text = (headers / "xla/ffi/api/c_api.h").read_text()
    major, minor = (re.search(rf"#define XLA_FFI_API_{part} (\d+)", text) for part in ("MAJOR", "MINOR"))
    if major is None or minor is None:
        raise RuntimeError("the version of jaxlib's FFI is unknown")
    return int(major[1]), int(minor[1])
