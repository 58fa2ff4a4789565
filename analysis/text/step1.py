"""STEP 1 and its rivals as tables and sentences for a terminal."""

from collections.abc import Mapping
from textwrap import fill
from typing import TYPE_CHECKING, Any

from scaling_search.analysis.text.region import claim_text, region_text
from scaling_search.analysis.text.tables import aligned, footnote, listed
from scaling_search.analysis.text.words import (
    coefficient,
    confirmation,
    difference,
    interval,
    ratio,
    rule_in_brackets,
    rule_in_words,
    shares,
    short,
)

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.findings.confirmed import Confirmed
    from scaling_search.analysis.findings.step1 import Judgement


def step1_text(judgement: "Judgement", fresh: "Mapping[str, Confirmed] | None" = None) -> str:
    """STEP 1 for a terminal: every point of the grid, points of one network together, then the answer in words.

    `fresh` is of the same run, see `confirmed.confirm_all`.
    """
    growth = "d/w/r %" if judgement.by_region else "a*b^2*g^2"
    head = ["alpha", "beta", "gamma", growth, "input", "parameters", "multiply-adds", "of baseline", "top-1 %"]
    rows: list[list[str]] = []
    footnotes: dict[str, str] = {}
    last = None
    for row in judgement.table.to_dict("records"):
        rule = [coefficient(row[name]) for name in ("alpha", "beta", "gamma")]
        rule.append(shares(row) if judgement.by_region else f"{row['cost_factor']:.2f}")
        if row["fingerprint"] == last:
            rows.append([*rule, *[""] * 7])
            continue
        last = row["fingerprint"]
        verdict = ", ".join(part for part in (*verdicts(judgement, row), footnote(row["note"], footnotes)) if part)
        counts = [short(row["parameters"]), short(row["multiply_adds"]), f"{row['realised_cost']:.2f}x"]
        accuracy = [interval(row), str(row["seeds"] or "-")]
        rows.append([*rule, str(row["input_resolution"]), *counts, *accuracy, verdict])
    text = aligned([*head, "seeds", ""], rows, [False] * 10 + [True])
    return "\n".join(["STEP 1", text, *listed(footnotes), "", *_answer_lines(judgement, fresh or {})])


def verdicts(judgement: "Judgement", row: Mapping[Any, Any]) -> list[str]:
    """What a network of STEP 1 is: the best measured or tied with it, the answer or the leader."""
    said = []
    if judgement.by_region and row["fingerprint"] == judgement.best.fingerprint:
        said.append("best")
    elif row["tie"] and len(judgement.ties) > 1:
        said.append("tie")
    if row["leads"]:
        said.append("answer" if judgement.by_region else "leads")
    return said


def rivals_text(table: "pd.DataFrame", judgement: "Judgement") -> str:
    """A `rivals_table` for a terminal, and what it says of the paper's claim."""
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
    text = aligned([*head, "less the rule's", ""], rows, [True] + [False] * 10 + [True])
    notes = [fill(line, 110, subsequent_indent="  ") for line in rivals_notes(table, judgement)]
    return "\n".join([f"Rivals of the {named(judgement)}", text, "", *notes])


def rivals_notes(table: "pd.DataFrame", judgement: "Judgement") -> list[str]:
    """What rivals say of the paper's claim, and how they are compared, in words."""
    picked = (
        "The rule stands for a region that these same trainings showed"
        if judgement.by_region
        else "The winner was picked by these same trainings"
    )
    how = (
        f"Differences in points of top-1 accuracy, with {100 * judgement.confidence:g} % intervals for each rival by "
        f"itself. {picked}, which flatters it."
    )
    return [line for line in (claim_text(table), how) if line]


def _answer_lines(judgement: "Judgement", fresh: "Mapping[str, Confirmed]") -> list[str]:
    winner, baseline = judgement.winner, judgement.baseline
    lines = [region_text(judgement)] if judgement.by_region else []
    called, rule = named(judgement), rule_in_words(vars(winner))
    confirmed = fresh.get(winner.fingerprint)
    reached = f"{interval(vars(winner))} % top-1" if confirmed is None else confirmation(confirmed)
    lines.append(f"{called.capitalize()}: {rule}: {reached}; {short(winner.multiply_adds)} multiply-adds")
    if confirmed is None:
        lines.append(f"No fresh seed has confirmed the {called}: the trainings that selected it flatter it.")
    if judgement.same_network:
        lines.append(same_network_text(judgement))
    lines.append(best_text(judgement, fresh))
    if judgement.on_edge:
        lines.append(edge_text(judgement))
    lines += judgement.warnings
    if baseline.seeds:
        more = fresh.get(baseline.fingerprint)
        reached = f"{interval(vars(baseline))} % top-1" if more is None else confirmation(more)
        lines.append(f"Baseline (phi 0): {reached}; {short(baseline.multiply_adds)} multiply-adds")
    lines.append(separation_text(judgement))
    if not judgement.by_region:
        lines.append(region_text(judgement))
    lines.append(judgement.note[0].upper() + judgement.note[1:])
    return [fill(line, 110, subsequent_indent="  ") for line in lines if line]


def named(judgement: "Judgement") -> str:
    """What the winner is called: a network that stands for a region has not won."""
    return "representative rule" if judgement.by_region else "winner"


def best_text(judgement: "Judgement", fresh: "Mapping[str, Confirmed]") -> str:
    """Which network is the best measured, and which are tied with it, in words; empty where there is nothing to say."""
    best, tied = judgement.best, len(judgement.ties)
    level = f"{100 * judgement.confidence:g} %"
    rank = "most accurate" if judgement.matched else "cheapest"
    if not judgement.by_region:
        if tied < 2:
            return ""
        others = [rule_in_brackets(rule) for rule in judgement.rules(judgement.ties[1:])]
        return f"The winner is the {rank} of {tied} networks tied at {level}; the others are {', '.join(others)}"
    is_it = best.fingerprint == judgement.winner.fingerprint
    text = "The representative rule's network is also the best measured"
    if not is_it:
        again = fresh.get(best.fingerprint)
        flattered = f"{interval(vars(best))} % top-1 over the seeds that selected it, which flatter it"
        reached = flattered if again is None else confirmation(again)
        text = f"The best network measured is {rule_in_words(vars(best))}: {reached}"
    if tied < 2:
        return f"{text}, ahead of all others of the grid at {level}"
    if judgement.winner.fingerprint in judgement.ties[1:]:
        return f"{text}, tied at {level} with that of the representative rule" + (
            f" and {tied - 2} more" if tied > 2 else ""
        )
    return f"{text}, tied at {level} with {tied - 1} more" + ("" if is_it else ", but not the representative rule's")


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
    leader = "best network measured" if judgement.by_region else "winner"
    if apart is None and judgement.winner.low != judgement.winner.low:
        return "With one seed a network, the seeds needed to separate the leaders cannot be estimated."
    if apart is None and judgement.table["fingerprint"][judgement.table["seeds"] > 0].nunique() < 2:
        return f"The {leader} has no rival to be compared with yet."
    if apart is None:
        return f"The {leader} differs from every other network of the grid at {level}; no more seeds are needed."
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
