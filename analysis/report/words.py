"""What a report says in words: its question, its answer in one sentence, and each network's details."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scaling_search.analysis.findings.run import Findings
from scaling_search.analysis.text.tables import rule_in_words, separation_text, short, surface_text

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.findings.step1 import Judgement


def question(findings: Findings) -> str:
    """What the run set out to find."""
    config = findings.run.manifest["config"]
    if findings.sweep is not None:
        return f"What does {config['family']} reach on {config['data']}?"
    if findings.run.is_search:
        return f"Which architecture of {config['family']} makes the best baseline on {config['data']}?"
    return f"In which ratios should depth, width and resolution of {config['family']} grow on {config['data']}?"


def answer(findings: Findings) -> str:
    """The answer in one sentence with its uncertainty, as far as there is one; otherwise that there is none."""
    clauses = []
    if findings.judgement is not None:
        clauses.append(_winner(findings.judgement, float(findings.run.manifest["config"]["phi"])))
    if findings.nas is not None and findings.nas["reward"].notna().any():
        clauses.append(_best_architecture(findings.nas))
    if not findings.measured.empty:
        clauses.append(_frontier(findings))
    if findings.step2 is not None:
        clauses += _largest(findings)
    if not clauses:
        return "There is no answer yet."
    sentence = "; ".join(clauses)
    return f"{sentence[0].upper()}{sentence[1:]}." if findings.complete else f"So far, {sentence}."


def status(findings: Findings) -> str:
    """How far the run has come, in one sentence."""
    progress = findings.progress
    if not progress.planned:
        return "Nothing is laid out to be trained yet."
    failed = f"; {progress.failed} failed" if progress.failed else ""
    return f"{progress.finished} of the {progress.planned} trainings laid out have finished{failed}."


def subject(findings: Findings) -> str:
    """What the page is about, in a word or two."""
    return "search for a baseline" if findings.run.is_search else "compound scaling"


def tested(findings: Findings) -> str | None:
    """What the test split said of the winner, or None where it was not looked at."""
    from scaling_search.analysis.text.tables import test_text

    return test_text(findings.run)


def certainty(findings: Findings) -> list[str]:
    """How sure STEP 1 is, a paragraph each: seeds that would tell its leaders apart, and how sharp its optimum is."""
    judgement = findings.judgement
    return [] if judgement is None else [separation_text(judgement), surface_text(judgement)]


def interval(row: Mapping[Any, Any]) -> str:
    """An accuracy with its interval, in per cent: 93.1 (92.4-93.8)."""
    mean, low, high = (100 * float(row[part]) for part in ("val_accuracy", "low", "high"))
    if mean != mean:
        return "-"
    return f"{mean:.1f}" if low != low else f"{mean:.1f} ({low:.1f}-{high:.1f})"


def seeds(count: int) -> str:
    """A number of seeds."""
    return f"{count} seed{'s' * (count != 1)}"


def details_of(findings: Findings) -> dict[str, str]:
    """By fingerprint, the lines that say all about a network: the same on hover, on focus and for a screen reader."""
    rows: dict[str, Any] = {}
    if findings.step2 is not None:
        rows |= {row["fingerprint"]: row for row in findings.step2.to_dict("records")}
    rows |= {row["fingerprint"]: row for row in findings.measured.to_dict("records")}
    return {name: "\n".join(_details(findings, name, row)) for name, row in rows.items()}


def _details(findings: Findings, name: str, row: Mapping[Any, Any]) -> list[str]:
    judgement = findings.judgement
    verdicts, nas = [], findings.nas
    if judgement is not None and name == judgement.winner.fingerprint:
        verdicts.append("winner of STEP 1")
    elif judgement is not None and name in judgement.ties:
        verdicts.append("tied with the best of STEP 1")
    if nas is not None:
        own = nas[nas["fingerprint"] == name].iloc[0]
        verdicts.append(f"reward {own['reward']:.4f}, rank {own['rank']} of {len(nas)}")
        verdicts += ["trained from all seeds"] * bool(own["finalist"])
        scale = f"input {row['input_resolution']} px"
    else:
        scale = (
            f"depth {row['depth']:.2f}, width {row['width']:.2f}, resolution {row['resolution']:.2f}, "
            f"input {row['input_resolution']} px"
        )
    if row.get("on_frontier") is True:
        verdicts.append("on the frontier")
    if row.get("source") == "extrapolated":
        source = f"extrapolated, {row['beyond']:.3g} times the largest trained"
    else:
        source = seeds(int(row["seeds"]))
    return [
        findings.names[name],
        f"top-1 {interval(row)} %, {source}",
        f"multiply-adds {short(row['multiply_adds'])}, parameters {short(row['parameters'])}, "
        f"activations {short(row['activations'])}",
        scale,
        *([", ".join(verdicts)] if verdicts else []),
    ]


def _winner(judgement: "Judgement", phi: float) -> str:
    winner, tied = judgement.winner, len(judgement.ties)
    if winner.low != winner.low:
        sure, rank = "one seed a network, so nothing says how sure", "the best mean"
    else:
        sure = f"{100 * judgement.confidence:g} % interval {100 * winner.low:.1f} to {100 * winner.high:.1f}"
        rank = f"the cheapest of {tied} networks that cannot be told from the best" if tied > 1 else "ahead of the rest"
    if judgement.table["fingerprint"][judgement.table["seeds"] > 0].nunique() == 1:
        rank = "the only network of the grid that has finished"
    return (
        f"at phi {phi:g} {rule_in_words(vars(winner))} lead STEP 1 with {100 * winner.val_accuracy:.1f} % top-1 "
        f"({sure}) at {short(winner.multiply_adds)} multiply-adds, {rank}"
    )


def _best_architecture(nas: "pd.DataFrame") -> str:
    best = nas.iloc[0].to_dict()
    sure = "" if best["finalist"] and best["seeds"] > 1 else ", chosen by one training each"
    return (
        f"of {len(nas)} architectures {best['architecture']} has the best reward, {best['reward']:.4f}{sure}, with "
        f"{interval(best)} % top-1 from {seeds(int(best['seeds']))} at {short(best['multiply_adds'])} multiply-adds"
    )


def _frontier(findings: Findings) -> str:
    best = findings.measured[findings.measured["on_frontier"]]
    ends = [f"{interval(row)} % at {short(row['multiply_adds'])}" for row in best.iloc[[0, -1]].to_dict("records")]
    if len(best) == 1:
        return f"the frontier of what was measured is one network, {ends[0]} multiply-adds"
    return f"the frontier of what was measured rises from {ends[0]} to {ends[1]} multiply-adds"


def _largest(findings: Findings) -> list[str]:
    """The largest model by the found coefficients that has an accuracy."""
    assert findings.step2 is not None
    found = findings.step2[(findings.step2["coefficients"] == "found") & findings.step2["val_accuracy"].notna()]
    if found.empty:
        return []
    row = found.sort_values("multiply_adds").iloc[-1].to_dict()
    if row["source"] == "measured":
        return [f"{row['model']} by the found coefficients reached {interval(row)} %"]
    return [
        f"{row['model']} by the found coefficients was not trained and is extrapolated to {interval(row)} %, at "
        f"{row['beyond']:.3g} times the multiply-adds of the largest network that was"
    ]
