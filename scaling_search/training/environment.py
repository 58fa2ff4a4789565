"""What a process that trains needs in its environment before JAX starts. Loads no JAX."""

import hashlib
import os
import platform
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from scaling_search import native

XLA_FLAGS = " ".join(
    [
        # XLA's scheduler for concurrency keeps more buffers alive at once, which costs a step on a few cores a fifth.
        "--xla_cpu_enable_concurrency_optimized_scheduler=false",
        # Kernels that are chosen by timing them are others in each process, and take longer to choose than a small
        # network takes to train; `devices.compiler_options` has them chosen so for long trainings.
        "--xla_gpu_autotune_level=0",
        "--xla_gpu_enable_triton_gemm=false",
    ]
)

CACHE_BYTES = 4 * 2**30
"""What compiled programs may take on disk."""

DRIVERS_PLATFORMS = "SCALING_SEARCH_JAX_PLATFORMS"
"""Where `keep_off_accelerators` leaves what JAX_PLATFORMS was, for the processes that train."""

KEPT_BYTES = 384 * 2**20
"""Memory of a step up to which it is kept for the next one. XLA asks for it anew in each step, and what was given back
the system clears first: a tenth to a sixth of B0's step at 32 to 96 px. Where steps take more, keeping it may double
what the process holds, for less."""

HUGE_PAGES = "glibc.malloc.hugetlb=1"
"""Memory in pages of 2 MiB, where the kernel grants them on request. B0's step at 32 to 224 px took 19 to 45 % less
time with them on an EPYC, as its large arrays are walked through once each; a small network gains little."""

KEEPING = ":".join(
    [
        # Only the main arena can keep blocks above 32 MiB.
        "glibc.malloc.arena_max=1",
        f"glibc.malloc.mmap_threshold={KEPT_BYTES}",
        f"glibc.malloc.trim_threshold={2 * KEPT_BYTES}",
    ]
)


def malloc_settings() -> str:
    """How memory is had, for GNU's C library. Other C libraries, and other systems, pay it no heed.

    Without native kernels nothing is kept: XLA has much to compile then, on many threads, which one arena would make
    wait for each other.
    """
    return f"{HUGE_PAGES}:{KEEPING}" if native.library() else HUGE_PAGES


def training_environment() -> dict[str, str]:
    """Environment variables: XLA's flags, how memory is had, and a cache of compiled programs that later runs share."""
    return {
        "XLA_FLAGS": XLA_FLAGS,
        "GLIBC_TUNABLES": os.environ.get("GLIBC_TUNABLES", malloc_settings()),
        "JAX_COMPILATION_CACHE_DIR": os.environ.get("JAX_COMPILATION_CACHE_DIR", str(compilation_cache())),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": os.environ.get(
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1"
        ),
        "JAX_PLATFORMS": os.environ.get(DRIVERS_PLATFORMS, os.environ.get("JAX_PLATFORMS", "")),
    }


def with_users_flags(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with this process's own XLA_FLAGS behind those in it: of two contrary flags, the last counts."""
    return {**environment, "XLA_FLAGS": f"{environment['XLA_FLAGS']} {os.environ.get('XLA_FLAGS', '')}".strip()}


def keep_off_accelerators() -> None:
    """Has JAX use the CPU alone in this process, but not in those that get `training_environment`.

    A process that only counts costs would take most of a GPU's memory, or all of a TPU, from those that train. To be
    called before JAX is used.
    """
    os.environ.setdefault(DRIVERS_PLATFORMS, os.environ.get("JAX_PLATFORMS", ""))
    os.environ["JAX_PLATFORMS"] = "cpu"
    if "jax" in sys.modules:
        sys.modules["jax"].config.update("jax_platforms", "cpu")


def trim_cache(folder: Path, limit: int = CACHE_BYTES) -> None:
    """Removes the compiled programs that were used longest ago, until the others take at most `limit` bytes.

    JAX's own bound, JAX_COMPILATION_CACHE_MAX_SIZE, never recovers from a process that is killed while it writes.
    """
    used = []
    for file in folder.rglob("*"):
        # Another process may remove it meanwhile.
        with suppress(OSError):
            if file.is_file():
                used.append((file.stat().st_atime, file.stat().st_size, file))
    excess = sum(size for _, size, _ in used) - limit
    for _, size, file in sorted(used, key=lambda one: one[0]):
        if excess <= 0:
            return
        with suppress(OSError):
            file.unlink()
        excess -= size


def compilation_cache() -> Path:
    """Where compiled programs are kept: a folder for each kind of CPU, as code for one may not run on another."""
    try:
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        features = next((line for line in info.splitlines() if line.startswith(("flags", "Features"))), "")
    except OSError:
        features = platform.processor()
    kind = hashlib.sha256(f"{platform.machine()} {features}".encode()).hexdigest()[:12]
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "scaling-search" / "xla" / kind
