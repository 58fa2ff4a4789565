"""What is known of encoded images without decoding them again: kept in a file, by path, size and time."""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scaling_search.atomic import write_atomically
from scaling_search.data.encoded import Files
from scaling_search.data.pictures import BadPictureError, decode
from scaling_search.data.stream import cores

READER_VERSION = 3
"""Raised when the reader gives other sizes, channels or verdicts, or the index has other columns, so that kept ones are
not taken for its own."""
WORTH_KEEPING = 1000
"""Images from which on an index is kept; fewer are read faster than their index would be looked for."""
SAVED_EVERY = 50_000
"""Images between two writings of an index that is being made, which is what an interruption costs."""
# A file may change again within the resolution of its time, so that what has just changed is read again.
_SETTLED_NS = 2 * 10**9
_AT_ONCE = 1000


@dataclass(frozen=True)
class Entry:
    """What one reading of an encoded image found."""

    digest: bytes
    """SHA-256 of its bytes."""
    width: int = 0
    height: int = 0
    channels: int = 0
    remarks: tuple[str, ...] = ()
    mode: str = ""
    """Pillow's name for the pixels in the file."""
    problem: str = ""
    """Why it cannot be read as an image; empty where it can."""


@dataclass(frozen=True, eq=False)
class Index:
    """The entries of N images, by column; a million of them take some 50 MB."""

    digests: np.ndarray
    """(N, 32) uint8."""
    sizes: np.ndarray
    """(N, 2) int32: width and height, 0 where an image cannot be read."""
    channels: np.ndarray
    """(N,) int8."""
    modes: np.ndarray
    """(N,) bytes: Pillow's name for the pixels of each."""
    remarks: dict[int, tuple[str, ...]]
    """By the number of the image, of those that have any."""
    problems: dict[int, str]
    """By the number of the image, of those that cannot be read."""

    def __len__(self) -> int:
        return len(self.digests)


def inspect(content: bytes) -> Entry:
    """What there is to know of an encoded image, from its bytes alone; all of it is decoded, so that cuts are found."""
    digest = hashlib.sha256(content).digest()
    try:
        # JPEGs are decoded at an eighth of their size, which reads them to their end all the same.
        picture = decode(content, least=1)
    except BadPictureError as error:
        return Entry(digest, problem=str(error))
    return Entry(digest, *picture.size, picture.channels, picture.remarks, picture.mode)


def index_of(entries: Iterable[Entry]) -> Index:
    """Entries by column."""
    found = list(entries)
    index = _empty(len(found))
    _put(index, range(len(found)), found)
    return index


def index_files(files: Files, folder: Path | None = None) -> Index:
    """What is known of files, as `index_kept` does it: those that have not changed are not opened."""
    stamps = np.zeros((len(files), 2), np.int64)
    if len(files) >= WORTH_KEEPING:
        for number in range(len(files)):
            stamps[number] = stamp(files.name(number))
    return index_kept(files.root, files.paths, stamps, files.read, folder)


def stamp(path: str) -> tuple[int, int]:
    """The size of a file and when it last changed, in nanoseconds; zeros where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116, as a Path takes longer than the call, and there may be a million
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def index_kept(
    root: str, names: Sequence[str], stamps: np.ndarray, read: Callable[[int], bytes], folder: Path | None = None
) -> Index:
    """What is known of the images `names` of `root`, in order, of which those that have changed are read, by all cores.

    `stamps` are (N, 2) int64, what says whether an image has changed: the size and time of its file. The index lies in
    `folder`, by default in the user's cache, in a file for each `root`; one that is broken or cannot be written costs
    time, and nothing else. It is also written while it is made.
    """
    index, known = _empty(len(names)), np.zeros(len(names), bool)
    kept = None
    if len(names) >= WORTH_KEEPING:
        named = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:20]
        kept = _Kept((folder or _cache()) / f"{named}.parquet", names, stamps)
        kept.recall(index, known)
    left = np.flatnonzero(~known)
    with ThreadPoolExecutor(cores()) as pool:
        for start in range(0, len(left), _AT_ONCE):
            numbers = left[start : start + _AT_ONCE]
            _put(index, numbers, pool.map(lambda number: _inspected(read, number), numbers.tolist()))
            known[numbers] = True
            done = start + len(numbers)
            if kept and (done == len(left) or done % SAVED_EVERY == 0):
                kept.save(index, known)
    return index


def _inspected(read: Callable[[int], bytes], number: int) -> Entry:
    try:
        return inspect(read(number))
    except OSError as error:
        return Entry(b"\0" * 32, problem=error.strerror or str(error))


def _empty(count: int) -> Index:
    return Index(
        digests=np.zeros((count, 32), np.uint8),
        sizes=np.zeros((count, 2), np.int32),
        channels=np.zeros(count, np.int8),
        modes=np.zeros(count, "S8"),
        remarks={},
        problems={},
    )


def _put(index: Index, numbers: Iterable[int], entries: Iterable[Entry]) -> None:
    for number, entry in zip(map(int, numbers), entries, strict=True):
        index.digests[number] = np.frombuffer(entry.digest, np.uint8)
        index.sizes[number] = entry.width, entry.height
        index.channels[number] = entry.channels
        index.modes[number] = entry.mode.encode()
        if entry.remarks:
            index.remarks[number] = entry.remarks
        if entry.problem:
            index.problems[number] = entry.problem


def _cache() -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    return root / "scaling-search" / "images"


class _Kept:
    """The file of an index, for images of these names and stamps."""

    def __init__(self, file: Path, names: Sequence[str], stamps: np.ndarray) -> None:
        import PIL
        import pyarrow as pa

        self._file, self._stamps = file, stamps
        self._paths = pa.array(map(os.fsencode, names), pa.binary())
        self._began = time.time_ns()
        self._version = {b"reader": f"{READER_VERSION} {PIL.__version__}".encode()}

    def recall(self, index: Index, known: np.ndarray) -> None:
        """Puts into `index` what the file has of images that have not changed, and into `known` which those are."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(self._file).combine_chunks()
            if dict(table.schema.metadata or {}) != self._version or not len(table):
                return
            column = {name: table[name].chunk(0) for name in _COLUMNS}
            row = pc.index_in(self._paths, value_set=column["path"]).fill_null(-1).to_numpy()
            stamps, sizes = (
                np.stack([column[name].to_numpy() for name in pair], 1)
                for pair in (("size", "changed"), ("width", "height"))
            )
            numbers = np.flatnonzero((row >= 0) & (stamps[row] == self._stamps).all(1))
            digests = np.frombuffer(column["digest"].buffers()[1], np.uint8).reshape(-1, 32)
            of_row = dict(zip(row[numbers].tolist(), numbers.tolist(), strict=True))
            remarks, problems = (_of_some(column[name]) for name in ("remarks", "problem"))
            index.digests[numbers] = digests[row[numbers]]
            index.sizes[numbers] = sizes[row[numbers]]
            index.channels[numbers] = column["channels"].to_numpy()[row[numbers]]
            index.modes[numbers] = column["mode"].to_numpy(zero_copy_only=False)[row[numbers]]
        except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, IndexError):
            return
        index.remarks.update({of_row[at]: tuple(found) for at, found in remarks.items() if at in of_row})
        index.problems.update({of_row[at]: found for at, found in problems.items() if at in of_row})
        known[numbers] = True

    def save(self, index: Index, known: np.ndarray) -> None:
        """Writes what is known by now, if it can be written."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = range(len(index))
        # Time 0 is no file's own: what had just changed is read again next time.
        settled = np.where(self._stamps[:, 1] < self._began - _SETTLED_NS, self._stamps[:, 1], 0)
        columns = {
            "path": self._paths,
            "size": self._stamps[:, 0],
            "changed": settled,
            "digest": pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(32), len(index), [None, pa.py_buffer(index.digests)]
            ),
            "width": index.sizes[:, 0],
            "height": index.sizes[:, 1],
            "channels": index.channels,
            "mode": pa.array(index.modes, pa.binary()),
            "remarks": pa.array(map(index.remarks.get, rows), pa.list_(pa.string())),
            "problem": pa.array(map(index.problems.get, rows), pa.string()),
        }
        # Those without a digest could not be opened, which may be otherwise next time.
        table = pa.table(columns).filter(pa.array(known & index.digests.any(1))).replace_schema_metadata(self._version)
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._file, sink.getvalue().to_pybytes())
        except OSError:
            pass


_COLUMNS = ("path", "size", "changed", "digest", "width", "height", "channels", "mode", "remarks", "problem")


def _of_some(column: Any) -> dict[int, Any]:
    """What a column says, by row, where it says anything."""
    rows = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    return dict(zip(rows.tolist(), column.take(rows).to_pylist(), strict=True))
