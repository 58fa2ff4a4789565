"""How sure STEP 1 is when its trainings are given out in rounds, and what is left unsure."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scaling_search.analysis.statistics.allocation import (
    DOUBTFUL,
    Bools,
    Evidence,
    certainty,
    risks,
    trainings_to_go,
)
from scaling_search.analysis.statistics.means import seed_means

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.findings.step1 import Judgement
    from scaling_search.analysis.frames import Run


@dataclass(frozen=True)
class Certainty:
    """How sure it is that the most accurate network of STEP 1 is nearly the best."""

    asked: float
    """The probability that was asked for."""
    within: float
    """Accuracy, 0..1, that the best may be missed by."""
    best: str
    """Fingerprint of the most accurate network."""
    sure: float
    """How probable it is, at least, that no network is truly better by more than `within`."""
    of_winner: float
    """The same of STEP 1's winner: another network where that stands for a region, or is the cheapest of a tie."""
    networks: int
    """How many the best is of."""
    trainings: int
    """Of STEP 1, that have ended with an accuracy."""
    rounds: int
    doubtful: tuple[str, ...]
    """Networks that may be better than the most accurate by more than `within`, the most probable first."""
    exhausted: int
    """How many of these and the most accurate get no more trainings: they failed, or a replayed table has no more."""
    more: int | None
    """About how many more trainings it would take; None where no number is enough."""

    @property
    def reached(self) -> bool:
        """Whether it is as sure as was asked."""
        return self.sure >= self.asked


def weighed(trials: "pd.DataFrame", contenders: Collection[str], first: int) -> "tuple[pd.Index[str], Evidence]":
    """What trainings tell about networks: the fingerprints of those with an accuracy, and the evidence in their order.

    Args:
        trials: all trainings of STEP 1: `fingerprint`, `seed`, `val_accuracy`. Deviations are borrowed from all.
        contenders: fingerprints of the networks of which the best is sought.
        first: seeds of each in the first round.

    """
    means = seed_means(trials)
    mine = means.table.index.isin(list(contenders))
    table = means.table[mine]
    evidence = Evidence(
        table["val_accuracy"].to_numpy(np.float64),
        means.variances[mine],
        means.dfs[mine],
        table["seeds"].to_numpy(np.int64),
        first,
    )
    return table.index, evidence


def certainty_of(run: "Run", judgement: "Judgement") -> Certainty | None:
    """How sure a run is by all its trainings of STEP 1; None where these were not given out in rounds."""
    config = run.manifest["config"]
    asked = config.get("certainty")
    if asked is None or not run.rounds:
        return None
    within = float(config["within"]) / 100
    grid = run.points[(run.points["phi"] != 0) & run.points["rejected"].isna()]
    trials = run.trials[(run.trials["evaluate"] == "validation") & (run.trials["step"] == 1)]
    names, evidence = weighed(trials, set(grid["fingerprint"]), int(config["seeds"]))
    best = evidence.best
    # Without a variance nothing is ruled out.
    doubt = risks(evidence, best, within) if evidence.tells else np.ones(len(names))
    doubt[best] = 0.0
    open_: Bools = np.array([name not in run.exhausted for name in names], bool)
    order = [index for index in np.argsort(-doubt, kind="stable") if doubt[index] >= DOUBTFUL]
    return Certainty(
        asked=float(asked),
        within=within,
        best=str(names[best]),
        sure=certainty(evidence, best, within),
        of_winner=certainty(evidence, list(names).index(judgement.winner.fingerprint), within),
        networks=len(names),
        trainings=int(trials["val_accuracy"].notna().sum()),
        rounds=len(run.rounds),
        doubtful=tuple(str(names[index]) for index in order),
        exhausted=int((~open_[[best, *order]]).sum()),
        more=trainings_to_go(evidence, within, float(asked), open_),
    )
