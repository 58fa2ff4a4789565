"""Frames as text: for a person, for a program (JSON), for a spreadsheet (CSV)."""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

from scaling_search.analysis.text.words import interval, short
from scaling_search.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("table", "json", "csv")

_WIDE = 10_000
_COUNTS = ("parameters", "multiply_adds", "activations", "training_cost")
_BYTES = ("memory", "peak_memory")


def render(frame: "pd.DataFrame", format: str = "table") -> str:
    """The frame as text without a trailing newline: "json" (a list of objects), "csv", or "table" for a person.

    JSON keys and the CSV header are the columns' names, and what is missing is null or empty. In a table an accuracy
    with its `low` and `high` is one column in per cent, and counts are short. Raises UserError for another format.
    """
    if format == "json":
        return json.dumps(_objects(frame), indent=1, ensure_ascii=False, allow_nan=False)
    if format == "csv":
        return frame.to_csv(index=False, lineterminator="\n").rstrip("\n")
    if format != "table":
        raise UserError(f"format {format!r} given", f"it is one of {', '.join(FORMATS)}")
    joined = ("low", "high") if {"val_accuracy", "low", "high"} <= set(frame.columns) else ()
    names = [name for name in frame.columns if name not in joined]
    rows = [[_cell(name, row) for name in names] for row in frame.to_dict("records")]
    left = [not _is_number(frame[name]) for name in names]
    return aligned([str(name).replace("_", "\n") for name in names], rows, left)


def _cell(name: str, row: Mapping[Any, Any]) -> str:
    import pandas as pd

    value = row[name]
    if pd.isna(value):
        return "-"
    if name == "val_accuracy" and "low" in row:
        return interval(row)
    if name.endswith("accuracy"):
        return f"{100 * value:.1f}"
    if name.removeprefix("paper_") in _COUNTS:
        return short(value)
    if name == "difference":
        return f"{100 * value:+.1f} %"
    if name == "of_baseline":
        return f"{value:.2f}x"
    if name in _BYTES:
        return f"{value / 2**20:,.0f} MiB"
    if isinstance(value, bool):
        return "yes" if value else ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _is_number(column: "pd.Series[Any]") -> bool:
    import pandas as pd

    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _objects(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    def plain(value: Any) -> Any:
        value = value.item() if hasattr(value, "item") else value
        return None if value != value or value in (float("inf"), -float("inf")) else value

    import pandas as pd

    return [
        {str(name): None if pd.isna(value) else plain(value) for name, value in row.items()}
        for row in frame.astype(object).to_dict("records")
    ]


def aligned(head: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[bool]) -> str:
    """Rows under their heads, columns aligned, in plain ASCII and never cut to a terminal's width."""
    from rich.box import Box
    from rich.console import Console
    from rich.table import Table

    line = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
    table = Table(box=line, show_edge=False, pad_edge=False, padding=(0, 0, 0, 1), header_style="")
    for name, to_left in zip(head, left, strict=True):
        table.add_column(name, justify="left" if to_left else "right", no_wrap=True, vertical="bottom")
    for row in rows:
        table.add_row(*row)
    console = Console(file=io.StringIO(), width=_WIDE, color_system=None, markup=False, highlight=False, emoji=False)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n"))


def footnote(note: str, footnotes: dict[str, str]) -> str:
    """The number under which a note is listed below the table; nothing for an empty one."""
    return footnotes.setdefault(note, f"[{len(footnotes) + 1}]") if note else ""


def listed(footnotes: dict[str, str]) -> list[str]:
    """The notes with their numbers, wrapped."""
    return [fill(f"{number} {note}", 110, subsequent_indent="    ") for note, number in footnotes.items()]
