"""What comes of a run: its tables, its frontier and its picture, made from the records in its directory."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling_search.errors import UserError
from scaling_search.store import RunDirectory, open_run

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.findings.step1 import Judgement
    from scaling_search.analysis.frames import Run

PICTURE = "accuracy_against_multiply_adds"


@dataclass(frozen=True)
class Results:
    """A run, judged: all that its records say so far."""

    run: "Run"
    judgement: "Judgement | None"
    """STEP 1, where it was trained."""
    step2: "pd.DataFrame | None"
    """B0..B7, where STEP 2 was laid out."""
    sweep: "pd.DataFrame | None"
    """Networks that were trained as they are, where the run is of such."""
    nas: "pd.DataFrame | None"
    """Architectures by their rewards, where the run is a search for a baseline."""
    frontier: "pd.DataFrame | None"
    """Every measured network, with those on the frontier marked."""


def results_of(directory: RunDirectory) -> Results:
    """Judges STEP 1, fits the law and extrapolates STEP 2 by the records of a run."""
    from scaling_search.analysis.findings.frontier import frontier_frame
    from scaling_search.analysis.findings.nas import nas_table
    from scaling_search.analysis.findings.step1 import judge
    from scaling_search.analysis.findings.step2 import step2_table
    from scaling_search.analysis.findings.sweep import sweep_table
    from scaling_search.analysis.frames import load_run

    run = load_run(directory.path)
    judgement = None if run.points.empty else judge(run.points, run.trials)
    step2 = None if run.models.empty else step2_table(run.models, run.trials)
    frontier = frontier_frame(run) if run.trials["val_accuracy"].notna().any() else None
    sweep = None if run.sweep.empty else sweep_table(run)
    nas = None if run.nas.empty else nas_table(run)
    return Results(run, judgement, step2, sweep, nas, frontier)


def judgement_of(directory: RunDirectory) -> "Judgement":
    """STEP 1 of a run, judged. Raises UserError where it has not been trained."""
    from scaling_search.analysis.findings.step1 import judge
    from scaling_search.analysis.frames import load_run

    run = load_run(directory.path)
    if run.points.empty:
        raise UserError(
            f"{directory.path} has no STEP 1 yet", hint="run scaling-search step1, or give --coefficients 1.2 1.1 1.15"
        )
    return judge(run.points, run.trials)


def write_outputs(directory: RunDirectory) -> tuple[Results, list[Path]]:
    """Writes the tables, the frontier and the picture of a run into its directory, and says where they lie."""
    from scaling_search.analysis.findings.frontier import to_csv_bytes, to_parquet_bytes

    results = results_of(directory)
    files = []
    if results.judgement is not None:
        files.append(directory.write_file("step1.csv", to_csv_bytes(results.judgement.table)))
    if results.step2 is not None:
        files.append(directory.write_file("step2.csv", to_csv_bytes(results.step2)))
    if results.sweep is not None:
        files.append(directory.write_file("sweep.csv", to_csv_bytes(results.sweep)))
    if results.nas is not None:
        files.append(directory.write_file("nas.csv", to_csv_bytes(results.nas)))
    if results.frontier is not None:
        files.append(directory.write_file("frontier.parquet", to_parquet_bytes(results.frontier)))
        files.append(directory.write_file("frontier.csv", to_csv_bytes(results.frontier)))
        files += _write_pictures(directory, results)
    return results, files


def _write_pictures(directory: RunDirectory, results: Results) -> list[Path]:
    return [directory.write_file(f"{PICTURE}.{format}", _picture(results, format)) for format in ("png", "svg")]


def print_results(results: Results, files: list[Path], format: str) -> None:
    """Prints the tables of a run on stdout, and where its files lie on stderr."""
    from scaling_search.analysis.findings.nas import nas_text
    from scaling_search.analysis.text.tables import render, step1_text, step2_text, test_text

    tables = {
        "step1": results.judgement.table if results.judgement is not None else None,
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
    else:
        if results.judgement is not None:
            print(step1_text(results.judgement), end="\n\n")
        if results.step2 is not None:
            print(step2_text(results.step2), end="\n\n")
        if results.sweep is not None:
            print(render(results.sweep), end="\n\n")
        if results.nas is not None:
            print(nas_text(results.nas), end="\n\n")
        if (tested := test_text(results.run)) is not None:
            print(tested, end="\n\n")
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
        from scaling_search.analysis.text.tables import published_table, render

        print(render(published_table(), format))
        return
    results = results_of(open_run(what))
    if results.judgement is None and results.step2 is None and results.sweep is None and results.nas is None:
        raise UserError(f"{what} has no tables yet", hint=f"try scaling-search resume {what}")
    print_results(results, [], format)


def _picture(results: Results, format: str) -> bytes:
    from scaling_search.analysis.figures import accuracy_against_multiply_adds, render

    return render(accuracy_against_multiply_adds(results.run, results.judgement, results.step2), format)
