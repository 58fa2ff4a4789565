"""STEP 2, sweeps and searches as tables and sentences for a terminal, and all that a run found."""

from collections.abc import Mapping
from textwrap import fill
from typing import TYPE_CHECKING, Any

from scaling_search.analysis.text.certainty import certainty_text
from scaling_search.analysis.text.epochs import epochs_text
from scaling_search.analysis.text.rates import rates_text
from scaling_search.analysis.text.region import SPREAD_NOTE, spread_text
from scaling_search.analysis.text.step1 import rivals_text, step1_text
from scaling_search.analysis.text.tables import aligned, footnote, listed, render
from scaling_search.analysis.text.words import difference, interval, rule_in_words, seeds_in_words, short

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.findings.facts import Facts

GAIN_NOTE = "gain: points of top-1 more than the model before, with the interval of the difference"

SHOWN = 10
"""Architectures of a search that a terminal shows."""


def step2_text(table: "pd.DataFrame") -> str:
    """STEP 2 for a terminal: each of B0..B7 by the found coefficients and, on the next row, by the published ones."""
    head = ["", "coefficients", "d", "w", "r", "input", "multiply-adds", "top-1 %", "gain", ""]
    rows = []
    order = table.assign(published=table["coefficients"] == "published").sort_values(["model", "published"])
    footnotes: dict[str, str] = {}
    last = None
    for row in order.to_dict("records"):
        rows.append(
            [
                "" if row["model"] == last else row["model"],
                row["coefficients"],
                *(f"{row[factor]:.2f}" for factor in ("depth", "width", "resolution")),
                str(row["input_resolution"]),
                short(row["multiply_adds"]),
                ("~" if row["source"] == "extrapolated" else "") + interval(row),
                difference(row, "gain"),
                _source(row, footnotes),
            ]
        )
        last = row["model"]
    lines = ["STEP 2", aligned(head, rows, [True, True] + [False] * 7 + [True])]
    lines += listed(footnotes)
    if table["gain"].notna().any():
        lines += ["", GAIN_NOTE]
    if (table["source"] == "extrapolated").any():
        lines += [
            "",
            "~ not trained: predicted by the law of scaling fitted to the trained networks, with the interval for one",
            "  more network; the factor is its multiply-adds relative to the largest trained network",
        ]
    if spread := spread_text(table):
        lines += ["", SPREAD_NOTE, *(f"  {line}" for line in spread)]
    return "\n".join(lines)


def sweep_text(table: "pd.DataFrame") -> str:
    """A `sweep_table` for a terminal."""
    return render(table.drop(columns="fingerprint"))


def nas_text(table: "pd.DataFrame") -> str:
    """The best of a `nas_table` for a terminal."""
    shown = ["rank", "architecture", "parameters", "multiply_adds", "epochs", "val_accuracy", "low", "high"]
    lines = [render(table.head(SHOWN)[[*shown, "seeds", "reward"]])]
    if len(table) > SHOWN:
        lines.append(f"and {len(table) - SHOWN} more in nas.csv")
    return "\n".join(lines)


def tested_text(tested: "pd.DataFrame | None") -> str | None:
    """A `tested_table` in words, or None where there is none."""
    if tested is None:
        return None
    lines = []
    for row in tested.to_dict("records"):
        of = f"network {row['fingerprint']}" if row["alpha"] != row["alpha"] else rule_in_words(row)
        accuracy = f"{interval(row, 'test_accuracy')} % top-1 over {seeds_in_words(row['seeds'])}"
        lines.append(f"Test split, evaluated once, {of}: {accuracy}")
    return "\n".join(lines)


def findings_text(findings: "Facts") -> str:
    """All tables of a run for a terminal, empty where there are none."""
    parts = []
    if findings.probe is not None:
        parts.append(rates_text(findings.probe))
    if findings.judgement is not None:
        parts.append(step1_text(findings.judgement, findings.fresh))
        if findings.certainty is not None:
            parts.append(fill(certainty_text(findings.certainty, findings.judgement), 110, subsequent_indent="  "))
        if findings.by_epochs is not None:
            parts.append(epochs_text(findings.by_epochs))
        if findings.rivals is not None:
            parts.append(rivals_text(findings.rivals, findings.judgement))
    if findings.step2 is not None:
        parts.append(step2_text(findings.step2))
    if findings.sweep is not None:
        parts.append(sweep_text(findings.sweep))
    if findings.nas is not None:
        parts.append(nas_text(findings.nas))
    if (tested := tested_text(findings.tested)) is not None:
        parts.append(tested)
    if findings.advice:
        parts.append("\n".join(fill(line, 110, subsequent_indent="  ") for line in findings.advice))
    return "\n\n".join(parts)


def _source(row: Mapping[Any, Any], footnotes: dict[str, str]) -> str:
    if row["source"] == "measured":
        return f"measured, {seeds_in_words(row['seeds'])}"
    if row["source"] == "extrapolated":
        return f"extrapolated, {row['beyond']:.3g}x {footnote(row['note'], footnotes)}".rstrip()
    return f"none {footnote(row['note'], footnotes)}"
