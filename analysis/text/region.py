"""The region of best shares, the paper's claim and what a region means for larger models, in words."""

from typing import TYPE_CHECKING

import numpy as np

from scaling_search.analysis.text.words import sentence

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.findings.step1 import Judgement
    from scaling_search.analysis.statistics.surface import Shares, Surface

DIMENSIONS = ("depth", "width", "resolution")

_ALONE = tuple(f"{name} alone" for name in DIMENSIONS)


def region_text(judgement: "Judgement") -> str:
    """Where the optimum of STEP 1 lies, in words."""
    from scaling_search.analysis.statistics.surface import FEWEST

    surface = judgement.surface
    if surface is None:
        return (
            f"There is no region of best shares of growth: that takes {FEWEST} finished networks whose shares differ "
            "in two dimensions."
        )
    if surface.region.all():
        matter = f"p = {surface.p_value:.2g} by the F test of whether they matter at all"
        through = f"by a quadratic surface through {surface.networks} networks ({matter})"
        text = f"Anything goes: {where_best(surface)}, {through}."
    else:
        text = (
            f"{sentence(where_best(surface))} A quadratic surface through {surface.networks} networks is highest at "
            f"{shares_in_words(surface.optimum)}; the centre of the region is {shares_in_words(surface.centre)}."
        )
    return " ".join(part for part in (text, _corners(surface), _missed(surface), _coarse(judgement)) if part)


def where_best(surface: "Surface") -> str:
    """The region in a clause."""
    level = f"{100 * surface.confidence:g} %"
    tried = "" if surface.whole else " that was tried"
    if surface.region.all():
        return f"no shares of growth{tried} are ruled out as the best at {level}"
    low, high = 100 * surface.ends
    parts = [
        f"{low[index]:.0f}-{high[index]:.0f} % {name}" if low[index] < high[index] else f"{low[index]:.0f} % {name}"
        for index, name in enumerate(DIMENSIONS)
    ]
    covered = f"{max(round(100 * surface.covered), 1)} % of the triangle of shares{tried}"
    return f"the best shares of growth lie, at {level}, among {', '.join(parts[:-1])} and {parts[-1]}, {covered}"


def shares_in_words(shares: "Shares") -> str:
    """Shares as 30 % depth, 25 % width, 45 % resolution."""
    return ", ".join(f"{100 * share:.0f} % {name}" for share, name in zip(shares, DIMENSIONS, strict=True))


def claim_text(table: "pd.DataFrame") -> str:
    """What a `rivals_table` says of the paper's claim that compound scaling beats any single dimension, in words."""
    alone = table[table["rival"].isin(_ALONE)]
    measured = alone[alone["difference_high"].notna()]
    if measured.empty:
        return ""
    own = (measured["difference_low"] == 0) & (measured["difference_high"] == 0)
    said = [
        (
            "is less accurate than the rule found",
            "are less accurate than the rule found",
            measured["difference_high"] < 0,
        ),
        ("is more accurate than it", "are more accurate than it", measured["difference_low"] > 0),
        ("is that rule", "are that rule", own),
    ]
    open_still = ~np.logical_or.reduce([which for *_, which in said])
    said.append(("cannot be told from the rule found", "cannot be told from the rule found", open_still))
    clauses = []
    for one, many, which in said:
        names = measured["rival"][which].tolist()
        if names:
            listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
            clauses.append(f"{listed} {one if len(names) == 1 else many}")
    return (
        "The paper claims that scaling all dimensions together beats scaling one alone at the same cost (its Figure "
        f"8). Here, {'; '.join(clauses)}."
    )


def spread_text(step2: "pd.DataFrame") -> list[str]:
    """What the models have over the rules of the region, a line a model; empty where there is no region."""
    known = step2[step2["layers_low"].notna()]
    lines = []
    for row in known.to_dict("records"):
        parts = (
            f"{row[f'{name}_low']:.2f}-{row[f'{name}_high']:.2f}x {name}" for name in ("layers", "channels", "pixels")
        )
        lines.append(f"{row['model']}: {', '.join(parts)}")
    return lines


SPREAD_NOTE = (
    "What rules of STEP 1's region make of the baseline at the cost of each model, by equation 3 before rounding:"
)


def _corners(surface: "Surface") -> str:
    """Whether a single dimension may be best; empty where all may."""
    if surface.region.all():
        return ""
    at = {tuple(place) for place in surface.places[surface.region].round(6).tolist()}
    tried = {tuple(place) for place in surface.places.round(6).tolist()}
    corners = {name: tuple(np.eye(3)[index]) for index, name in enumerate(_ALONE)}
    inside = [name for name, corner in corners.items() if corner in at]
    if inside:
        return f"{' and '.join(inside).capitalize()} may be as good."
    return "No dimension alone is in it." if all(corner in tried for corner in corners.values()) else ""


def _coarse(judgement: "Judgement") -> str:
    """That no rule of the grid is in the region, where that is so."""
    if not judgement.by_region or judgement.table["in_region"].any():
        return ""
    return "No rule of the grid is in it, so the nearest stands for it; more --grid.divisions would bring one nearer."


def _missed(surface: "Surface") -> str:
    if surface.lack_of_fit < 5e-4:
        return ""
    return (
        f"Networks lie {100 * surface.lack_of_fit:.1f} points (standard deviation) off the surface beyond what their "
        "seeds explain, which the region allows for."
    )
