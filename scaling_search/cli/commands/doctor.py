"""`doctor`: checks this machine."""

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scaling_search import __version__
from scaling_search.cli.command import Command, Format
from scaling_search.cli.tables import print_rows

PACKAGES = ("jax", "flax", "optax", "ray", "numpy", "pandas")


@dataclass(frozen=True)
class Doctor(Command):
    """Checks this machine: versions, cores, devices, native kernels, where compiled programs are kept.

    Example: scaling-search doctor
    """

    format: Format = "table"
    """How the table is printed."""

    def execute(self) -> None:
        """Prints a line for each thing that decides whether, and how fast, a run works here."""
        print_rows([{"what": what, "found": _said(find)} for what, find in CHECKS.items()], self.format)


def _said(find: Callable[[], str]) -> str:
    from scaling_search.errors import in_one_line

    try:
        return find()
    except Exception as error:  # Whatever is wrong is what is to be reported.
        return f"not usable: {in_one_line(error)}"


def _packages() -> str:
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)


def _cores() -> str:
    from scaling_search.runners.ray.cores import cores_available

    return f"{cores_available()} of {os.cpu_count()}, {platform.machine()}"


def _memory() -> str:
    pages = {name: os.sysconf(f"SC_{name}") for name in ("PHYS_PAGES", "PAGE_SIZE")}
    return f"{pages['PHYS_PAGES'] * pages['PAGE_SIZE'] / 2**30:.1f} GiB"


def _disk() -> str:
    return f"{shutil.disk_usage(Path.cwd()).free / 2**30:.1f} GiB free in {Path.cwd()}"


def _devices() -> str:
    import jax

    from scaling_search.recipe import Recipe
    from scaling_search.training.devices import memory_limit, peak_flops
    from scaling_search.training.precision import precision_of

    devices = jax.devices()
    kinds = [device.device_kind for device in devices]
    found = []
    for kind in dict.fromkeys(kinds):
        limit, peak = memory_limit(devices[kinds.index(kind)]), peak_flops(kind)
        known = [f"{limit / 2**30:.1f} GiB for JAX"] if limit else []
        known += [f"peak {peak / 1e12:g} TFLOP/s in bfloat16"] if peak else []
        found.append(f"{kinds.count(kind)} x {kind}" + (f" ({', '.join(known)} each)" if known else ""))
    platform = jax.default_backend()
    return f"{platform}: {', '.join(found)}; trains in {precision_of(Recipe(), platform)}"


def _advice() -> str:
    import jax

    from scaling_search import native
    from scaling_search.runners.ray.cores import cores_available

    platform = jax.default_backend()
    if platform == "gpu":
        return "--gpus-per-trial 0.25, so that four trials share a GPU that small networks leave idle"
    if platform == "tpu":
        return "more chips: each trial takes --tpus-per-trial of them"
    if shutil.which("nvidia-smi"):
        return "this machine's NVIDIA GPU, which JAX does not use: pip install 'jax[cuda13]'"
    if not native.available():
        return "native kernels: install a C++ compiler, then reinstall"
    more = f"more cores ({cores_available()} trials run at a time, one per core), or a GPU"
    # Whatever is wide; small networks gain little.
    return f"--recipe.precision bfloat16, for networks as wide as ResNet-50; {more}" if native.has_amx() else more


def _native() -> str:
    from scaling_search import native

    return native.status().removeprefix("native kernels: ")


def _programs() -> str:
    from scaling_search.training.environment import training_environment

    folder = Path(training_environment()["JAX_COMPILATION_CACHE_DIR"])
    files = [file for file in folder.rglob("*") if file.is_file()] if folder.is_dir() else []
    size = sum(file.stat().st_size for file in files) / 2**20
    return f"{size:.0f} MiB in {folder}; may be deleted at any time"


CHECKS: dict[str, Callable[[], str]] = {
    "scaling-search": lambda: f"{__version__} in {Path(__file__).parents[2]}",
    "Python": lambda: f"{platform.python_version()} in {sys.prefix}",
    "packages": _packages,
    "CPU cores": _cores,
    "memory": _memory,
    "disk": _disk,
    "devices": _devices,
    "native kernels": _native,
    "would be faster with": _advice,
    "compiled programs": _programs,
}
