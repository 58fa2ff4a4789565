"""The files that a run writes beside its records: tables, the frontier and its picture."""

import warnings
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import TYPE_CHECKING

from scaling_search import compacted
from scaling_search.errors import in_one_line
from scaling_search.places import Place
from scaling_search.store import RunDirectory

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from scaling_search.analysis.of_run import Findings

TABLES = ("rates", "step1", "epochs", "rivals", "step2", "sweep", "nas", "frontier")
"""Tables of a run, by the names that findings give them."""
PICTURE = "accuracy_against_multiply_adds"


def tables_of(findings: "Findings") -> "dict[str, pd.DataFrame]":
    """The tables that a run has so far, by name."""
    return {name: table for name in TABLES if (table := getattr(findings, name)) is not None}


def write_outputs(directory: RunDirectory, findings: "Findings") -> Iterator[Place]:
    """Writes a run's tables and pictures, and yields the path of each.

    A file that cannot be made or written gives a warning, and affects neither the others nor the run.
    """
    for name, content in (*_outputs(findings), (compacted.NAME, directory.gathered)):
        try:
            made = content()
            if made is not None:
                yield directory.write_file(name, made)
        except Exception as error:
            warnings.warn(f"{directory.path / name} could not be written: {in_one_line(error)}", stacklevel=2)


def _outputs(findings: "Findings") -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Names of files, and what makes their content."""
    from scaling_search.analysis.findings.frontier import to_csv_bytes, to_parquet_bytes

    for name, table in tables_of(findings).items():
        yield f"{name}.csv", partial(to_csv_bytes, table)
    if findings.frontier is not None:
        yield "frontier.parquet", partial(to_parquet_bytes, findings.frontier)
        figure = cache(findings.figure)
        for format in ("png", "svg"):
            yield f"{PICTURE}.{format}", partial(_drawn, figure, format)


def _drawn(figure: "Callable[[], Figure]", format: str) -> bytes:
    from scaling_search.analysis.figures import render

    return render(figure(), format)
