"""The trials of runs as one recorded table, to be replayed."""

from collections.abc import Sequence

from scaling_search.errors import UserError
from scaling_search.experiments.images import open_images
from scaling_search.places import Place, place_of
from scaling_search.recorded import RecordedTable, open_trials, table_bytes
from scaling_search.store import write_output


def record(runs: Sequence[str | Place], output: str | Place) -> RecordedTable:
    """Writes the finished trials of runs on the same images into one Parquet file, as `scaling-search record` does.

    Args:
        runs: Folders of runs, or recorded tables. The first brings the config that a replay starts from.
        output: The .parquet file to write.

    Returns:
        The table.

    Raises:
        UserError: The runs are on different images, none has a finished trial, or the file cannot be written.

    Examples:
        >>> from scaling_search import record
        >>> table = record(["tables/fashion_mnist.parquet"], "again.parquet")
        >>> len(list(table.records()))
        228

    """
    if not runs:
        raise UserError("no run given", "name folders of runs on the same images", "try runs/digits")
    opened = [open_trials(run) for run in runs]
    first = opened[0]
    # Manifests of version 0.1 do not say how many classes and images there were.
    content = table_bytes(opened, first.manifest().get("images") or open_images(first.config()).counts)
    return RecordedTable(write_output(place_of(output), content))
