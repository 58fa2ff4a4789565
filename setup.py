"""Builds the native CPU kernels where a C++ compiler is there; without one, or if it fails, the package does without.

All else about the package is in setup.cfg. To build in place: `python setup.py build_ext --inplace`.
"""

import importlib.util
import os
import platform
import shutil
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

SOURCE = Path("scaling_search/native")
X86_64 = platform.machine().lower() in ("x86_64", "amd64")
# The same kernels for each instruction set; which one runs is chosen by the CPU it runs on.
AVX512 = ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw"]
INSTRUCTION_SETS = [[]] + [["-mavx2", "-mfma"], AVX512] * X86_64
# What multiplies tiles of bfloat16, with compilers that know how; without these its file is all but empty.
AMX = [*AVX512, "-mavx512bf16", "-mamx-tile", "-mamx-bf16"] * X86_64


def has_compiler() -> bool:
    """Whether the C++ compiler that Python would call is there."""
    command = os.environ.get("CXX") or sysconfig.get_config_var("CXX") or "c++"
    return os.name == "posix" and shutil.which(command.split()[0]) is not None


def ffi_headers() -> Path | None:
    """The folder of XLA's FFI headers, which jaxlib brings: where it can be imported or will be installed beside."""
    spec = importlib.util.find_spec("jaxlib")
    places = list(spec.submodule_search_locations or []) if spec else []
    places.append(f"{sysconfig.get_path('purelib')}/jaxlib")
    folders = [Path(place) / "include" for place in places]
    return next((folder for folder in folders if (folder / "xla/ffi/api/ffi.h").is_file()), None)


# Compiled once, and once for each.
ONCE = (
    "ffi.cc",
    "parallel.cc",
    "batch_norm_ffi.cc",
    "depthwise_ffi.cc",
    "norm_depthwise_ffi.cc",
    "residual_ffi.cc",
    "squeeze_excite_ffi.cc",
    "pointwise_ffi.cc",
    "pooling_ffi.cc",
    "dense_ffi.cc",
    "amx_ffi.cc",
    "grouped_ffi.cc",
    "muon.cc",
    "rmsprop_ffi.cc",
    "random_ffi.cc",
)
KERNELS = (
    "kernels.cc",
    "depthwise.cc",
    "batch_norm.cc",
    "squeeze_excite.cc",
    "pointwise.cc",
    "dense.cc",
    "grouped.cc",
    "pooling.cc",
    "rmsprop.cc",
    "residual.cc",
)


class BuildKernels(build_ext):
    """Compiles kernels once for each instruction set, which an Extension's arguments cannot say."""

    def build_extension(self, extension: Extension) -> None:
        """Builds the one extension: a plain shared library with C symbols."""
        headers = ffi_headers()
        if headers is None:
            raise OSError("jaxlib's headers were not found")
        # System headers, as their warnings are not ours.
        common = ["-std=c++17", "-O3", "-fPIC", "-g0", "-isystem", str(headers)]

        def compiled(job: tuple[str, list[str]]) -> list[str]:
            source, flags = job
            folder = Path(self.build_temp, "_".join(["objects", *flags]).replace("-", ""))
            return self.compiler.compile([str(SOURCE / source)], output_dir=str(folder), extra_postargs=common + flags)

        def compiled_amx() -> list[str]:
            try:
                return compiled(("amx.cc", AMX))
            except CompileError:
                return compiled(("amx.cc", []))

        jobs = [(source, []) for source in ONCE]
        jobs.append(("resize.cc", ["-ffp-contract=off"]))
        jobs += [(source, flags) for source in KERNELS for flags in INSTRUCTION_SETS]
        with ThreadPoolExecutor() as pool:
            amx = pool.submit(compiled_amx)
            objects = [name for names in pool.map(compiled, jobs) for name in names] + amx.result()
        target = Path(self.get_ext_fullpath(extension.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        self.compiler.link_shared_object(objects, str(target), target_lang="c++")


wanted = has_compiler()
setup(
    cmdclass={"build_ext": BuildKernels},
    ext_modules=[Extension("scaling_search.native._kernels", [str(SOURCE / "ffi.cc")], optional=True)]
    if wanted
    else [],
    # Asked for only where it is of use: without a compiler nothing is fetched for the build.
    setup_requires=["jaxlib>=0.10,<0.13"] if wanted and ffi_headers() is None else [],
)
