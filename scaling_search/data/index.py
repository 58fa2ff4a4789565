"""What is known of encoded images without decoding them again: kept in a file, by path, size and time."""

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scaling_search.atomic import write_atomically
from scaling_search.data.encoded import Files
from scaling_search.data.pictures import BadPictureError, decode

READER_VERSION = 1
"""Raised when the reader gives other sizes, channels or verdicts, so that kept ones are not taken for its own."""
WORTH_KEEPING = 1000
"""Files from which on an index is kept; fewer are read faster than their index would be looked for."""
# A file may change again within the resolution of its time, so that what has just changed is read again.
_SETTLED_NS = 2 * 10**9


@dataclass(frozen=True)
class Entry:
    """What one reading of an encoded image found."""

    digest: bytes
    """SHA-256 of its bytes."""
    width: int = 0
    height: int = 0
    channels: int = 0
    remarks: tuple[str, ...] = ()
    problem: str = ""
    """Why it cannot be read as an image; empty where it can."""


def inspect(content: bytes) -> Entry:
    """What there is to know of an encoded image, from its bytes alone; all of it is decoded, so that cuts are found."""
    digest = hashlib.sha256(content).digest()
    try:
        # JPEGs are decoded at an eighth of their size, which reads them to their end all the same.
        picture = decode(content, least=1)
    except BadPictureError as error:
        return Entry(digest, problem=str(error))
    return Entry(digest, *picture.size, picture.channels, picture.remarks)


def index_files(files: Files, folder: Path | None = None) -> list[Entry]:
    """One entry a file, in order. Files that have not changed since the last time are not opened.

    The index lies in `folder`, by default in the user's cache; one that is broken or cannot be written costs time,
    and nothing else.
    """
    if len(files) < WORTH_KEEPING:
        return [_inspected(files, number) for number in range(len(files))]
    file = (
        folder or _cache()
    ) / f"{hashlib.sha256(os.fsencode(os.path.realpath(files.root))).hexdigest()[:20]}.parquet"
    known = _read(file)
    began = time.time_ns()
    stamps: list[tuple[int, int]] = []
    entries: list[Entry] = []
    changed = False
    for number, path in enumerate(files.paths):
        stamp = _stamp(files.name(number))
        kept = known.get(os.fsencode(path))
        if kept is None or kept[0] != stamp:
            changed = True
            # Time 0 is no file's own: it is inspected again next time.
            kept = (stamp if stamp[1] < began - _SETTLED_NS else (stamp[0], 0)), _inspected(files, number)
        stamps.append(kept[0])
        entries.append(kept[1])
    if changed:
        _write(file, files.paths, stamps, entries)
    return entries


def _inspected(files: Files, number: int) -> Entry:
    try:
        return inspect(files.read(number))
    except OSError as error:
        return Entry(b"\0" * 32, problem=error.strerror or str(error))


def _stamp(path: str) -> tuple[int, int]:
    try:
        found = Path(path).stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def _cache() -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    return root / "scaling-search" / "images"


def _version() -> bytes:
    import PIL

    return f"{READER_VERSION} {PIL.__version__}".encode()


def _read(file: Path) -> dict[bytes, tuple[tuple[int, int], Entry]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(file)
        if (table.schema.metadata or {}).get(b"reader") != _version():
            return {}
        columns = table.to_pydict()
        entries = map(
            Entry,
            columns["digest"],
            columns["width"],
            columns["height"],
            columns["channels"],
            map(tuple, columns["remarks"]),
            columns["problem"],
        )
        stamps = zip(columns["size"], columns["changed"], strict=True)
        return dict(zip(columns["path"], zip(stamps, entries, strict=True), strict=True))
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        return {}


def _write(file: Path, paths: Sequence[str], stamps: list[tuple[int, int]], entries: list[Entry]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "path": pa.array(map(os.fsencode, paths), pa.binary()),
            "size": pa.array((size for size, _ in stamps), pa.int64()),
            "changed": pa.array((changed for _, changed in stamps), pa.int64()),
            "digest": pa.array((entry.digest for entry in entries), pa.binary()),
            "width": pa.array((entry.width for entry in entries), pa.int32()),
            "height": pa.array((entry.height for entry in entries), pa.int32()),
            "channels": pa.array((entry.channels for entry in entries), pa.int8()),
            "remarks": pa.array((list(entry.remarks) for entry in entries), pa.list_(pa.string())),
            "problem": pa.array((entry.problem for entry in entries), pa.string()),
        }
    ).replace_schema_metadata({b"reader": _version()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, sink.getvalue().to_pybytes())
    except OSError:
        pass
