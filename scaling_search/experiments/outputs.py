"""The files that a run writes beside its records: tables, the frontier and its picture."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from scaling_search.errors import in_one_line
from scaling_search.store import RunDirectory

if TYPE_CHECKING:
    from scaling_search.analysis.findings.run import Findings

PICTURE = "accuracy_against_multiply_adds"


def write_outputs(directory: RunDirectory, findings: "Findings") -> Iterator[Path]:
    """Writes what there is to write of a run, and yields where each file lies.

    A file that cannot be made or written is warned of, and costs neither the others nor the run.
    """
    for name, content in _outputs(findings):
        try:
            yield directory.write_file(name, content())
        except Exception as error:
            warnings.warn(f"{directory.path / name} could not be written: {in_one_line(error)}", stacklevel=2)


def _outputs(findings: "Findings") -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Names of files, and what makes their content."""
    from scaling_search.analysis.figures import accuracy_against_multiply_adds, render
    from scaling_search.analysis.findings.frontier import to_csv_bytes, to_parquet_bytes

    judged = None if findings.judgement is None else findings.judgement.table
    tables = {"step1": judged, "step2": findings.step2, "sweep": findings.sweep, "nas": findings.nas}
    for name, table in tables.items():
        if table is not None:
            yield f"{name}.csv", lambda table=table: to_csv_bytes(table)
    if not findings.measured.empty:
        yield "frontier.parquet", lambda: to_parquet_bytes(findings.measured)
        yield "frontier.csv", lambda: to_csv_bytes(findings.measured)
        for format in ("png", "svg"):
            yield (
                f"{PICTURE}.{format}",
                lambda format=format: render(
                    accuracy_against_multiply_adds(findings.run, findings.judgement, findings.step2), format
                ),
            )
