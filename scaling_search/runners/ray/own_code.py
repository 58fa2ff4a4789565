"""The driver's own code and settings, for the machines of a cluster.

They run the code that the driver runs, whatever is installed there: a checkout with changes that nobody has committed
too. What it stands on (Python, JAX and so on) is too large to send; `nodes` compares it instead.
"""

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import scaling_search

METADATA = ("METADATA", "entry_points.txt")


def runtime_environment(worker_env: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """Ray's runtime environment of the processes that train; `folder` is where their code is put together.

    Ray sends it to each machine once, starts processes there, and has them import from there before all else.
    """
    # Given a working_dir, Ray no longer puts the folder that the driver is in before everything: on another machine
    # there may be an old checkout at its place.
    places = os.pathsep.join([*own_places(sys.path), *filter(None, [worker_env.get("PYTHONPATH")])])
    return {"working_dir": str(staged(folder)), "env_vars": {**worker_env, "PYTHONPATH": places}}


def staged(folder: Path) -> Path:
    """`folder`, filled with a copy of this package, all rooms included, and with what it is installed as.

    The latter has the entry points, by which families are found by name.
    """
    package = Path(scaling_search.__file__).parent
    shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    try:
        installed = metadata.distribution("scaling-search")
    except metadata.PackageNotFoundError:
        return folder
    place = folder / f"scaling_search-{installed.version}.dist-info"
    place.mkdir()
    for name in METADATA:
        # A folder that setuptools makes in a checkout calls it otherwise.
        text = installed.read_text(name) or (installed.read_text("PKG-INFO") if name == "METADATA" else None)
        if text is not None:
            (place / name).write_text(text, encoding="utf-8")
    return folder


def own_places(path: Iterable[str]) -> list[str]:
    """The folders of a module search path that are no part of a Python installation.

    On machines that share them, as by a network file system, a user's own modules are found there.
    """
    installed = {Path(place).resolve() for place in (sys.prefix, sys.base_prefix, *sysconfig.get_paths().values())}
    places = (Path(place or ".").resolve() for place in path)
    return [str(place) for place in places if place.is_dir() and not installed & {place, *place.parents}]
