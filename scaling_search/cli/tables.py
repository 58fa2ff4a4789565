"""What commands print: the tables of a run, and rows that are alike."""

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.findings.run import Findings


def tables_of(findings: "Findings") -> "dict[str, pd.DataFrame]":
    """The tables that a run has so far, by name."""
    judged = None if findings.judgement is None else findings.judgement.table
    frontier = None if findings.measured.empty else findings.measured
    tables = {
        "step1": judged,
        "step2": findings.step2,
        "sweep": findings.sweep,
        "nas": findings.nas,
        "frontier": frontier,
    }
    return {name: table for name, table in tables.items() if table is not None}


def print_findings(findings: "Findings", format: str) -> None:
    """Prints the tables of a run on stdout."""
    from scaling_search.analysis.findings.nas import nas_text
    from scaling_search.analysis.text.tables import render, step1_text, step2_text, test_text

    tables = tables_of(findings)
    if format == "json":
        print(json.dumps({name: json.loads(render(table, "json")) for name, table in tables.items()}, indent=1))
        return
    if format == "csv":
        print("\n\n".join(render(table, "csv").strip() for table in tables.values()))
        return
    if findings.judgement is not None:
        print(step1_text(findings.judgement), end="\n\n")
    if findings.step2 is not None:
        print(step2_text(findings.step2), end="\n\n")
    if findings.sweep is not None:
        print(render(findings.sweep.drop(columns="fingerprint")), end="\n\n")
    if findings.nas is not None:
        print(nas_text(findings.nas), end="\n\n")
    if (tested := test_text(findings.run)) is not None:
        print(tested, end="\n\n")


def print_rows(rows: list[dict[str, Any]], format: str) -> None:
    """Prints a table of rows that are alike."""
    import pandas as pd

    from scaling_search.analysis.text.tables import render

    print(render(pd.DataFrame(rows), format))
