"""The tables of a report: every cell with the text that is shown and the value that it sorts by."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from scaling_search.analysis.findings.epochs import PARTS
from scaling_search.analysis.findings.facts import Facts
from scaling_search.analysis.findings.region import GROWING
from scaling_search.analysis.text.epochs import moved_in_words, share_in_words
from scaling_search.analysis.text.rates import law_in_words
from scaling_search.analysis.text.region import SPREAD_NOTE
from scaling_search.analysis.text.step1 import named, rivals_notes, verdicts
from scaling_search.analysis.text.words import difference, interval, ratio, seeds_in_words, sentence, shares, short


@dataclass(frozen=True)
class Cell:
    """A cell of a table."""

    text: str
    order: float | None = None
    """What it sorts by in a column of numbers, where a cell without one comes last."""


@dataclass(frozen=True)
class Row:
    """A row of a table. Its first cell heads it."""

    cells: tuple[Cell, ...]
    network: str = ""
    """Fingerprint of the network that it is about."""
    leads: bool = False


@dataclass(frozen=True)
class Table:
    """A table that can be sorted and filtered."""

    key: str
    title: str
    explanation: str
    columns: tuple[tuple[str, bool], ...]
    """(heading, whether it holds numbers)."""
    rows: tuple[Row, ...]


def tables_of(findings: Facts) -> list[Table]:
    """The tables that have rows, in the order in which they are read."""
    results = _nas if findings.run.kind == "nas" else _measured
    makers = (_rates, _step1, _epochs, _rivals, _step2, _sweep, results, _failures)
    tables = [make(findings) for make in makers]
    return [table for table in tables if table is not None and table.rows]


_GROWTH = (("layers", True), ("channels", True), ("pixels", True))
_SHARES = ("d/w/r, %", True)
"""Shares of growth in one column, which sorts by depth's: with one each the table would be wider than a page."""
_COSTS = (("input, px", True), ("parameters", True), ("multiply-adds", True))


def _rates(findings: Facts) -> Table | None:
    probe = findings.probe
    if probe is None:
        return None
    columns = (
        ("multiply-adds", True),
        ("learning rate", True),
        ("top-1, %", True),
        ("seeds", True),
        ("failed", True),
        ("trained at", True),
        ("network", False),
    )
    follows = "" if probe.fit is None else " " + sentence(law_in_words(probe.fit))
    return Table(
        "rates",
        "Learning rates",
        "The smallest, the middle and the largest network at several learning rates, before STEP 1, from seeds that "
        "judge no network." + follows,
        columns,
        tuple(
            Row(
                (
                    _number(row["multiply_adds"], short(row["multiply_adds"])),
                    _number(row["learning_rate"], f"{row['learning_rate']:.3g}"),
                    _number(row["val_accuracy"], interval(row)),
                    _number(row["seeds"], str(row["seeds"])),
                    _number(row["failed"], str(row["failed"])),
                    _number(row["trained_at"], f"{row['trained_at']:.3g}"),
                    Cell(findings.names.get(row["fingerprint"], row["network"])),
                ),
                network=str(row["fingerprint"]),
            )
            for row in probe.table.to_dict("records")
        ),
    )


def _step1(findings: Facts) -> Table | None:
    judgement = findings.judgement
    if judgement is None:
        return None
    rows = judgement.table.to_dict("records")
    columns = (
        *((name, True) for name in ("alpha", "beta", "gamma", "cost factor")),
        *_COSTS,
        ("of baseline", True),
        ("top-1, %", True),
        ("seeds", True),
        ("verdict", False),
        *_GROWTH,
        _SHARES,
    )
    return Table(
        "step1",
        "STEP 1: the grid",
        "Every point of the grid; points of the same network share its accuracy. The cost factor is alpha * beta^2 * "
        "gamma^2. Layers, channels and pixels a side are what the network has relative to the baseline, and "
        "d/w/r the shares that depth, width and resolution take of its growth in cost. " + sentence(judgement.note),
        columns,
        tuple(
            Row(
                (
                    *(_number(row[name], f"{row[name]:.4g}") for name in ("alpha", "beta", "gamma")),
                    _number(row["cost_factor"], f"{row['cost_factor']:.2f}"),
                    *_costs(row),
                    _number(row["realised_cost"], f"{row['realised_cost']:.2f}x"),
                    _number(row["val_accuracy"], interval(row)),
                    _number(row["seeds"], str(row["seeds"])),
                    Cell(", ".join(part for part in (*verdicts(judgement, row), row["note"]) if part)),
                    *_growth(row),
                    _number(row["depth_share"], shares(row)),
                ),
                network=str(row["fingerprint"]),
                leads=bool(row["leads"]),
            )
            for row in rows
        ),
    )


def _epochs(findings: Facts) -> Table | None:
    if findings.by_epochs is None:
        return None
    columns = (
        ("epochs", True),
        *((f"{part}, %", True) for part in PARTS),
        ("of triangle", True),
        *((name, True) for name in ("alpha", "beta", "gamma")),
        ("top-1, %", True),
        ("seeds", True),
        ("less the last's", False),
    )
    return Table(
        "epochs",
        "STEP 1 by epochs",
        "Shares of growth at the centre of the region of the best, with its ends, for each number of epochs, the rule "
        "that stands for it, and in points how far its centre is from that of the most epochs.",
        columns,
        tuple(
            Row(
                (
                    _number(row["epochs"], str(row["epochs"])),
                    *(_number(row[f"{part}_share"], share_in_words(row, part)) for part in PARTS),
                    _number(row["covered"], f"{100 * row['covered']:.0f} %"),
                    *(_number(row[name], f"{row[name]:.4g}") for name in ("alpha", "beta", "gamma")),
                    _number(row["val_accuracy"], interval(row)),
                    _number(row["seeds"], str(row["seeds"])),
                    Cell(moved_in_words(row)),
                ),
            )
            for row in findings.by_epochs.table.to_dict("records")
        ),
    )


def _rivals(findings: Facts) -> Table | None:
    if findings.rivals is None or findings.judgement is None:
        return None
    rows = findings.rivals.to_dict("records")
    rule = named(findings.judgement)
    columns = (
        ("rival", False),
        *((name, True) for name in ("alpha", "beta", "gamma")),
        *_GROWTH,
        _SHARES,
        ("of baseline", True),
        ("top-1, %", True),
        ("less the rule's", True),
        ("seeds", True),
        ("note", False),
    )
    return Table(
        "rivals",
        f"Rivals of the {rule}",
        f"Rules that were trained at the same cost to compare the {rule} with. "
        + " ".join(rivals_notes(findings.rivals, findings.judgement)),
        columns,
        tuple(
            Row(
                (
                    Cell(row["rival"]),
                    *(_number(row[name], f"{row[name]:.4g}") for name in ("alpha", "beta", "gamma")),
                    *_growth(row),
                    _number(row["depth_share"], shares(row)),
                    _number(row["realised_cost"], ratio(row["realised_cost"])),
                    _number(row["val_accuracy"], interval(row)),
                    _number(row["difference"], difference(row)),
                    _number(row["seeds"], str(row["seeds"])),
                    Cell(row["note"]),
                ),
                network=str(row["fingerprint"]),
            )
            for row in rows
        ),
    )


def _step2(findings: Facts) -> Table:
    rows = [] if findings.step2 is None else findings.step2.to_dict("records")
    spread = any(row["layers_low"] == row["layers_low"] for row in rows)
    columns = (
        ("model", False),
        ("coefficients", False),
        *((name, True) for name in ("phi", "depth", "width", "resolution")),
        *_COSTS,
        ("top-1, %", True),
        ("gain", True),
        ("source", False),
        *[(f"{name}, region", False) for name in GROWING if spread],
    )
    return Table(
        "step2",
        "STEP 2: B0 to B7",
        "The baseline scaled by the found and by the published coefficients. Extrapolated models were not trained: the "
        "law of scaling, fitted to the trained networks, predicts them, with the interval for one more network; the "
        "factor is the model's multiply-adds relative to the largest trained network. The gain is what a measured "
        "model has more than the one before, in points, with the interval of the difference."
        + f" {SPREAD_NOTE[:-1]}, in the last columns."
        * spread,
        columns,
        tuple(
            Row(
                (
                    Cell(row["model"]),
                    Cell(row["coefficients"]),
                    _number(row["phi"], f"{row['phi']:g}"),
                    *(_number(row[name], f"{row[name]:.2f}") for name in ("depth", "width", "resolution")),
                    *_costs(row),
                    _number(row["val_accuracy"], interval(row)),
                    _number(row["gain"], difference(row, "gain")),
                    Cell(_source(row)),
                    *[_spread(row, name) for name in GROWING if spread],
                ),
                network=str(row["fingerprint"]),
            )
            for row in rows
        ),
    )


def _sweep(findings: Facts) -> Table:
    rows = [] if findings.sweep is None else findings.sweep.to_dict("records")
    columns = (
        ("scaling", False),
        *((name, True) for name in ("depth", "width", "resolution")),
        *_COSTS,
        ("of the first", True),
        ("top-1, %", True),
        ("seeds", True),
        ("note", False),
    )
    return Table(
        "sweep",
        "Networks as given",
        "Each was trained from every seed; multiply-adds are relative to the first row's.",
        columns,
        tuple(
            Row(
                (
                    Cell(row["scaling"]),
                    *(_number(row[name], f"{row[name]:.2f}") for name in ("depth", "width", "resolution")),
                    *_costs(row),
                    _number(row["of_baseline"], f"{row['of_baseline']:.2f}x"),
                    _number(row["val_accuracy"], interval(row)),
                    _number(row["seeds"], str(row["seeds"])),
                    Cell(row["note"]),
                ),
                network=str(row["fingerprint"]),
            )
            for row in rows
        ),
    )


def _nas(findings: Facts) -> Table:
    nas = findings.nas
    rows = [] if nas is None else nas.to_dict("records")
    measured = findings.frontier
    best = set() if measured is None else set(measured["fingerprint"][measured["on_frontier"]])
    # Multiply-adds, the usual metric, have a column of their own.
    own_cost = nas is not None and not (nas["cost"] == nas["multiply_adds"]).all()
    columns = (
        ("rank", True),
        *_COSTS,
        *[("cost", True)] * own_cost,
        ("epochs", True),
        ("top-1, %", True),
        ("seeds", True),
        ("reward", True),
        ("batch", True),
        ("on the frontier", False),
        ("architecture", False),
    )
    return Table(
        "nas",
        "Architectures by reward",
        "The reward is accuracy * (cost / T)^w, with the metric, T and w of the search. Finalists, the best after one "
        "training, come first and are judged by other seeds alone; the ranks of the others also reflect luck. "
        "Architectures with fewer epochs were dropped early.",
        columns,
        tuple(
            Row(
                (
                    _number(row["rank"], str(row["rank"])),
                    *_costs(row),
                    *[_number(row["cost"], short(row["cost"]))] * own_cost,
                    _number(row["epochs"], str(row["epochs"])),
                    _number(row["val_accuracy"], interval(row)),
                    _number(row["seeds"], str(row["seeds"])),
                    _number(row["reward"], f"{row['reward']:.4f}"),
                    _number(row["batch"], str(row["batch"])),
                    Cell("yes" if row["fingerprint"] in best else ""),
                    Cell(row["architecture"]),
                ),
                network=str(row["fingerprint"]),
                leads=bool(row["finalist"] and row["rank"] == 1),
            )
            for row in rows
        ),
    )


def _measured(findings: Facts) -> Table:
    rows = [] if findings.frontier is None else findings.frontier.to_dict("records")
    columns = (
        ("network", False),
        *_COSTS,
        ("activations", True),
        ("top-1, %", True),
        ("seeds", True),
        ("on the frontier", False),
    )
    return Table(
        "frontier",
        "Every network measured",
        "A network is on the frontier unless another is at least as accurate and as cheap, and better in one of these.",
        columns,
        tuple(
            Row(
                (
                    Cell(findings.names[row["fingerprint"]]),
                    *_costs(row),
                    _number(row["activations"], short(row["activations"])),
                    _number(row["val_accuracy"], interval(row)),
                    _number(row["seeds"], str(row["seeds"])),
                    Cell("yes" if row["on_frontier"] else ""),
                ),
                network=str(row["fingerprint"]),
            )
            for row in rows
        ),
    )


def _failures(findings: Facts) -> Table:
    trials = findings.run.trials
    return Table(
        "failures",
        "Trainings that failed",
        "Trainings that crashed are tried again when the run is resumed.",
        (("trial", False), ("network", False), ("seed", True), ("status", False), ("reason", False)),
        tuple(
            Row(
                (
                    Cell(row["key"]),
                    Cell(findings.names.get(row["fingerprint"], row["network"])),
                    _number(row["seed"], str(row["seed"])),
                    Cell(row["status"]),
                    Cell(row["reason"] if isinstance(row["reason"], str) else ""),
                ),
                network=str(row["fingerprint"]),
            )
            for row in trials[trials["status"] != "ok"].to_dict("records")
        ),
    )


def settings_of(findings: Facts) -> list[tuple[str, str]]:
    """The manifest as (name, value), the config first and nested names joined by dots."""
    manifest = findings.run.manifest
    return [*_flat(manifest["config"], ""), *_flat({k: v for k, v in manifest.items() if k != "config"}, "")]


def _flat(tree: Mapping[str, Any], prefix: str) -> Iterable[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield f"{prefix}{key}", ", ".join(map(str, value)) or "none"
        else:
            yield f"{prefix}{key}", "none" if value is None else str(value)


def _growth(row: Mapping[Any, Any]) -> tuple[Cell, ...]:
    return tuple(_number(row[name], ratio(row[name])) for name, _ in _GROWTH)


def _costs(row: Mapping[Any, Any]) -> tuple[Cell, ...]:
    return (
        _number(row["input_resolution"], str(row["input_resolution"])),
        _number(row["parameters"], short(row["parameters"])),
        _number(row["multiply_adds"], short(row["multiply_adds"])),
    )


def _spread(row: Mapping[Any, Any], name: str) -> Cell:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return Cell("-" if low != low else f"{low:.2f}-{high:.2f}x")


def _number(value: float, text: str) -> Cell:
    return Cell("-") if value != value else Cell(text, float(value))


def _source(row: Mapping[Any, Any]) -> str:
    if row["source"] == "measured":
        return f"measured, {seeds_in_words(row['seeds'])}"
    if row["source"] == "extrapolated":
        return ", ".join(part for part in (f"extrapolated, {row['beyond']:.3g}x", row["note"]) if part)
    return str(row["note"])
