"""What numbers may depend on beside a run's config: versions, the machine, the state of git."""

import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

RECORDED_PACKAGES = ("scaling-search", "jax", "jaxlib", "flax", "optax", "ray", "numpy", "pandas")


def here_and_now() -> dict[str, Any]:
    """What numbers may depend on beside the config."""
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "packages": _package_versions(),
        "git": _git_state(),
    }


def _package_versions() -> dict[str, str]:
    return {package: installed_version(package) or "not installed" for package in RECORDED_PACKAGES}


def installed_version(package: str) -> str | None:
    """The version of a package that is installed here, or None where it is not."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git_state() -> dict[str, Any] | None:
    """Commit and cleanliness of the source tree this package runs from, or None outside a checkout."""

    def git(*words: str) -> str:
        here = Path(__file__).parent
        done = subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--", ":/"))}
    except (OSError, subprocess.SubprocessError):
        return None
