"""STEP 1 for several numbers of epochs, as a table and in words."""

from textwrap import fill
from typing import TYPE_CHECKING, Any

from scaling_search.analysis.findings.epochs import PARTS
from scaling_search.analysis.text.tables import aligned
from scaling_search.analysis.text.words import interval, rule_in_brackets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scaling_search.analysis.findings.epochs import ByEpochs


def epochs_text(by_epochs: "ByEpochs") -> str:
    """STEP 1 by epochs for a terminal."""
    head = ["epochs", *(f"{part} %" for part in PARTS), "of triangle", "rule", "top-1 %", "best shares less the last's"]
    rows = [
        [
            str(row["epochs"]),
            *(share_in_words(row, part) for part in PARTS),
            "-" if row["covered"] != row["covered"] else f"{100 * row['covered']:.0f} %",
            rule_in_brackets(row),
            interval(row),
            moved_in_words(row),
        ]
        for row in by_epochs.table.to_dict("records")
    ]
    left = [False, *[False] * len(PARTS), False, True, False, True]
    lines = ["STEP 1 by epochs", aligned(head, rows, left), "", fill(verdict(by_epochs), 110, subsequent_indent="  ")]
    return "\n".join(lines)


def share_in_words(row: "Mapping[Any, Any]", part: str) -> str:
    """A share of the region's centre in per cent with the region's ends, as 30 (20-45)."""
    centre, low, high = (100 * row[name] for name in (f"{part}_share", f"{part}_low", f"{part}_high"))
    return "-" if centre != centre else f"{centre:.0f} ({low:.0f}-{high:.0f})"


def moved_in_words(row: "Mapping[Any, Any]") -> str:
    """How far the best shares are from those of the most epochs, as +5/-10/+5."""
    values = [row[f"{part}_moved"] for part in PARTS]
    return "" if any(value != value for value in values) else "/".join(f"{100 * value:+.0f}" for value in values)


def verdict(by_epochs: "ByEpochs") -> str:
    """Whether the best shares move with training, in words."""
    *fewer, most = by_epochs.judgements
    if by_epochs.moves is None:
        return "Whether the best shares of growth move with training cannot be said: it takes two regions."
    if not by_epochs.moves:
        return (
            f"Nothing says that the best shares of growth move with training: from {fewer[0]} to {most} epochs they "
            f"differ by no more than their uncertainty. {_how(by_epochs)}"
        )
    said = []
    for row in by_epochs.table.to_dict("records"):
        for part in PARTS:
            low, high = row[f"{part}_moved_low"], row[f"{part}_moved_high"]
            if low > 0 or high < 0:
                more = "more" if low > 0 else "less"
                ends = sorted((abs(100 * low), abs(100 * high)))
                said.append(f"for {row['epochs']} epochs {ends[0]:.0f} to {ends[1]:.0f} points {more} go to {part}")
    return (
        f"The best shares of growth move with training: compared with {most} epochs, {', '.join(said)}. "
        f"{_how(by_epochs)}"
    )


def _how(by_epochs: "ByEpochs") -> str:
    (level,) = {one.confidence for one in by_epochs.judgements.values()}
    return (
        "Best shares are compared with those of the most epochs by draws of both surfaces, at "
        f"{100 * level:g} % for all comparisons together."
    )
