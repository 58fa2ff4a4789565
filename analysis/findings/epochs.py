"""STEP 1 for several numbers of epochs: where the best shares lie for each, and whether they move with training."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scaling_search.analysis.findings.region import SHARES
from scaling_search.analysis.findings.step1 import Judgement, judge
from scaling_search.analysis.statistics.surface import DIVISIONS
from scaling_search.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.frames import Run
    from scaling_search.analysis.statistics.surface import Surface

Floats = NDArray[np.float64]

PARTS = tuple(name.removesuffix("_share") for name in SHARES)


@dataclass(frozen=True, eq=False)
class ByEpochs:
    """STEP 1 for each number of epochs, from the fewest to the run's own."""

    judgements: dict[int, Judgement]
    """Of each number of epochs that has a network with an accuracy."""
    table: "pd.DataFrame"
    """One row a number of epochs: `epochs`, `networks` (with an accuracy), `alpha`, `beta`, `gamma` and `val_accuracy`,
    `low`, `high`, `seeds` of its representative rule or winner; of its region the centre, `depth_share`, `width_share`,
    `resolution_share`, the ends, `depth_low`, `depth_high` and so on, and how much of the triangle it covers,
    `covered` (0..1); and how far the best shares are from those of the most epochs: `depth_moved`, `depth_moved_low`,
    `depth_moved_high` and so on, missing in the last row. What is of a region is missing where there is none."""
    moves: bool | None
    """Whether the best shares move: some `*_moved` interval excludes 0. None where fewer than two have a region."""
    level: float
    """Of each of the intervals of `*_moved`: together they hold at the confidence of the run."""

    @property
    def regions(self) -> "dict[int, Surface]":
        """The surface of each number of epochs that has a region."""
        surfaces = {epochs: _surface(one) for epochs, one in self.judgements.items()}
        return {epochs: surface for epochs, surface in surfaces.items() if surface is not None}


def by_epochs(run: "Run", judgement: Judgement) -> ByEpochs | None:
    """What STEP 1 of a run is for each of its numbers of epochs; None where it has one."""
    import pandas as pd

    if run.shorter.empty:
        return None
    judgements = {}
    for epochs, trials in run.shorter.groupby("epochs"):
        try:
            judgements[int(str(epochs))] = judge(run.points, trials, judgement.confidence, rivals=run.rivals)
        except UserError:
            continue
    judgements[int(run.manifest["config"]["recipe"]["epochs"])] = judgement
    last = _surface(judgement)
    others = [surface for one in judgements.values() if one is not judgement and (surface := _surface(one))]
    # Two shares are free, the third follows from them.
    level = 1 - (1 - judgement.confidence) / max(2 * len(others), 1)
    rows = []
    for epochs, one in judgements.items():
        rule = {name: getattr(one.winner, name) for name in (*_RULE, "val_accuracy", "low", "high", "seeds")}
        measured = one.table["fingerprint"][one.table["seeds"] > 0].nunique()
        rows.append({"epochs": epochs, "networks": measured, **rule, **_region_row(_surface(one), last, level)})
    table = pd.DataFrame(rows)
    excluded = [(table[f"{part}_moved_low"] > 0) | (table[f"{part}_moved_high"] < 0) for part in PARTS]
    moves = bool(np.logical_or.reduce(excluded).any()) if last is not None and others else None
    return ByEpochs(judgements, table, moves, level)


_RULE = ("alpha", "beta", "gamma")


def _surface(judgement: Judgement) -> "Surface | None":
    return judgement.surface if judgement.by_region else None


def _region_row(surface: "Surface | None", last: "Surface | None", level: float) -> dict[str, float]:
    if surface is None:
        ends, centre, covered = np.full((2, 3), np.nan), (np.nan,) * 3, np.nan
    else:
        ends, centre, covered = surface.ends, surface.centre, surface.covered
    low, high = moved(surface, last, level) if surface and last and surface is not last else np.full((2, 3), np.nan)
    away = np.subtract(centre, last.centre) if last and surface is not last else np.full(3, np.nan)
    row: dict[str, float] = dict(zip(SHARES, map(float, centre), strict=True))
    for index, part in enumerate(PARTS):
        row |= {f"{part}_low": float(ends[0, index]), f"{part}_high": float(ends[1, index])}
        row |= {f"{part}_moved": float(away[index])}
        row |= {f"{part}_moved_low": float(low[index]), f"{part}_moved_high": float(high[index])}
    return {**row, "covered": float(covered)}


def moved(surface: "Surface", last: "Surface", level: float) -> tuple[Floats, Floats]:
    """Ends of the interval of how far the best shares of one surface are from those of another, (3,) each.

    From draws of the optima of both, as of trainings that have nothing to do with each other. Optima are places of a
    lattice, each of which stands for half a step about it.
    """
    order = np.random.default_rng(0).permutation(len(last.peaks))
    apart = surface.peaks - last.peaks[order]
    low = np.quantile(apart, (1 - level) / 2, axis=0, method="lower") - 1 / DIVISIONS
    high = np.quantile(apart, (1 + level) / 2, axis=0, method="higher") + 1 / DIVISIONS
    return low.round(9), high.round(9)
