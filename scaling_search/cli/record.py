"""`record`: the trials of runs as one table that can be replayed."""

import sys
from collections.abc import Sequence
from pathlib import Path

from scaling_search.atomic import write_atomically
from scaling_search.cli.execution import open_images
from scaling_search.errors import UserError
from scaling_search.recorded import RecordedTable, open_trials, table_bytes


def record(paths: Sequence[str], output: str) -> None:
    """Writes the finished trials of runs into a recorded table, and says what it holds."""
    file = Path(output).expanduser()
    if not paths:
        raise UserError("no run given", "name folders of runs on the same images", "try runs/digits")
    runs = [open_trials(path) for path in paths]
    images = open_images(runs[0].config())
    if images.identity != runs[0].manifest()["data"]:
        raise UserError(
            f"the images of {runs[0].path} are no longer those that it was trained on",
            f"they were {runs[0].manifest()['data']} and are now {images.identity}",
        )
    content = table_bytes(runs, {"classes": images.num_classes, "training": images.training})
    try:
        write_atomically(file, content)
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror or error}", hint="give another --output") from None
    records = list(RecordedTable(file).records())
    networks = {record["spec"]["network"]["fingerprint"] for record in records}
    print(f"wrote {file}: {len(records)} trials of {len(networks)} networks, {len(content):,} bytes", file=sys.stderr)
