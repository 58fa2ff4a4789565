"""The records of a run together in one file, beside a file for each: a run of thousands opens faster by it.

    runs/NAME/records.parquet     `name`, `size` and `written` of a record's file, and `record`, its content as JSON

What it says of a record counts as long as that record's own file has the size and time of writing that it had then.
All else is read from the files themselves, and so is everything where this one is damaged or gone: nothing is lost
with it.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scaling_search.bounded import read_parquet
from scaling_search.errors import UserError, in_one_line
from scaling_search.places import Place
from scaling_search.plain import MALFORMED

NAME = "records.parquet"
LEAST = 1000
"""Records that it must be without to be written anew."""
_CHECKSUM = b"scaling-search-checksum"
_MOST_VALUES = 40_000_000
"""Of all columns."""
_COLUMNS = ("name", "size", "written", "record")

Stamp = tuple[int, int]
"""Size of a file in bytes, and when it was written, in nanoseconds."""


def stamps(files: Iterable[Place]) -> dict[str, Stamp]:
    """Those of files by their names, without those that are gone."""
    found = {}
    for file in files:
        try:
            status = file.stat()
        except OSError:
            continue
        found[file.name] = (status.st_size, status.st_mtime_ns)
    return found


def content_of(stamped: Mapping[str, Stamp], records: Mapping[str, Mapping[str, Any]]) -> bytes:
    """The file for records by the names of theirs. `stamped` has what `stamps` gave before they were read."""
    import pyarrow
    import pyarrow.parquet

    names = sorted(stamped.keys() & records.keys())
    rows = [(name, *stamped[name], json.dumps(records[name])) for name in names]
    columns = [pyarrow.array(column) for column in zip(*rows, strict=True)]
    table = pyarrow.table(columns, names=[*_COLUMNS], metadata={_CHECKSUM: _checksum(rows)})
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def read(file: Place) -> dict[str, tuple[Stamp, str]]:
    """The stamp and the content of each record's file by its name; none where there is no such file.

    Raises ValueError where it is damaged or cannot be read.
    """
    if not file.exists():
        return {}
    import pyarrow

    try:
        table = read_parquet(file, _MOST_VALUES)
        rows = [*zip(*(table.column(name).to_pylist() for name in _COLUMNS), strict=True)]
        whole = (table.schema.metadata or {}).get(_CHECKSUM, b"").decode() == _checksum(rows)
        found = {str(name): ((size, written), str(record)) for name, size, written, record in rows}
    except FileNotFoundError:
        return {}
    except (pyarrow.ArrowException, UserError, *MALFORMED, OSError) as error:
        raise ValueError(f"it cannot be read: {in_one_line(error)}") from None
    if not whole:
        raise ValueError("its content does not match its checksum")
    return found


def unchanged(file: Place, files: Sequence[Place]) -> dict[str, str]:
    """What `file` has of records whose own `files` are as they were then, by the names of these."""
    try:
        gathered = read(file)
    except ValueError:
        # `scaling-search check` says so.
        return {}
    now = stamps(files) if gathered else {}
    return {name: record for name, (stamp, record) in gathered.items() if now.get(name) == stamp}


def _checksum(rows: Sequence[tuple[Any, ...]]) -> str:
    digest = hashlib.sha256()
    for name, size, written, record in rows:
        digest.update(f"{name} {size} {written} {record}\n".encode())
    return digest.hexdigest()[:16]
