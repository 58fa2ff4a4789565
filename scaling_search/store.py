"""The run directory: what a run writes, and how it is read back. Loads neither JAX nor Ray.

    runs/NAME/manifest.json       the kind of run and its config, the images, the versions, the state of git
    runs/NAME/trials/KEY.json     one record per trial, written once and never changed
    runs/NAME/records.parquet     the same together, where there are many: see `compacted`
    runs/NAME/rates.json          a probe of learning rates: its networks, the rates tried, and what follows
    runs/NAME/step1.json          the grid: every point, the network it rounds to and what that costs; its rounds
    runs/NAME/step2.json          B0..B7 by the found and by the published coefficients
    runs/NAME/sweep.json          the networks that a sweep or a training was given
    runs/NAME/nas.json            a search for a baseline: what was tried, and the best
    runs/NAME/latencies.json      latencies of its networks, if that is its metric
    runs/NAME/weights/            weights that are kept; while it goes on, a file for each trial, called by its key
    runs/NAME/checkpoints/        of trainings that go on: see `training.checkpoints`
    runs/NAME/weights.json        which file is of which trial
    runs/NAME/*.csv, *.parquet    tables made from these, and figures beside them

Every file appears whole or not at all: it is written beside its place, flushed to disk and renamed. A run may also lie
elsewhere, at s3://BUCKET/runs/NAME say: then each file is an object, which is put at once, and a lease (see `lease`) is
the lock.
"""

import dataclasses
import json
import platform
import re
import shlex
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from scaling_search import compacted, lease, unsent
from scaling_search.atomic import write_atomically
from scaling_search.checksums import DAMAGED, is_damaged, signed, unsigned
from scaling_search.config import FRESH_SEEDS, PROBE_SEEDS, Experiment, Kind, Workers, to_dict
from scaling_search.errors import UserError, in_one_line
from scaling_search.manifest import check_same, command_of, differences, kind_of, stored_config, with_steps_of
from scaling_search.places import Place, Remote, UnreachableError, contents, inside, place_of
from scaling_search.plain import MALFORMED, from_json
from scaling_search.provenance import here_and_now

_DOCUMENTS = ("step1", "step2", "sweep", "nas")
_NO_FAILURE = re.compile(r"\w+(Error|Exception)\b|.* has no training of it from seed \d+$")
"""What older versions stored as failures: exceptions, and trials that a replayed table does not have."""
_KEY = re.compile(r"[0-9a-f]{20}")
"""Of a trial: `Spec.key`."""
_DECISIVE = ("config", "data", "python", "machine", "packages", "git")
"""Parts of a manifest on which numbers may depend."""
_PLACES = ("name", "runs", "reuse")
"""Settings that only say where records lie."""


class Recorded(Protocol):
    """What has records of trials."""

    def records(self) -> Iterator[dict[str, Any]]:
        """Every finished trial."""


@dataclass(frozen=True)
class RunDirectory:
    """A run on disk."""

    path: Place

    def manifest(self) -> dict[str, Any]:
        """The manifest as plain data. Raises UserError where there is none that can be read, or it is damaged."""
        file = self.path / "manifest.json"
        tree = _read_json(file, f"{self.path} is not a run")
        if tree is None:
            raise UserError(f"{self.path} is not a run (no {file.name} in it)", hint=_NO_RUN_HINT)
        if is_damaged(tree):
            raise UserError(
                f"{file} is damaged: {DAMAGED}",
                hint=f"put a copy of it back, or start anew with another --name and --reuse {self.path}",
            )
        return unsigned(tree)

    def config(self) -> Experiment:
        """The config that the run was started with, also for runs of earlier versions."""
        try:
            return stored_config(self.manifest(), self._documents())
        except MALFORMED as error:
            raise UserError(f"the manifest of {self.path} cannot be read: {in_one_line(error)}") from None

    def kind(self) -> Kind:
        """What kind of run it is. Raises UserError where its documents do not say."""
        try:
            return kind_of(self.manifest(), self._documents())
        except MALFORMED as error:
            raise UserError(f"the manifest of {self.path} cannot be read: {in_one_line(error)}") from None

    def _documents(self) -> dict[str, dict[str, Any]]:
        return {name: tree for name in _DOCUMENTS if (tree := self.document(name)) is not None}

    @property
    def images(self) -> str:
        """The run's images as NAME:DIGEST, wherever they are now. Raises UserError where the manifest does not say."""
        images = self.manifest().get("data")
        if not isinstance(images, str):
            raise UserError(f"the manifest of {self.path} does not say which images were used")
        return images

    def command(self) -> str:
        """The command that repeats the run, quoted for a POSIX shell."""
        try:
            return shlex.join(["scaling-search", *command_of(self.config())])
        except UserError:
            # A run of another version: what its options were called is not known here.
            return shlex.join(["scaling-search", "resume", str(self.path)])

    def records(self) -> Iterator[dict[str, Any]]:
        """Every finished trial. Records that cannot be read are skipped, with a warning."""
        files = inside(self.path / "trials", "*.json")
        gathered = compacted.unchanged(self.path / compacted.NAME, files)
        read = contents([file for file in files if file.name not in gathered])
        for file in files:
            content = gathered[file.name] if file.name in gathered else next(read)
            try:
                if isinstance(content, OSError):
                    raise content
                record = from_json(content)
                if is_damaged(record):
                    raise ValueError(DAMAGED)
                if record["key"] != file.stem or not {"network", "seed"} <= record["spec"].keys():
                    raise ValueError("its content does not match its name")
                record["outcome"]["status"]
            except (*MALFORMED, OSError) as error:
                warnings.warn(f"skipped {file}: {error}", stacklevel=2)
                continue
            yield unsigned(record)

    def write_record(self, record: dict[str, Any]) -> None:
        """Adds a finished trial. One that cannot be written elsewhere is kept here: see `unsent`."""
        name, content = f"{record['key']}.json", _json_bytes(signed(record))
        try:
            _write(self.path / "trials" / name, content)
        except UserError as error:
            if not isinstance(self.path, Remote):
                raise
            kept = unsent.keep(self.path, name, content)
            raise UserError(f"{error}; until then, a finished trial is kept in {kept}") from None

    def gathered(self) -> bytes | None:
        """The content of a new `compacted.NAME`, or None where there is no need of one."""
        files = inside(self.path / "trials", "*.json")
        if len(files) < compacted.LEAST + len(compacted.unchanged(self.path / compacted.NAME, files)):
            return None
        stamped = compacted.stamps(files)
        return compacted.content_of(stamped, {f"{record['key']}.json": record for record in self.records()})

    def document(self, name: str) -> dict[str, Any] | None:
        """The JSON document `name`, such as "step1", or None if the run has not come that far."""
        file = self.path / f"{name}.json"
        return _read_json(file, f"{file} cannot be read")

    def write_document(self, name: str, tree: dict[str, Any]) -> None:
        """Writes or replaces the JSON document `name`; a manifest with a checksum."""
        _write(self.path / f"{name}.json", _json_bytes(signed(tree) if name == "manifest" else tree))

    def write_file(self, name: str, content: bytes) -> Place:
        """Writes or replaces a file of the run, a table or a figure, and returns its path."""
        _write(self.path / name, content)
        return self.path / name

    def in_use(self) -> bool:
        """Whether a process is working on the run now."""
        if isinstance(self.path, Remote):
            with suppress(OSError):
                return lease.holder(self.path) is not None
            return False
        try:
            import fcntl

            with open(self.path / ".lock", "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except (OSError, ImportError):
            # A run that was copied has no lock.
            return False
        return False

    @property
    def weights_folder(self) -> Place:
        """Where weights are kept."""
        return self.path / "weights"

    @property
    def checkpoints_folder(self) -> Place:
        """Where trainings that go on keep checkpoints."""
        return self.path / "checkpoints"

    def make_folder(self, folder: Place) -> None:
        """Makes a folder of the run where there is none."""
        with _clear_os_errors(folder, _RUNS_HINT):
            folder.mkdir(exist_ok=True)

    def weights(self) -> dict[str, Place]:
        """The files of weights that the run has, by the keys of their trials.

        In the order of `weights.json`, then those that have no other name yet.
        """
        there = {file.name: file for file in inside(self.weights_folder, "*.safetensors") if file.is_file()}
        named = {key: there.get(Path(str(name)).name) for key, name in (self.document("weights") or {}).items()}
        new = {file.stem: file for file in there.values() if _KEY.fullmatch(file.stem)}
        return {key: file for key, file in (named | new).items() if file is not None}

    @contextmanager
    def locked(self) -> Iterator[Callable[[], None]]:
        """Keeps a second process from working on the same run. The lock goes with the process, however it ends.

        Elsewhere it is a lease, which may be lost: what is yielded raises UserError where it is.
        """
        if isinstance(self.path, Remote):
            with lease.held(self.path) as check:
                for name, content in unsent.kept(self.path):
                    _write(self.path / "trials" / name, content)
                    unsent.forget(self.path, name)
                yield check
            return
        try:
            import fcntl
        except ImportError:
            raise UserError(
                f"runs cannot be written on {platform.system()}",
                "scaling-search trains on Linux and macOS",
                "on Windows, use the Windows Subsystem for Linux",
            ) from None
        with _clear_os_errors(self.path, _RUNS_HINT):
            lock = open(self.path / ".lock", "a+")  # noqa: SIM115
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"another process is working on {self.path}", hint="wait for it, or give another --name"
                ) from None
            yield lambda: None


def open_run(path: str | Place) -> RunDirectory:
    """An existing run. Raises UserError where there is none."""
    run = RunDirectory(place_of(path))
    run.manifest()
    return run


def start_run(
    config: Experiment,
    images: str,
    workers: Workers | None = None,
    *,
    given: Sequence[str] = (),
    counts: Mapping[str, int] | None = None,
) -> RunDirectory:
    """The directory of `config`: made anew, or, where it exists with the same config and images, continued.

    `images` names the images with a digest of their content, `counts` says how many `classes` and `training` images
    they have, and `given` what was passed as a Python object ("family", "data"), which a manifest cannot hold.

    Raises UserError if the run exists with another config or cannot be written.
    """
    run = RunDirectory(place_of(config.runs) / config.run_name)
    with _clear_os_errors(run.path, _RUNS_HINT):
        (run.path / "trials").mkdir(parents=True, exist_ok=True)
    if (run.path / "manifest.json").exists():
        continue_run(run, config, images)
        return run
    run.write_document(
        "manifest",
        {
            "kind": config.kind,
            "config": to_dict(config),
            "given": list(given),
            "workers": to_dict(workers or Workers()),
            "data": images,
            "images": dict(counts or {}),
            **here_and_now(),
        },
    )
    return run


def continue_run(run: RunDirectory, config: Experiment, images: str) -> None:
    """Checks that an existing run is of `config` and `images`, and notes in its manifest what is new.

    That is: another step that it is to do, another place of its images, and, as numbers may depend on them, another
    machine, other versions or another state of git (under `resumed`). Raises UserError where it is another run.
    """
    manifest, stored = run.manifest(), run.config()
    digests = (digest_of(manifest["data"]), digest_of(images))
    if changes := check_same(stored, config, digests):
        raise UserError(
            f"{run.path} exists with another config: {'; '.join(changes)}",
            hint=f"give another --name, or continue the old one: scaling-search resume {shlex.quote(str(run.path))}",
        )
    merged = with_steps_of(dataclasses.replace(config, name=stored.name, runs=stored.runs), stored)
    updated = {**manifest, "kind": merged.kind, "config": to_dict(merged)}
    made_by, now = (manifest.get("resumed") or [manifest])[-1], here_and_now()
    if any(made_by.get(name) != now[name] for name in now if name != "started"):
        updated["resumed"] = [*manifest.get("resumed", []), now]
    if updated != manifest:
        run.write_document("manifest", updated)


def changes_between(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """What numbers may depend on and is not the same in two manifests, one phrase each."""
    old, new = ({name: manifest.get(name) for name in _DECISIVE} for manifest in (first, second))
    for tree in (old, new):
        if isinstance(tree["config"], dict):
            tree["config"] = {name: value for name, value in tree["config"].items() if name not in _PLACES}
    return [line.removeprefix("config.") for line in differences(old, new)]


def digest_of(images: str) -> str:
    """The digest in a name of images, NAME:DIGEST, which stays when they move or are called something else."""
    return images.rpartition(":")[2]


def finished_records(runs: Iterable[Recorded]) -> dict[str, dict[str, Any]]:
    """Records by trial key over several runs, the first run's where a trial is in more than one.

    Crashed trials are left out, so that they are tried again.
    """
    records: dict[str, dict[str, Any]] = {}
    for run in runs:
        for record in run.records():
            if not _to_be_tried_again(record["outcome"]):
                records.setdefault(record["key"], record)
    return records


def _to_be_tried_again(outcome: dict[str, Any]) -> bool:
    """Whether a stored outcome does not settle its trial."""
    if outcome["status"] == "failed":
        return _NO_FAILURE.match(str(outcome.get("reason") or "")) is not None
    return bool(outcome["status"] != "ok")


def is_probe(manifest: Mapping[str, Any], seed: int) -> bool:
    """Whether trainings from `seed` choose learning rates and judge no network, see `RunConfig.probe_seeds`."""
    config = manifest["config"]
    return bool(config.get("rates") == "probe" and seed >= config.get("seed", 0) + PROBE_SEEDS)


def is_fresh(manifest: Mapping[str, Any], seed: int) -> bool:
    """Whether trainings from `seed` confirm a winner and select nothing, see `Experiment.fresh_seeds`."""
    return bool(seed >= manifest["config"].get("seed", 0) + FRESH_SEEDS) and not is_probe(manifest, seed)


_NO_RUN_HINT = "name a folder under runs/"


def _read_json(file: Place, otherwise: str) -> dict[str, Any] | None:
    """What is in a file, or None where there is none: elsewhere, to ask for that first takes a request more."""
    try:
        tree = from_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        if isinstance(error, UnreachableError):
            raise
        raise UserError(f"{otherwise} ({file.name}: {error})", hint=_NO_RUN_HINT) from None
    if not isinstance(tree, dict):
        raise UserError(f"{otherwise} ({file.name} is not a JSON object)", hint=_NO_RUN_HINT)
    return tree


def _json_bytes(tree: dict[str, Any]) -> bytes:
    return (json.dumps(tree, indent=1, allow_nan=False) + "\n").encode()


_RUNS_HINT = "free some space or give another --runs FOLDER, then run the same command again; finished trials are kept"


def output_file(output: str | Place, what: str, endings: Sequence[str]) -> Place:
    """The file that the user named for a `what`, whose name ends in one of `endings` ("png", say) in any case.

    Raises UserError where it ends otherwise, or its folder is not there.
    """
    file = place_of(output)
    if file.suffix.lower().removeprefix(".") not in endings:
        raise UserError(f"{what} {str(output)!r} given", f"its name must end in .{', .'.join(endings)}")
    if isinstance(file, Path) and not file.parent.is_dir():
        raise UserError(f"{file.parent} is not a folder", hint="create it, or write elsewhere")
    return file


def write_output(file: Place, content: bytes) -> Place:
    """Writes or replaces a file that the user named. Raises UserError where it cannot."""
    with _clear_os_errors(file, "give another --output"):
        write_atomically(file, content)
    return file


def _write(file: Place, content: bytes) -> None:
    with _clear_os_errors(file, _RUNS_HINT):
        write_atomically(file, content)


@contextmanager
def _clear_os_errors(path: Place, hint: str) -> Iterator[None]:
    try:
        yield
    except UnreachableError:
        raise
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}", "it must be writable, with space on its disk", hint
        ) from error
