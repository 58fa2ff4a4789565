"""The probe of learning rates, as a table and in words."""

from math import isfinite
from textwrap import fill
from typing import TYPE_CHECKING

from scaling_search.analysis.text.tables import aligned
from scaling_search.analysis.text.words import interval, sentence, short

if TYPE_CHECKING:
    from scaling_search.analysis.findings.rates import Rates
    from scaling_search.analysis.statistics.rates import RateFit


def rates_text(rates: "Rates") -> str:
    """The probe for a terminal: a row a network, a column a rate, and what follows."""
    tried = sorted(set(rates.table["learning_rate"]))
    rows = []
    for _, mine in rates.table.groupby(["multiply_adds", "fingerprint"]):
        at = {row["learning_rate"]: row for row in mine.to_dict("records")}
        first = next(iter(at.values()))
        own = first["trained_at"]
        rows.append(
            [
                short(first["multiply_adds"]),
                *(interval(at[rate]) if rate in at else "" for rate in tried),
                "-" if own != own else f"{own:.3g}",
            ]
        )
    head = ["multiply-adds", *(f"top-1 % at {rate:.3g}" for rate in tried), "trained at"]
    lines = ["Learning rates", aligned(head, rows, [False] * len(head))]
    if rates.fit is not None:
        lines += ["", fill(sentence(law_in_words(rates.fit)), 110, subsequent_indent="  ")]
    return "\n".join(lines)


def law_in_words(fit: "RateFit") -> str:
    """Which rate a network is trained with, and how sure its dependence on size is, as a clause."""
    law = fit.law
    known = (
        f"95 % interval {fit.low:.2f} to {fit.high:.2f}"
        if isfinite(fit.low)
        else "the rates tried are too much alike, or the seeds too unlike, for an interval"
    )
    if law.slope:
        return (
            f"learning rates go from {law.at(law.smallest):.3g} at {short(law.smallest)} multiply-adds to "
            f"{law.at(law.largest):.3g} at {short(law.largest)}: by 2^{law.slope:.2f} where multiply-adds double "
            f"({known})"
        )
    one = f"every network is trained at a learning rate of {law.at(law.size):.3g}"
    if not fit.curved:
        return f"{one}, the most accurate of those tried, which cannot be told apart: {known}"
    return f"{one}: no dependence on size can be told from noise (slope in octaves: {known})"
