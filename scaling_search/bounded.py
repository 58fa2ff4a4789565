"""Tables of Arrow, read in parts: a small file that claims to hold very much is refused before memory is full."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scaling_search.errors import UserError
from scaling_search.places import Place

EXPANDS = 20
"""Times that what is in a file may be larger than the file: neither images nor floats compress as far."""
SMALL = 2**30
"""Bytes up to which it may expand as far as it likes."""
AT_ONCE = 64
"""Rows that are read before they are measured: a dictionary may have one large value that all of them are."""


def check_expansion(held: int, size: int, what: str) -> None:
    """Raises UserError where a file of `size` bytes, which messages call `what`, holds too much for that."""
    if held > max(SMALL, EXPANDS * size):
        raise UserError(
            f"{what} claims to hold {held / 2**30:.1f} GiB in {size / 2**20:.1f} MiB",
            f"above {SMALL / 2**30:.0f} GiB, at most {EXPANDS} times the size of the file",
            "it may be a decompression bomb",
        )


def read_parquet(file: Place, most_values: int | None = None) -> Any:
    """A Parquet file as a table of Arrow. Raises UserError where it holds more than its size allows, or more values.

    Raises an ArrowException or an OSError where it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(file if isinstance(file, Path) else pa.BufferReader(file.read_bytes())) as opened:
        about = opened.metadata
        # Not by column, with what is in lists: Arrow ends the process where a column's figures contradict each other.
        rows = sum(about.row_group(number).num_rows for number in range(about.num_row_groups))
        values = rows * about.num_columns
        # A run of equal values takes no space: these are told by their number, others as they are read.
        check_expansion(values, file.stat().st_size, str(file))
        if most_values is not None and values > most_values:
            raise UserError(f"{file} claims to hold {values:,} values", f"at most {most_values:,}")
        batches = opened.iter_batches(batch_size=AT_ONCE)
        return pa.Table.from_batches(_counted(batches, file), schema=opened.schema_arrow)


def read_arrow(file: Path) -> Any:
    """A file or a stream of Arrow as a table. Raises as `read_parquet` does."""
    import pyarrow as pa

    with pa.memory_map(str(file)) as source:
        try:
            stream = pa.ipc.open_stream(source)
        except pa.ArrowInvalid:
            opened = pa.ipc.open_file(source)
            batches = (opened.get_batch(number) for number in range(opened.num_record_batches))
            return pa.Table.from_batches(_counted(batches, file), schema=opened.schema)
        return pa.Table.from_batches(_counted(stream, file), schema=stream.schema)


def _counted(batches: Iterable[Any], file: Place) -> Iterable[Any]:
    held, size = 0, file.stat().st_size
    for batch in batches:
        # Offsets may point anywhere: Arrow follows them unless it is asked to look first.
        batch.validate(full=True)
        held += batch.nbytes
        check_expansion(held, size, str(file))
        yield batch
