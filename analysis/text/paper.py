"""The paper's Table 2 beside the networks as built, for a terminal."""

from collections.abc import Callable, Mapping
from textwrap import fill
from typing import TYPE_CHECKING, Any

from scaling_search.analysis.text.tables import aligned
from scaling_search.analysis.text.words import short

if TYPE_CHECKING:
    import pandas as pd


def table2_text(table: "pd.DataFrame") -> str:
    """`table2_beside` for a terminal, the notes below."""
    import pandas as pd

    def known(value: float, written: Callable[[float], str]) -> str:
        return written(value) if value == value else "-"

    def counted(row: Mapping[Any, Any], name: str) -> list[str]:
        paper, difference, ratio = row[f"paper_{name}"], row[f"{name}_difference"], row[f"paper_{name}_ratio"]
        return [
            known(paper, short),
            known(row[name], short),
            known(100 * difference, "{:+.1f}".format),
            known(ratio, "{:g}x".format),
            known(row[f"{name}_ratio"], "{:.2g}x".format),
            known(row[f"own_{name}"], short),
        ]

    head = ["", "model", "top-1 %", "input"]
    for kind in ("parameters", "multiply-adds"):
        head += [f"{kind}\nTable 2", "\nbuilt", "\n%", "ratio\nTable 2", "\nbuilt", "own\npaper"]
    rows, notes, group = [], [], None
    for row in table.to_dict("records"):
        number = ""
        if row["note"]:
            notes.append(row["note"])
            number = f" [{len(notes)}]"
        shown = row["group"] if row["group"] != group else ""
        group = row["group"]
        fixed = [
            shown,
            row["model"] + number,
            f"{row['top1_percent']:.1f}",
            "-" if pd.isna(row["input_resolution"]) else str(row["input_resolution"]),
        ]
        rows.append([*fixed, *counted(row, "parameters"), *counted(row, "multiply_adds")])
    listed = [fill(f"[{place}] {note}", 120, subsequent_indent="    ") for place, note in enumerate(notes, 1)]
    said = fill(
        "Top-1 as published. Built: counted for one image at this input, without auxiliary heads. %: built beside "
        "Table 2. Ratios are to the EfficientNet of the group. Own paper: what the network's own paper says.",
        120,
    )
    return "\n".join([aligned(head, rows, [True, True, *[False] * 14]), "", *listed, said])
