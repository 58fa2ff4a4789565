"""Frames as text: for a person, for a program (JSON), for a spreadsheet (CSV)."""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

from scaling_search.errors import UserError
from scaling_search.rule import PAPER_RULE, PUBLISHED, round_resolution

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.findings.step1 import Judgement
    from scaling_search.analysis.frames import Run

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


def step1_text(judgement: "Judgement") -> str:
    """STEP 1 for a terminal: every point of the grid, points of one network together, then the winner in words."""
    head = ["alpha", "beta", "gamma", "a*b^2*g^2", "input", "parameters", "multiply-adds", "of baseline", "top-1 %"]
    rows: list[list[str]] = []
    footnotes: dict[str, str] = {}
    last = None
    for row in judgement.table.to_dict("records"):
        rule = [_coefficient(row[name]) for name in ("alpha", "beta", "gamma")] + [f"{row['cost_factor']:.2f}"]
        leads = "leads" if row["leads"] else ""
        if row["fingerprint"] == last:
            rows.append([*rule, *[""] * 6, leads])
            continue
        last = row["fingerprint"]
        tie = "tie" if row["tie"] and len(judgement.ties) > 1 else ""
        note = _footnote(row["note"], footnotes)
        verdict = ", ".join(part for part in (tie, leads, note) if part)
        counts = [short(row["parameters"]), short(row["multiply_adds"]), f"{row['realised_cost']:.2f}x"]
        accuracy = [_interval(row), str(row["seeds"] or "-")]
        rows.append([*rule, str(row["input_resolution"]), *counts, *accuracy, verdict])
    text = aligned([*head, "seeds", ""], rows, [False] * 10 + [True])
    return "\n".join(["STEP 1", text, *_listed(footnotes), "", *_winner_lines(judgement)])


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
                ("~" if row["source"] == "extrapolated" else "") + _interval(row),
                _source(row, footnotes),
            ]
        )
        last = row["model"]
    lines = ["STEP 2", aligned(head, rows, [True, True] + [False] * 8 + [True])]
    lines += _listed(footnotes)
    if (table["source"] == "extrapolated").any():
        lines += [
            "",
            "~ was not trained: the law of scaling, fitted to the networks that were, predicts it, with the interval",
            "  for one more network; the factor is its multiply-adds relative to the largest that was trained",
        ]
    return "\n".join(lines)


def test_text(run: "Run") -> str | None:
    """What STEP 1's winner reached on the test split, or None where it was not looked at.

    The interval is Student's t over the network's own seeds. Nothing of it enters any other table.
    """
    from scaling_search.analysis.findings.step1 import preferred_rules
    from scaling_search.analysis.statistics.means import seed_means

    tested = run.trials[run.trials["test_accuracy"].notna()]
    rules = preferred_rules(run.points[run.points["phi"] != 0]).set_index("fingerprint")
    lines = []
    for name, trials in tested.groupby("fingerprint"):
        mean = seed_means(trials.assign(val_accuracy=trials["test_accuracy"])).table.iloc[0].to_dict()
        of = rule_in_words(rules.loc[name]) if name in rules.index else f"network {name}"
        lines.append(
            f"Test split, looked at once, for {of}: {_interval(mean)} % top-1 over {_seeds(int(mean['seeds']))}"
        )
    return "\n".join(lines) or None


def published_table() -> "pd.DataFrame":
    """The published models beside equation 3 with the paper's coefficients, which they do not follow.

    Columns: `model`; `depth`, `width`, `resolution`, `input_resolution` as published; `phi` 0..7 and, at that phi,
    `equation_depth`, `equation_width`, `equation_resolution`, `equation_input_resolution` (none for B8 and L2, which
    the paper does not have); and `effective_phi_depth`, `_width`, `_resolution`, `_cost`: the phi at which equation 3
    would give what was published.
    """
    import pandas as pd

    rows = []
    for index, model in enumerate(PUBLISHED):
        phi = float(index) if index <= 7 else float("nan")
        equation = PAPER_RULE.at(phi) if index <= 7 else None
        effective = model.effective_phi()
        rows.append(
            {
                "model": model.name,
                "depth": model.scale.depth,
                "width": model.scale.width,
                "resolution": model.scale.resolution,
                "input_resolution": model.input_resolution,
                "phi": phi,
                "equation_depth": equation and equation.depth,
                "equation_width": equation and equation.width,
                "equation_resolution": equation and equation.resolution,
                "equation_input_resolution": equation and round_resolution(224, equation.resolution),
                "effective_phi_depth": effective.depth,
                "effective_phi_width": effective.width,
                "effective_phi_resolution": effective.resolution,
                "effective_phi_cost": effective.cost,
            }
        )
    return pd.DataFrame(rows).astype({"equation_input_resolution": "Int64"})


def short(count: float) -> str:
    """A count in three digits: 5.29M, 386M, 1.83B."""
    if count < 999.5:
        return f"{count:.3g}"
    digits, exponent = f"{count:.2e}".split("e")
    thousands, places = divmod(int(exponent), 3)
    return f"{float(digits) * 10**places:.{2 - places}f}{'KMBTQ'[thousands - 1]}"


def _winner_lines(judgement: "Judgement") -> list[str]:
    from scaling_search.analysis.findings.step1 import preferred_rules

    winner, baseline = judgement.winner, judgement.baseline
    lines = [
        f"Winner: {rule_in_words(vars(winner))}: {_interval(vars(winner))} % top-1, "
        f"{short(winner.multiply_adds)} multiply-adds"
    ]
    if len(judgement.ties) > 1:
        rules = preferred_rules(judgement.table).set_index("fingerprint").loc[list(judgement.ties[1:])]
        others = [_rule_in_brackets(rule) for rule in rules.to_dict("records")]
        lines.append(
            f"A tie of {len(judgement.ties)} networks at {100 * judgement.confidence:g} %, of which the cheapest "
            f"leads: the others are those of {', '.join(others)}"
        )
    if baseline.seeds:
        lines.append(
            f"Baseline (phi 0): {_interval(vars(baseline))} % top-1, {short(baseline.multiply_adds)} multiply-adds"
        )
    lines += [separation_text(judgement), surface_text(judgement)]
    lines.append(judgement.note[0].upper() + judgement.note[1:])
    return [fill(line, 110, subsequent_indent="  ") for line in lines]


def separation_text(judgement: "Judgement") -> str:
    """How many more seeds would tell the most accurate network of STEP 1 from the next, in words."""
    from scaling_search.analysis.findings.step1 import preferred_rules
    from scaling_search.analysis.statistics.pairs import MOST_SEEDS

    apart, level = judgement.separation, f"{100 * judgement.confidence:g} %"
    if apart is None and judgement.winner.low != judgement.winner.low:
        return "One seed a network does not say how many would tell the leaders apart."
    if apart is None and judgement.table["fingerprint"][judgement.table["seeds"] > 0].nunique() < 2:
        return "The winner has no rival yet to be told from."
    if apart is None:
        return f"The winner is told from every other network of the grid at {level}: that takes no more seeds."
    rules = preferred_rules(judgement.table).set_index("fingerprint").loc[list(apart.fingerprints)]
    first, second = (_rule_in_brackets(rule) for rule in rules.to_dict("records"))
    gap, low, high = (100 * value for value in (apart.gap, apart.low, apart.high))
    text = (
        f"The two most accurate networks, those of {first} and {second}, differ by {gap:.2f} points "
        f"({level} interval {low:.2f} to {high:.2f})."
    )
    if apart.seeds is None:
        text += f" Were that the truth, and trainings to scatter as these do, {MOST_SEEDS:,} seeds each would not do"
    else:
        text += (
            f" Were that the truth, and trainings to scatter as these do, {apart.seeds:,} seeds each, {apart.more:,} "
            f"more, would tell them apart with a probability of {100 * apart.power:g} %"
        )
    if apart.fewest is None:
        return f"{text}."
    return f"{text}; were it the interval's upper end, {apart.fewest:,} each; were they equal, no number would."


def surface_text(judgement: "Judgement") -> str:
    """How sharp the optimum of STEP 1 is, in words."""
    from scaling_search.analysis.statistics.surface import FEWEST, MOVED

    surface = judgement.surface
    if surface is None:
        return (
            f"How sharp the optimum is cannot be said: it takes {FEWEST} networks that have finished and differ in two "
            "dimensions and in cost."
        )
    at = ", ".join(
        f"{name} {row['value']:.2f} ({row['low']:.2f}-{row['high']:.2f})"
        for name, row in surface.optimum.to_dict("index").items()
    )
    edge = ", at the edge of what the grid tried, so that there may be more beyond" if surface.at_edge else ""
    loss, low, high = (100 * value for value in (surface.sharpness, surface.low, surface.high))
    level, p = f"{100 * surface.confidence:g} %", f"p = {surface.p_value:.2g} by the F test"
    if low > 0:
        told = "so the optimum is sharper than chance would have it"
    elif high < 0:
        told = "so it has no peak"
    elif surface.p_value < 1 - surface.confidence:
        told = f"so a peak cannot be told from none, though how growth is shared does matter ({p})"
    else:
        told = f"so the surface cannot be told from flat ({p})"
    return (
        f"A quadratic surface through the {surface.networks} networks is highest at {at}{edge}. By its "
        f"curvature, {100 * MOVED:g} % of the growth moved from one dimension to another costs {loss:.2f} points "
        f"({level} interval {low:.2f} to {high:.2f}), {told}."
    )


def rule_in_words(rule: Any) -> str:
    """The coefficients of what has `alpha`, `beta` and `gamma` under these keys."""
    return ", ".join(f"{name} {_coefficient(rule[name])}" for name in ("alpha", "beta", "gamma"))


def _rule_in_brackets(rule: Any) -> str:
    return f"({', '.join(_coefficient(rule[name]) for name in ('alpha', 'beta', 'gamma'))})"


def _coefficient(value: float) -> str:
    """Two decimals, or as many more as it takes, up to four."""
    text = f"{value:.4f}"
    return text[:-2] + text[-2:].rstrip("0")


def _footnote(note: str, footnotes: dict[str, str]) -> str:
    """The number under which a note is listed below the table; nothing for an empty one."""
    return footnotes.setdefault(note, f"[{len(footnotes) + 1}]") if note else ""


def _listed(footnotes: dict[str, str]) -> list[str]:
    return [fill(f"{number} {note}", 110, subsequent_indent="    ") for note, number in footnotes.items()]


def _source(row: Mapping[Any, Any], footnotes: dict[str, str]) -> str:
    if row["source"] == "measured":
        return f"measured, {_seeds(row['seeds'])}"
    if row["source"] == "extrapolated":
        return f"extrapolated, {row['beyond']:.3g}x"
    return f"none {_footnote(row['note'], footnotes)}"


def _seeds(count: int) -> str:
    return f"{count} seed" + "s" * (count != 1)


def _interval(row: Mapping[Any, Any]) -> str:
    """An accuracy in per cent with its interval, as 93.1 (92.4-93.8)."""
    mean, low, high = (100 * float(row[part]) for part in ("val_accuracy", "low", "high"))
    if mean != mean:
        return "-"
    return f"{mean:.1f}" if low != low else f"{mean:.1f} ({low:.1f}-{high:.1f})"


def _cell(name: str, row: Mapping[Any, Any]) -> str:
    import pandas as pd

    value = row[name]
    if pd.isna(value):
        return "-"
    if name == "val_accuracy" and "low" in row:
        return _interval(row)
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
