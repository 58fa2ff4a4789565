"""`record`: the trials of runs as one table."""

import sys
from dataclasses import dataclass
from typing import Annotated

import tyro

from scaling_search.cli.command import Command


@dataclass(frozen=True)
class Record(Command):
    """Writes the finished trials of runs to one file, which --replay takes trainings from.

    Example: scaling-search record runs/digits runs/digits-sweep -o digits.parquet
    """

    runs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN...")]
    """Folders of runs on the same images, or recorded tables. A replay starts from the first one's config."""
    output: Annotated[str, tyro.conf.arg(aliases=["-o"])]
    """The .parquet file to write."""

    def execute(self) -> None:
        """Writes the table and prints what is in it."""
        from scaling_search.experiments.recording import record

        table = record(self.runs, self.output)
        trials = list(table.records())
        networks = {trial["spec"]["network"]["fingerprint"] for trial in trials}
        size = table.path.stat().st_size
        print(f"wrote {table.path}: {len(trials)} trials of {len(networks)} networks, {size:,} bytes", file=sys.stderr)
