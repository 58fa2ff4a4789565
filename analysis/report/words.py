"""What a report says in words: its question, its answer in one sentence, and each network's details."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scaling_search.analysis.findings.facts import Facts
from scaling_search.analysis.frames import family_of
from scaling_search.analysis.text.certainty import certainty_text
from scaling_search.analysis.text.epochs import verdict
from scaling_search.analysis.text.region import claim_text, region_text, where_best
from scaling_search.analysis.text.step1 import best_text, edge_text, named, same_network_text, separation_text
from scaling_search.analysis.text.words import interval, rule_in_words, seeds_in_words, sentence, short

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.findings.confirmed import Confirmed
    from scaling_search.analysis.findings.step1 import Judgement


def question(findings: Facts) -> str:
    """What the run set out to find."""
    config = findings.run.manifest["config"]
    family, data = family_of(findings.run), config["data"]
    if findings.run.kind == "nas":
        return f"Which architecture of {family} makes the best baseline on {data}?"
    if findings.run.kind == "method":
        return f"In which ratios should depth, width and resolution of {family} grow on {data}?"
    return f"How accurate is {family} on {data}?"


def answer(findings: Facts) -> str:
    """The answer in one sentence with its uncertainty, as far as there is one."""
    clauses = []
    if findings.judgement is not None:
        clauses.append(_winner(findings.judgement, findings.confirmed, float(findings.run.manifest["config"]["phi"])))
    if findings.nas is not None and findings.nas["reward"].notna().any():
        clauses.append(_best_architecture(findings.nas))
    if findings.frontier is not None:
        clauses.append(_frontier(findings.frontier))
    if findings.step2 is not None:
        clauses += _largest(findings.step2)
    if not clauses:
        return "There is no answer yet."
    sentence = "; ".join(clauses)
    return f"{sentence[0].upper()}{sentence[1:]}." if findings.complete else f"So far, {sentence}."


def status(findings: Facts) -> str:
    """How far the run has come, in one sentence."""
    progress = findings.progress
    if not progress.planned:
        return "No trainings are planned yet."
    failed = f"; {progress.failed} failed" if progress.failed else ""
    return f"{progress.finished} of {progress.planned} planned trainings have finished{failed}."


def subject(findings: Facts) -> str:
    """What the page is about, in a word or two."""
    by_kind = {"nas": "search for a baseline", "sweep": "sweep", "train": "training"}
    return by_kind.get(findings.run.kind, "compound scaling")


def certainty(findings: Facts) -> list[str]:
    """How certain STEP 1 is, a paragraph each: notes, its region, the paper's claim, seeds to separate its leaders."""
    judgement = findings.judgement
    notes = [sentence(note) for note in findings.run.notes]
    if judgement is None:
        return [*notes, *findings.advice]
    same = [same_network_text(judgement)] if judgement.same_network else []
    edge = [edge_text(judgement)] if judgement.on_edge else []
    claim = [claim_text(findings.rivals)] if findings.rivals is not None else []
    best = [sentence(best_text(judgement, findings.fresh))] if judgement.by_region else []
    sure = [] if findings.certainty is None else [certainty_text(findings.certainty, judgement)]
    moving = [] if findings.by_epochs is None else [verdict(findings.by_epochs)]
    parts = [
        *notes,
        region_text(judgement),
        *best,
        *sure,
        *moving,
        *claim,
        *judgement.warnings,
        *same,
        *edge,
        separation_text(judgement),
        *findings.advice,
    ]
    return [part for part in parts if part]


def details_of(findings: Facts) -> dict[str, str]:
    """By fingerprint, all about a network in a few lines: shown on hover and on focus, and read by screen readers."""
    rows: dict[str, Any] = {}
    for table in (findings.step2, findings.frontier):
        if table is not None:
            rows |= {row["fingerprint"]: row for row in table.to_dict("records")}
    return {name: "\n".join(_details(findings, name, row)) for name, row in rows.items()}


def _details(findings: Facts, name: str, row: Mapping[Any, Any]) -> list[str]:
    judgement = findings.judgement
    verdicts = []
    if judgement is not None and name == judgement.winner.fingerprint:
        verdicts.append(f"{named(judgement)} of STEP 1")
    elif judgement is not None and name in judgement.ties:
        verdicts.append("tied with the best of STEP 1")
    scale = f"input {row['input_resolution']} px"
    if findings.run.kind == "nas":
        verdicts += _standing_in_search(findings.nas, name)
    else:
        factors = (f"{factor} {row[factor]:.2f}" for factor in ("depth", "width", "resolution"))
        scale = f"{', '.join(factors)}, {scale}"
    if row.get("on_frontier") is True:
        verdicts.append("on the frontier")
    if row.get("source") == "extrapolated":
        source = f"extrapolated, {row['beyond']:.3g} times the largest trained"
    else:
        source = seeds_in_words(int(row["seeds"]))
    return [
        findings.names[name],
        f"top-1 {interval(row)} %, {source}",
        f"multiply-adds {short(row['multiply_adds'])}, parameters {short(row['parameters'])}, "
        f"activations {short(row['activations'])}",
        scale,
        *([", ".join(verdicts)] if verdicts else []),
    ]


def _standing_in_search(nas: "pd.DataFrame | None", name: str) -> list[str]:
    """An architecture's rank and whether it is a finalist; nothing before the search has recorded it."""
    own = [] if nas is None else nas[nas["fingerprint"] == name].to_dict("records")
    if nas is None or not own:
        return []
    rank = f"reward {own[0]['reward']:.4f}, rank {own[0]['rank']} of {len(nas)}"
    return [rank, *["finalist, judged by fresh seeds"] * bool(own[0]["finalist"])]


def _winner(judgement: "Judgement", confirmed: "Confirmed | None", phi: float) -> str:
    winner, tied = judgement.winner, len(judgement.ties)
    shown = winner if confirmed is None else confirmed
    if judgement.by_region and judgement.surface is not None:
        fresh = "" if confirmed is None else f" over {seeds_in_words(confirmed.seeds, 'fresh ')}"
        return (
            f"at phi {phi:g}, {where_best(judgement.surface)}; the rule that stands for them, "
            f"{rule_in_words(vars(winner))}, reaches {interval(vars(shown))} % top-1{fresh} at "
            f"{short(winner.multiply_adds)} multiply-adds"
        )
    if winner.low != winner.low:
        certainty, rank = "one seed a network, so no interval", "the best mean"
    else:
        certainty = f"{100 * judgement.confidence:g} % interval {100 * shown.low:.1f} to {100 * shown.high:.1f}"
        certainty += "" if confirmed is None else f" over {seeds_in_words(confirmed.seeds, 'fresh ')}"
        best = "most accurate" if judgement.matched else "cheapest"
        rank = f"the {best} of {tied} networks tied with the best" if tied > 1 else "ahead of the rest"
    if judgement.table["fingerprint"][judgement.table["seeds"] > 0].nunique() == 1:
        rank = "the only network of the grid that has finished"
    return (
        f"at phi {phi:g}, {rule_in_words(vars(winner))} wins STEP 1 with {100 * shown.val_accuracy:.1f} % top-1 "
        f"({certainty}) at {short(winner.multiply_adds)} multiply-adds, {rank}"
    )


def _best_architecture(nas: "pd.DataFrame") -> str:
    best = nas.iloc[0].to_dict()
    by_luck = "" if best["finalist"] and best["seeds"] > 1 else ", by one training each"
    return (
        f"of {len(nas)} architectures {best['architecture']} has the best reward, {best['reward']:.4f}{by_luck}, with "
        f"{interval(best)} % top-1 over {seeds_in_words(int(best['seeds']))} at {short(best['multiply_adds'])} "
        "multiply-adds"
    )


def _frontier(measured: "pd.DataFrame") -> str:
    best = measured[measured["on_frontier"]]
    ends = [f"{interval(row)} % at {short(row['multiply_adds'])}" for row in best.iloc[[0, -1]].to_dict("records")]
    if len(best) == 1:
        return f"the measured frontier is one network, {ends[0]} multiply-adds"
    return f"the measured frontier rises from {ends[0]} to {ends[1]} multiply-adds"


def _largest(step2: "pd.DataFrame") -> list[str]:
    """The largest model by the found coefficients that has an accuracy."""
    found = step2[(step2["coefficients"] == "found") & step2["val_accuracy"].notna()]
    if found.empty:
        return []
    row = found.sort_values("multiply_adds").iloc[-1].to_dict()
    if row["source"] == "measured":
        return [f"{row['model']} by the found coefficients reaches {interval(row)} %"]
    return [
        f"{row['model']} by the found coefficients, not trained, is extrapolated to {interval(row)} % at "
        f"{row['beyond']:.3g} times the multiply-adds of the largest trained network"
    ]
