"""What comes of a run: its tables, its frontier and its picture, made from the records in its directory."""

import json
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling_search.errors import UserError, in_one_line
from scaling_search.store import RunDirectory, open_run

if TYPE_CHECKING:
    from scaling_search.analysis.findings.run import Findings
    from scaling_search.analysis.findings.step1 import Judgement

PICTURE = "accuracy_against_multiply_adds"


def results_of(directory: RunDirectory) -> "Findings":
    """Judges STEP 1, fits the law and extrapolates STEP 2 by the records of a run."""
    from scaling_search.analysis import findings_of, load_run

    return findings_of(load_run(directory.path))


def judgement_of(directory: RunDirectory) -> "Judgement":
    """STEP 1 of a run, judged. Raises UserError where it has not been trained."""
    from scaling_search.analysis import judge, load_run

    run = load_run(directory.path)
    if run.points.empty:
        raise UserError(
            f"{directory.path} has no STEP 1 yet", hint="run scaling-search step1, or give --coefficients 1.2 1.1 1.15"
        )
    return judge(run.points, run.trials)


def write_outputs(directory: RunDirectory) -> tuple["Findings", list[Path]]:
    """Writes the tables, the frontier and the picture of a run into its directory, and says where they lie.

    One that cannot be made or written is reported on stderr and costs none of the others.
    """
    from scaling_search.analysis.figures import render
    from scaling_search.analysis.findings.frontier import to_csv_bytes, to_parquet_bytes

    results = results_of(directory)
    tables = {"step1": results.step1, "step2": results.step2, "sweep": results.sweep, "nas": results.nas}
    outputs: dict[str, Callable[[], bytes]] = {
        f"{name}.csv": partial(to_csv_bytes, table) for name, table in tables.items() if table is not None
    }
    if (frontier := results.frontier) is not None:
        outputs["frontier.parquet"] = lambda: to_parquet_bytes(frontier)
        outputs["frontier.csv"] = lambda: to_csv_bytes(frontier)
        figure = cache(results.figure)
        outputs |= {
            f"{PICTURE}.{format}": partial(lambda format: render(figure(), format), format) for format in ("png", "svg")
        }
    files = []
    for name, content in outputs.items():
        try:
            files.append(directory.write_file(name, content()))
        except Exception as error:
            print(f"cannot write {directory.path / name}: {in_one_line(error)}", file=sys.stderr)
    return results, files


def print_results(results: "Findings", files: list[Path], format: str) -> None:
    """Prints the tables of a run on stdout, and where its files lie on stderr."""
    from scaling_search.analysis.text.steps import findings_text
    from scaling_search.analysis.text.tables import render

    tables = {
        "step1": results.step1,
        "step2": results.step2,
        "sweep": results.sweep,
        "nas": results.nas,
        "frontier": results.frontier,
    }
    if format == "json":
        print(
            json.dumps({name: json.loads(render(t, "json")) for name, t in tables.items() if t is not None}, indent=1)
        )
    elif format == "csv":
        print("\n\n".join(render(table, "csv").strip() for table in tables.values() if table is not None))
    elif text := findings_text(results):
        print(text, end="\n\n")
    for file in files:
        print(f"wrote {file}", file=sys.stderr)


def print_rows(rows: list[dict[str, Any]], format: str) -> None:
    """Prints a table of rows that are alike."""
    import pandas as pd

    from scaling_search.analysis.text.tables import render

    print(render(pd.DataFrame(rows), format))


def print_tables(what: str, format: str) -> None:
    """Prints the tables of the run `what`, the published models, or the paper's Table 2."""
    if what == "2":
        from scaling_search.cli.paper import print_table2

        print_table2(format)
        return
    if what == "published":
        from scaling_search.analysis import published_table
        from scaling_search.analysis.text.tables import render

        print(render(published_table(), format))
        return
    results = results_of(open_run(what))
    if all(table is None for table in (results.step1, results.step2, results.sweep, results.nas)):
        raise UserError(f"{what} has no tables yet", " ".join(results.missing), f"try scaling-search resume {what}")
    print_results(results, [], format)
