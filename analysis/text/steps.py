"""STEP 1, STEP 2, sweeps and searches as tables and sentences for a terminal."""

from collections.abc import Mapping
from textwrap import fill
from typing import TYPE_CHECKING, Any

from scaling_search.analysis.text.certainty import certainty_text
from scaling_search.analysis.text.tables import aligned, render
from scaling_search.analysis.text.words import (
    coefficient,
    confirmation,
    difference,
    interval,
    ratio,
    rule_in_brackets,
    rule_in_words,
    seeds_in_words,
    short,
)

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.findings.confirmed import Confirmed
    from scaling_search.analysis.findings.facts import Facts
    from scaling_search.analysis.findings.step1 import Judgement

SHOWN = 10
"""Architectures of a search that a terminal shows."""


def step1_text(judgement: "Judgement", confirmed: "Confirmed | None" = None) -> str:
    """STEP 1 for a terminal: every point of the grid, points of one network together, then the winner in words."""
    head = ["alpha", "beta", "gamma", "a*b^2*g^2", "input", "parameters", "multiply-adds", "of baseline", "top-1 %"]
    rows: list[list[str]] = []
    footnotes: dict[str, str] = {}
    last = None
    for row in judgement.table.to_dict("records"):
        rule = [coefficient(row[name]) for name in ("alpha", "beta", "gamma")] + [f"{row['cost_factor']:.2f}"]
        leads = "leads" if row["leads"] else ""
        if row["fingerprint"] == last:
            rows.append([*rule, *[""] * 6, leads])
            continue
        last = row["fingerprint"]
        tie = "tie" if row["tie"] and len(judgement.ties) > 1 else ""
        note = _footnote(row["note"], footnotes)
        verdict = ", ".join(part for part in (tie, leads, note) if part)
        counts = [short(row["parameters"]), short(row["multiply_adds"]), f"{row['realised_cost']:.2f}x"]
        accuracy = [interval(row), str(row["seeds"] or "-")]
        rows.append([*rule, str(row["input_resolution"]), *counts, *accuracy, verdict])
    text = aligned([*head, "seeds", ""], rows, [False] * 10 + [True])
    return "\n".join(["STEP 1", text, *_listed(footnotes), "", *_winner_lines(judgement, confirmed)])


def rivals_text(table: "pd.DataFrame", confidence: float) -> str:
    """A `rivals_table` for a terminal."""
    head = ["", "alpha", "beta", "gamma", "layers", "channels", "input", "multiply-adds", "of baseline", "top-1 %"]
    rows = [
        [
            row["rival"],
            *(coefficient(row[name]) for name in ("alpha", "beta", "gamma")),
            *(ratio(row[name]) for name in ("layers", "channels")),
            str(row["input_resolution"]),
            short(row["multiply_adds"]),
            ratio(row["realised_cost"]),
            interval(row),
            difference(row),
            row["note"],
        ]
        for row in table.to_dict("records")
    ]
    text = aligned([*head, "less the winner's", ""], rows, [True] + [False] * 10 + [True])
    return "\n".join(["Rivals of the winner", text, "", fill(rivals_note(confidence), 110, subsequent_indent="  ")])


def rivals_note(confidence: float) -> str:
    """How rivals are compared with the winner, in words."""
    return (
        f"Differences in points of top-1 accuracy, with {100 * confidence:g} % intervals for each rival by itself. The "
        "winner was picked by these same trainings, which flatters it."
    )


def step2_text(table: "pd.DataFrame") -> str:
    """STEP 2 for a terminal: each of B0..B7 by the found coefficients and, on the next row, by the published ones."""
    head = ["", "coefficients", "phi", "d", "w", "r", "input", "parameters", "multiply-adds", "top-1 %", ""]
    rows = []
    order = table.assign(published=table["coefficients"] == "published").sort_values(["model", "published"])
    footnotes: dict[str, str] = {}
    last = None
    for row in order.to_dict("records"):
        rows.append(
            [
                "" if row["model"] == last else row["model"],
                row["coefficients"],
                "" if row["phi"] != row["phi"] else f"{row['phi']:g}",
                *(f"{row[factor]:.2f}" for factor in ("depth", "width", "resolution")),
                str(row["input_resolution"]),
                short(row["parameters"]),
                short(row["multiply_adds"]),
                ("~" if row["source"] == "extrapolated" else "") + interval(row),
                _source(row, footnotes),
            ]
        )
        last = row["model"]
    lines = ["STEP 2", aligned(head, rows, [True, True] + [False] * 8 + [True])]
    lines += _listed(footnotes)
    if (table["source"] == "extrapolated").any():
        lines += [
            "",
            "~ not trained: predicted by the law of scaling fitted to the trained networks, with the interval for one",
            "  more network; the factor is its multiply-adds relative to the largest trained network",
        ]
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
    if findings.judgement is not None:
        parts.append(step1_text(findings.judgement, findings.confirmed))
        if findings.certainty is not None:
            parts.append(fill(certainty_text(findings.certainty, findings.judgement), 110, subsequent_indent="  "))
        if findings.rivals is not None:
            parts.append(rivals_text(findings.rivals, findings.judgement.confidence))
    if findings.step2 is not None:
        parts.append(step2_text(findings.step2))
    if findings.sweep is not None:
        parts.append(sweep_text(findings.sweep))
    if findings.nas is not None:
        parts.append(nas_text(findings.nas))
    if (tested := tested_text(findings.tested)) is not None:
        parts.append(tested)
    return "\n\n".join(parts)


def _winner_lines(judgement: "Judgement", confirmed: "Confirmed | None") -> list[str]:
    winner, baseline = judgement.winner, judgement.baseline
    reached = f"{interval(vars(winner))} % top-1" if confirmed is None else confirmation(confirmed)
    lines = [f"Winner: {rule_in_words(vars(winner))}: {reached}; {short(winner.multiply_adds)} multiply-adds"]
    if confirmed is None:
        lines.append("No fresh seed has confirmed the winner: the trainings that selected it flatter it.")
    if judgement.same_network:
        lines.append(same_network_text(judgement))
    if len(judgement.ties) > 1:
        others = [rule_in_brackets(rule) for rule in judgement.rules(judgement.ties[1:])]
        rank = "most accurate" if judgement.matched else "cheapest"
        lines.append(
            f"The winner is the {rank} of {len(judgement.ties)} networks tied at {100 * judgement.confidence:g} %; "
            f"the others are {', '.join(others)}"
        )
    if judgement.on_edge:
        lines.append(edge_text(judgement))
    lines += judgement.warnings
    if baseline.seeds:
        lines.append(
            f"Baseline (phi 0): {interval(vars(baseline))} % top-1, {short(baseline.multiply_adds)} multiply-adds"
        )
    lines += [separation_text(judgement), surface_text(judgement)]
    lines.append(judgement.note[0].upper() + judgement.note[1:])
    return [fill(line, 110, subsequent_indent="  ") for line in lines]


def same_network_text(judgement: "Judgement") -> str:
    """Which rules of the grid give the winner's network, in words."""
    rules = [rule_in_brackets(rule) for rule in (vars(judgement.winner), *judgement.same_network)]
    return f"The rules {', '.join(rules[:-1])} and {rules[-1]} are the same network."


def edge_text(judgement: "Judgement") -> str:
    """That the winner lies on the edge of the grid, in words."""
    names = " and ".join(judgement.on_edge)
    values, are = ("a larger value", "is") if len(judgement.on_edge) == 1 else ("larger values", "are")
    options = " and ".join(f"--grid.{name}-max" for name in judgement.on_edge)
    return (
        f"The winner lies on the edge of the grid: its {names} {are} the largest that the grid offers, and {values} "
        f"may be better. Raise {options} to try."
    )


def separation_text(judgement: "Judgement") -> str:
    """How many more seeds would separate the most accurate network of STEP 1 from the next, in words."""
    from scaling_search.analysis.statistics.power import MOST_SEEDS

    apart, level = judgement.separation, f"{100 * judgement.confidence:g} %"
    if apart is None and judgement.winner.low != judgement.winner.low:
        return "With one seed a network, the seeds needed to separate the leaders cannot be estimated."
    if apart is None and judgement.table["fingerprint"][judgement.table["seeds"] > 0].nunique() < 2:
        return "The winner has no rival to be compared with yet."
    if apart is None:
        return f"The winner differs from every other network of the grid at {level}; no more seeds are needed."
    first, second = (rule_in_brackets(rule) for rule in judgement.rules(apart.fingerprints))
    gap, low, high = (100 * value for value in (apart.gap, apart.low, apart.high))
    text = (
        f"The two most accurate networks, {first} and {second}, differ by {gap:.2f} points "
        f"({level} interval {low:.2f} to {high:.2f}). If that is the true difference,"
    )
    if apart.seeds is None:
        text += f" even {MOST_SEEDS:,} seeds each would not separate them"
    else:
        text += (
            f" {apart.seeds:,} seeds each ({apart.more:,} more) would separate them with {100 * apart.power:g} % "
            "probability"
        )
    if apart.fewest is None:
        return f"{text}."
    return f"{text}; at the interval's upper end {apart.fewest:,} would do, and if they are equal no number would."


def surface_text(judgement: "Judgement") -> str:
    """How sharp the optimum of STEP 1 is, in words."""
    from scaling_search.analysis.statistics.surface import FEWEST, MOVED

    surface = judgement.surface
    if surface is None:
        return (
            f"The sharpness of the optimum cannot be estimated: that takes {FEWEST} finished networks that differ in "
            "two dimensions and in cost."
        )
    at = ", ".join(
        f"{name} {row['value']:.2f} ({row['low']:.2f}-{row['high']:.2f})"
        for name, row in surface.optimum.to_dict("index").items()
    )
    edge = ", at the edge of the grid, so that the true optimum may lie beyond it" if surface.at_edge else ""
    loss, low, high = (100 * value for value in (surface.sharpness, surface.low, surface.high))
    level, p = f"{100 * surface.confidence:g} %", f"p = {surface.p_value:.2g}, F test"
    if low > 0:
        verdict = "so the optimum is a peak"
    elif high < 0:
        verdict = "so there is no peak"
    elif surface.p_value < 1 - surface.confidence:
        verdict = f"so a peak is not established, though the shares of growth do matter ({p})"
    else:
        verdict = f"so the surface cannot be distinguished from a flat one ({p})"
    return (
        f"A quadratic surface through the {surface.networks} networks is highest at {at}{edge}. By its "
        f"curvature, moving {100 * MOVED:g} % of the growth from one dimension to another costs {loss:.2f} points "
        f"({level} interval {low:.2f} to {high:.2f}), {verdict}."
    )


def _footnote(note: str, footnotes: dict[str, str]) -> str:
    """The number under which a note is listed below the table; nothing for an empty one."""
    return footnotes.setdefault(note, f"[{len(footnotes) + 1}]") if note else ""


def _listed(footnotes: dict[str, str]) -> list[str]:
    return [fill(f"{number} {note}", 110, subsequent_indent="    ") for note, number in footnotes.items()]


def _source(row: Mapping[Any, Any], footnotes: dict[str, str]) -> str:
    if row["source"] == "measured":
        return f"measured, {seeds_in_words(row['seeds'])}"
    if row["source"] == "extrapolated":
        return f"extrapolated, {row['beyond']:.3g}x"
    return f"none {_footnote(row['note'], footnotes)}"
