"""The run directory: what a run writes, and how it reads back. The one room that knows either; no JAX, no Ray.

    runs/NAME/manifest.json       the config, the versions, the seeds, the state of git
    runs/NAME/trials/KEY.json     one record a trial, written once and never changed
    runs/NAME/step1.json          the grid: every point, the network it rounds to and what that costs
    runs/NAME/step2.json          B0..B7 by the found and by the published coefficients
    runs/NAME/nas.json            a search for a baseline: its config, what was tried, the best
    runs/NAME/latencies.json      what its networks take for one image, where that is its metric
    runs/NAME/*.csv, *.parquet    tables made from these, and figures beside them

Every file appears whole or not at all: it is written beside its place, flushed to disk and renamed.
"""

import dataclasses
import fcntl
import json
import os
import platform
import subprocess
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from scaling_search.atomic import write_atomically
from scaling_search.config import RunConfig, Workers, run_config_from_dict, to_dict
from scaling_search.errors import UserError

RECORDED_PACKAGES = ("scaling-search", "jax", "jaxlib", "flax", "optax", "ray", "numpy", "pandas")


class Recorded(Protocol):
    """What has records of trials."""

    def records(self) -> Iterator[dict[str, Any]]:
        """Every finished trial."""


@dataclass(frozen=True)
class RunDirectory:
    """A run on disk."""

    path: Path

    def manifest(self) -> dict[str, Any]:
        """The manifest as plain data. Raises UserError where there is none that can be read."""
        return _read_json(self.path / "manifest.json", f"{self.path} is not a run")

    def config(self) -> RunConfig:
        """The config the run was started with, naming the folder where the run lies now."""
        stored = run_config_from_dict(self.manifest()["config"])
        here = self.path.resolve()
        return dataclasses.replace(stored, runs=str(here.parent), name=here.name)

    def records(self) -> Iterator[dict[str, Any]]:
        """Every finished trial. A record that cannot be read is passed over with a warning that names it."""
        for file in sorted((self.path / "trials").glob("*.json")):
            try:
                record = json.loads(file.read_text(encoding="utf-8"))
                if record["key"] != file.stem or not {"network", "seed"} <= record["spec"].keys():
                    raise ValueError("it is not the record its name says")
                record["outcome"]["status"]
            except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
                warnings.warn(f"passed over {file}: {error}", stacklevel=2)
                continue
            yield record

    def write_record(self, record: dict[str, Any]) -> None:
        """Adds a finished trial."""
        _write(self.path / "trials" / f"{record['key']}.json", _json_bytes(record))

    def document(self, name: str) -> dict[str, Any] | None:
        """The JSON document `name` ("step1", say), or None where the run has not come that far."""
        file = self.path / f"{name}.json"
        return _read_json(file, f"{file} cannot be read") if file.exists() else None

    def write_document(self, name: str, tree: dict[str, Any]) -> None:
        """Writes or replaces the JSON document `name`."""
        _write(self.path / f"{name}.json", _json_bytes(tree))

    def write_file(self, name: str, content: bytes) -> Path:
        """Writes or replaces a file of the run, a table or a figure, and returns where it lies."""
        _write(self.path / name, content)
        return self.path / name

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps a second process from working on the same run. The lock goes with the process, however it ends."""
        with _clear_os_errors(self.path), open(self.path / ".lock", "a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"another process is working on {self.path}", hint="wait for it, or give another --name"
                ) from None
            yield


def open_run(path: str | Path) -> RunDirectory:
    """An existing run. Raises UserError where there is none."""
    run = RunDirectory(Path(path))
    run.manifest()
    return run


def start_run(config: RunConfig, data: str, workers: Workers | None = None) -> RunDirectory:
    """The directory of `config`: made anew, or, where it exists with the same config and images, gone on with.

    `data` names the images with a digest of their content. Raises UserError where the run exists with another
    config, or cannot be written.
    """
    run = RunDirectory(Path(config.runs).expanduser() / config.run_name)
    with _clear_os_errors(run.path):
        (run.path / "trials").mkdir(parents=True, exist_ok=True)
    if (run.path / "manifest.json").exists():
        manifest = run.manifest()
        changes = differences(
            {**run_config_from_dict(manifest["config"]).what_it_computes(), "images": manifest["data"]},
            {**config.what_it_computes(), "images": data},
        )
        if changes:
            raise UserError(
                f"{run.path} exists with another config: {'; '.join(changes)}",
                hint="give another --name, or go on with the old one by scaling-search resume " + str(run.path),
            )
        return run
    run.write_document(
        "manifest",
        {
            "config": to_dict(config),
            "workers": to_dict(workers or Workers()),
            "data": data,
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "python": platform.python_version(),
            "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
            "packages": _package_versions(),
            "git": _git_state(),
        },
    )
    return run


def finished_records(runs: Iterable[Recorded]) -> dict[str, dict[str, Any]]:
    """Records by trial key over several runs, the first run's where a trial is in more than one.

    A trial whose process died is not among them: it is worth another try.
    """
    records: dict[str, dict[str, Any]] = {}
    for run in runs:
        for record in run.records():
            if record["outcome"]["status"] != "crashed":
                records.setdefault(record["key"], record)
    return records


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """What changed from one config as plain data to another, a sentence each."""
    changes: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            changes += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            changes.append(f"{prefix}{key} was {before!r} and is now {after!r}")
    return changes


def _read_json(file: Path, otherwise: str) -> dict[str, Any]:
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = f"no {file.name} in it" if isinstance(error, FileNotFoundError) else f"{file.name}: {error}"
        raise UserError(f"{otherwise} ({reason})", hint="name a folder under runs/") from None
    if not isinstance(tree, dict):
        raise UserError(f"{otherwise} ({file.name} holds no object)", hint="name a folder under runs/")
    return tree


def _json_bytes(tree: dict[str, Any]) -> bytes:
    return (json.dumps(tree, indent=1, allow_nan=False) + "\n").encode()


def _write(file: Path, content: bytes) -> None:
    with _clear_os_errors(file):
        write_atomically(file, content)


@contextmanager
def _clear_os_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}",
            "the run directory must be writable and have room; what was finished before is kept",
            "make room or give another --runs FOLDER, then run the same command again",
        ) from error


def _package_versions() -> dict[str, str]:
    versions = {}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


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
