"""What a run's trainings say against its own recipe, data or baseline, and what to change; a sentence each."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling_search.analysis.statistics.means import Floats, seed_means

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.frames import Run

CEILING = 0.98
"""Accuracy (0..1) from which on little is left to tell networks apart by."""
FALLING = 0.3
"""Fall of the logarithm of a training loss over a whole run at the pace of its last epoch."""
WORSE = 0.02
"""Share of a smaller network's training loss by which a larger one's must exceed it to be spoken of."""
LARGER = 1.5
"""Multiply-adds of a larger network relative to those of a smaller one."""
_LEVEL = 0.01


def advice_of(run: "Run", names: Mapping[str, str]) -> tuple[str, ...]:
    """Advice on the trainings of a run that the validation split judged; `names` are its networks' by fingerprint.

    Empty where there is nothing to say against them: larger networks train as well as smaller ones, curves are level
    at the last epoch, accuracy is off the ceiling, and no training ends far below the other seeds of its network.
    """
    trials = run.trials[(run.trials["evaluate"] == "validation") & (run.trials["status"] == "ok")]
    if trials.empty:
        return ()
    ends = _ends(run.curves, trials)
    lines = (_worse_training(ends, names), _still_falling(ends), _at_the_ceiling(trials), _collapsed(trials))
    return tuple(line for line in lines if line)


def _ends(curves: "pd.DataFrame", trials: "pd.DataFrame") -> "pd.DataFrame":
    """One row a trial: its network, `epochs`, its `last` training loss and that of the epoch `before`."""
    last = curves.sort_values(["key", "epoch"]).groupby("key").tail(2)
    ends = last.groupby("key").agg(before=("train_loss", "first"), last=("train_loss", "last"), epochs=("epoch", "max"))
    return trials[["key", "fingerprint", "multiply_adds"]].join(ends, on="key", how="inner")


def _worse_training(ends: "pd.DataFrame", names: Mapping[str, str]) -> str | None:
    """The larger and the smaller network whose training losses are least probably in order."""
    groups = ends.groupby("fingerprint")
    table = groups.agg(
        loss=("last", "mean"), variance=("last", "var"), seeds=("last", "size"), cost=("multiply_adds", "first")
    ).dropna()
    if len(table) < 2:
        return None
    loss, cost = table["loss"].to_numpy(), table["cost"].to_numpy()
    errors, df = table["variance"].to_numpy() / table["seeds"].to_numpy(), table["seeds"].to_numpy() - 1.0
    p, pairs, (large, small) = 1.0, 0, (0, 0)
    for one in range(len(table)):
        smaller_ones = np.flatnonzero(cost[one] >= LARGER * cost)
        pairs += len(smaller_ones)
        values = _p_values(loss, errors, df, one, smaller_ones)
        if len(values) and values.min() < p:
            p, (large, small) = float(values.min()), (one, int(smaller_ones[values.argmin()]))
    if p * pairs > _LEVEL or loss[large] < (1 + WORSE) * loss[small]:
        return None
    larger, smaller = (names.get(str(table.index[at]), str(table.index[at])) for at in (large, small))
    return (
        f"{larger} trains worse than {smaller}, which is smaller: its training loss ends at {loss[large]:.2f}, not at "
        f"{loss[small]:.2f}. What is compared is how well networks start to train: use --recipe short, more epochs or "
        "another learning rate."
    )


def _p_values(loss: Floats, errors: Floats, df: Floats, one: int, others: "np.ndarray[Any, Any]") -> Floats:
    """Of a network's loss not being larger than each of the others', by Welch's t."""
    from scipy import special

    gap, joint = loss[one] - loss[others], errors[one] + errors[others]
    squares = errors[one] ** 2 / df[one] + errors[others] ** 2 / df[others]
    with np.errstate(divide="ignore", invalid="ignore"):
        p = special.stdtr(joint**2 / squares, -gap / np.sqrt(joint))
    return np.where((gap <= 0) | (joint == 0), gap <= 0, p)  # type: ignore[no-any-return]


def _still_falling(ends: "pd.DataFrame") -> str | None:
    falls = ends["epochs"] * np.log(ends["before"] / ends["last"])
    by_network = falls[(ends["last"] > 0) & (ends["epochs"] > 1)].groupby(ends["fingerprint"]).mean()
    still = int((by_network > FALLING).sum())
    if 2 * still <= len(by_network):
        return None
    return (
        f"The training loss of {still} of {len(by_network)} networks still falls at the last epoch, so larger ones may "
        "not have shown yet what they can do: train for more epochs (--recipe.epochs)."
    )


def _at_the_ceiling(trials: "pd.DataFrame") -> str | None:
    accuracy = trials.groupby("fingerprint")["val_accuracy"].mean()
    top = int((accuracy >= CEILING).sum())
    if 2 * top <= len(accuracy):
        return None
    return (
        f"{top} of {len(accuracy)} networks have {100 * CEILING:g} % or more, which leaves little to tell them apart "
        "by: use harder images, fewer of them (--split.train), or a smaller baseline."
    )


def _collapsed(trials: "pd.DataFrame") -> str | None:
    """Of what only STEP 2, a sweep or a search trained: STEP 1 warns of its own networks where it compares them."""
    others = trials[trials["step"] != 1]
    collapsed = 0 if others.empty else seed_means(others).collapsed
    if not collapsed:
        return None
    return (
        f"{collapsed} training{'s' * (collapsed > 1)} ended far below the other seeds of the same network, none of "
        "them of STEP 1: train for more epochs or at a lower learning rate (--recipe.learning-rate)."
    )
