"""What commands print: the tables of a run, and rows that are alike."""

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scaling_search.analysis.of_run import Findings


def print_findings(findings: "Findings", format: str) -> None:
    """Prints the tables of a run on stdout."""
    from scaling_search.analysis.text.steps import findings_text
    from scaling_search.analysis.text.tables import render
    from scaling_search.experiments.outputs import tables_of

    tables = tables_of(findings)
    if format == "json":
        print(json.dumps({name: json.loads(render(table, "json")) for name, table in tables.items()}, indent=1))
    elif format == "csv":
        print("\n\n".join(render(table, "csv").strip() for table in tables.values()))
    elif text := findings_text(findings):
        print(text, end="\n\n")


def print_rows(rows: list[dict[str, Any]], format: str) -> None:
    """Prints a table of rows that are alike."""
    import pandas as pd

    from scaling_search.analysis.text.tables import render

    print(render(pd.DataFrame(rows), format))
