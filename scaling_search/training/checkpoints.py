"""Checkpoints of trainings on disk, by Orbax. Loads neither JAX nor Orbax before there is one to write or to read.

    FOLDER/KEY/STEPS/arrays   numbers of the trial KEY after so many steps, by name
    FOLDER/KEY/STEPS/about    what else there is to know, as JSON, with a checksum of all
    FOLDER/orders             says whether trainings are to end before their time

Orbax writes beside the place, in the background, and renames; the last two are kept. Nothing in them is a pickle.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from scaling_search.atomic import write_atomically
from scaling_search.errors import UserError, in_one_line
from scaling_search.trial import Epoch

Arrays = Mapping[str, np.ndarray]

KEPT = 2
"""Checkpoints of a training that are kept, so that there is one where the last is damaged."""
_STOP = "stop"


@dataclass(frozen=True)
class Checkpoints:
    """Where trainings write checkpoints, and how often. Goes to the processes that train."""

    folder: Path
    """Absolute, and on a file system that every machine of the run shares."""
    every: float = 600.0
    """Seconds between two checkpoints of a training, at least."""
    least: float = 60.0
    """Seconds that a training has taken before it writes any."""
    curves: Path | None = None
    """Where each training writes its learning curve as it goes on, for trackers; None where nobody looks."""

    def of(self, key: str) -> Path:
        """The folder of a trial's checkpoints."""
        return self.folder / key

    def remove(self, key: str) -> None:
        """Removes the checkpoints of a trial, which needs them no more, if there are any."""
        with suppress(OSError):
            shutil.rmtree(self.of(key))

    def go_on(self) -> None:
        """Takes back the order to end."""
        self._order("go on")

    def stop(self) -> None:
        """Has trainings write a checkpoint and end."""
        self._order(_STOP)

    def stop_asked(self) -> bool:
        """Whether trainings are to end."""
        # The file is there from the start: over NFS, one that appears may go unseen for a minute.
        try:
            return self._orders.read_text(encoding="utf-8") == _STOP
        except OSError:
            return False

    def settle(self) -> None:
        """Removes the orders, and the folder where it holds no checkpoints."""
        with suppress(OSError):
            self._orders.unlink(missing_ok=True)
            self.folder.rmdir()

    def held(self) -> int:
        """How many trials have checkpoints."""
        return len({file.parent for file in self.folder.glob("*/[0-9]*") if file.name.isdecimal()})

    def size(self) -> int:
        """Bytes on disk of all checkpoints."""
        total = 0
        for file in self.folder.glob("*/**/*"):
            # Others are removed meanwhile.
            with suppress(OSError):
                total += file.stat().st_size if file.is_file() else 0
        return total

    @property
    def _orders(self) -> Path:
        return self.folder / "orders"

    def _order(self, order: str) -> None:
        # Where it cannot be written, trainings go on, and are ended without a checkpoint.
        with suppress(OSError):
            self._orders.write_text(order, encoding="utf-8")


class Series:
    """The checkpoints of one trial, by how many steps it had done."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._manager: Any = None

    def numbers(self) -> list[int]:
        """Those there are, the last one first."""
        with suppress(OSError):
            return sorted((int(one.name) for one in self.folder.iterdir() if one.name.isdecimal()), reverse=True)
        return []

    def write(self, number: int, arrays: Arrays, about: Mapping[str, Any]) -> None:
        """Begins to write a checkpoint, once the one before it is there. The arrays must not change any more.

        Raises whatever went wrong with that one, or goes wrong with this.
        """
        import orbax.checkpoint as ocp

        # Orbax refuses arrays without elements.
        held = {name: array for name, array in arrays.items() if array.size}
        signed = {**about, "digest": _digest(held, about)}
        try:
            self._open().save(
                number,
                args=ocp.args.Composite(arrays=ocp.args.StandardSave(held), about=ocp.args.JsonSave(signed)),
            )
        except Exception:
            self._manager = None
            raise

    def finish(self) -> None:
        """Waits until what was begun is written. Raises whatever went wrong."""
        if self._manager is not None:
            manager, self._manager = self._manager, None
            manager.wait_until_finished()
            manager.close()

    def read(self, number: int) -> tuple[Arrays, dict[str, Any]]:
        """A checkpoint's arrays, but for those without elements, and what it says of itself.

        Raises UserError where it is damaged.
        """
        import orbax.checkpoint as ocp

        place = self.folder / str(number)
        try:
            found = self._open().restore(
                number,
                args=ocp.args.Composite(arrays=ocp.args.StandardRestore(), about=ocp.args.JsonRestore()),
            )
            about = dict(found.about)
            arrays = {name: np.asarray(array) for name, array in found.arrays.items()}
            whole = about.pop("digest", None) == _digest(arrays, about)
        except Exception as error:  # Whatever damage makes Orbax, TensorStore and JSON raise.
            self._manager = None
            raise UserError(f"checkpoint {place} cannot be read: {in_one_line(error)[:200]}") from None
        if not whole:
            raise UserError(f"checkpoint {place} is damaged: its content does not match its checksum")
        return arrays, about

    def forget_after(self, number: int) -> None:
        """Removes those with more steps: they could not be used, or will be written again."""
        for later in self.numbers():
            if later > number:
                with suppress(OSError):
                    shutil.rmtree(self.folder / str(later))
        self._manager = None

    def _open(self) -> Any:
        if self._manager is None:
            import jax
            import orbax.checkpoint as ocp

            options = ocp.CheckpointManagerOptions(max_to_keep=KEPT, cleanup_tmp_directories=True)
            if jax.process_count() > 1:
                # The first host writes, and all read: by themselves, as Orbax would have them do all of it together.
                me = jax.process_index()
                alone = ocp.options.MultiprocessingOptions(
                    primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"host-{me}"
                )
                self.folder.mkdir(parents=True, exist_ok=True)
                options = replace(options, create=False, cleanup_tmp_directories=me == 0, multiprocessing_options=alone)
            self._manager = ocp.CheckpointManager(self.folder, options=options)
        return self._manager


def _digest(arrays: Arrays, about: Mapping[str, Any]) -> str:
    """SHA-256 of numbers, names, shapes and types."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def write_curve(folder: Path, key: str, curve: Sequence[Epoch], images_per_second: float) -> None:
    """Writes the learning curve of a training that goes on, for `curve_so_far`. Raises OSError where it cannot."""
    told = {"curve": [asdict(point) for point in curve], "images_per_second": images_per_second}
    write_atomically(_curve_file(folder, key), json.dumps(told).encode())


def curve_so_far(folder: Path, key: str) -> tuple[list[Epoch], float | None]:
    """The learning curve of a training that goes on, and its images a second; nothing where there is none yet."""
    try:
        told = json.loads(_curve_file(folder, key).read_bytes())
        return [Epoch(**point) for point in told["curve"]], told["images_per_second"]
    except (OSError, ValueError):
        return [], None


def forget_curve(folder: Path, key: str) -> None:
    """Removes the curve of a training that has ended."""
    with suppress(OSError):
        _curve_file(folder, key).unlink(missing_ok=True)


def _curve_file(folder: Path, key: str) -> Path:
    return folder / f"{key}.json"
