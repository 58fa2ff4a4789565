"""The runs of a folder, and two runs side by side, as tables and sentences for a terminal."""

from typing import TYPE_CHECKING

from scaling_search.analysis.findings.overview import age
from scaling_search.analysis.text.tables import aligned
from scaling_search.analysis.text.words import difference, interval, short

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.findings.two_runs import TwoRuns


def overview_text(table: "pd.DataFrame") -> str:
    """An `overview` for a terminal."""
    rows = [
        [
            row["run"],
            row["kind"],
            row["state"],
            f"{row['done']}/{row['planned']}" + (f", {row['failed']} failed" if row["failed"] else ""),
            row["result"] if isinstance(row["result"], str) else "-",
            interval(row),
            f"{row['bytes'] / 2**20:.1f} MiB",
            f"{age(row['changed'])} ago",
        ]
        for row in table.to_dict("records")
    ]
    head = ["run", "kind", "state", "done", "best", "top-1 %", "size", "changed"]
    return aligned(head, rows, [True, True, True, False, True, False, False, False])


def two_runs_text(two: "TwoRuns") -> str:
    """Two runs compared, for a terminal."""
    first, second = two.first.path.name, two.second.path.name
    rows = [
        [
            row["network"],
            *(f"{row[name]:.4g}" for name in ("depth", "width", "resolution")),
            str(row["input_resolution"]),
            short(row["multiply_adds"]),
            *(f"{100 * row[name]:.1f} of {row[f'{name}_seeds']}" for name in ("first", "second")),
            difference(row),
        ]
        for row in two.networks.to_dict("records")
    ]
    head = ["network", "d", "w", "r", "input", "multiply-adds", f"{first}\n% of seeds", f"{second}\n% of seeds"]
    parts = []
    if two.settings:
        parts.append("\n".join([f"{second} differs from {first}:", *(f"  {line}" for line in two.settings)]))
    else:
        parts.append(f"{first} and {second} were asked for the same, with the same versions.")
    if rows:
        parts.append(aligned([*head, "difference, points"], rows, [True, *[False] * 8]))
    parts.append("\n".join(_summary(two)))
    return "\n\n".join(parts)


def _summary(two: "TwoRuns") -> list[str]:
    first, second = two.first.path.name, two.second.path.name
    lines = [
        f"{len(two.networks)} networks are in both, {two.only_first} in {first} alone, {two.only_second} in {second} "
        "alone."
    ]
    if two.mean_difference is not None:
        mean, low, high = two.mean_difference
        row = {"difference": mean, "difference_low": low, "difference_high": high}
        lines.append(
            f"Mean difference: {difference(row)} points; {100 * two.confidence:g} % intervals cover seed-to-seed "
            "variation."
        )
    if two.shared_trials:
        lines.append(
            f"{two.shared_trials} trainings are the same in both, and {two.identical_trials} of them ended with the "
            "same accuracy to the bit."
        )
    return lines
