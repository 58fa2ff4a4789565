"""How well a law predicts larger networks: the largest are held out, and the others predict them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling_search.analysis.statistics.law import Law, fit_law
from scaling_search.analysis.statistics.law_forms import FORMS, Form, logit
from scaling_search.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class HoldOut:
    """Networks to fit a law to, and larger ones that it should predict."""

    networks: str
    """Which networks, in words."""
    by: str
    """What their size is: multiply_adds, say."""
    fitted: "pd.DataFrame"
    """Columns `size` and `val_accuracy` (0..1)."""
    held_out: "pd.DataFrame"
    """The same of those held out."""


def hold_largest_out(
    frame: "pd.DataFrame", counts: Iterable[int], networks: str, x: str = "multiply_adds", y: str = "val_accuracy"
) -> list[HoldOut]:
    """Holds out the `counts` largest networks of a frame, one network a row. Rows without `x` or `y` are no matter.

    Raises UserError where that leaves fewer than four to fit, the most that a form needs.
    """
    table = frame[[x, y]].dropna().sort_values(x, kind="stable", ignore_index=True).set_axis(["size", y], axis=1)
    table = table.rename(columns={y: "val_accuracy"})
    cuts = [(len(table) - count) for count in counts]
    if min(cuts, default=4) < 4:
        raise UserError(
            f"{max(counts)} of {len(table)} networks held out", "at least four must be left to fit a law to"
        )
    return [HoldOut(networks, x, table[:cut], table[cut:]) for cut in cuts]


def paper_hold_outs() -> list[HoldOut]:
    """Hold-outs on Table 2: the one to four largest EfficientNets, by multiply-adds and by parameters, and the three,
    five and seven largest of the other ConvNets.
    """
    from scaling_search.analysis.reference.paper import table2

    table = table2()
    ours = table["family"] == "efficientnet"
    efficientnets = [
        hold_out
        for size in ("multiply_adds", "parameters")
        for hold_out in hold_largest_out(table[ours], (4, 3, 2, 1), "B0..B7", size)
    ]
    return efficientnets + hold_largest_out(table[~ours], (7, 5, 3), "other ConvNets")


_FEWEST = 5
"""Networks that a law is fitted to when others are held out to calibrate it."""


def calibrated_law(x: ArrayLike, y: ArrayLike, confidence: float = 0.95) -> Law:
    """`fit_law`, its intervals beyond the largest network no narrower than those that hold-outs call for.

    The largest fifth of the networks, three at least, is predicted by the others. How many times the half of its
    interval each is off (logit scale) is its score, and the intervals are widened by the highest score, where above
    1: as in conformal prediction, for as few scores. Where fewer than five sizes are left, there is no calibration.
    """
    law = fit_law(x, y)
    if law.doubt:
        return law
    sizes, accuracy = np.asarray(x, np.float64), np.asarray(y, np.float64)
    known = ~np.isnan(sizes) & ~np.isnan(accuracy)
    sizes, accuracy = sizes[known], accuracy[known]
    order = np.argsort(sizes, kind="stable")
    cut = len(order) - max(len(order) // 5, 3)
    fitted, held_out = order[:cut], order[cut:]
    if cut < _FEWEST or len(np.unique(sizes[fitted])) < _FEWEST:
        return law
    predicted = fit_law(sizes[fitted], accuracy[fitted]).predict(sizes[held_out], confidence)
    centre, low, high = (logit(predicted[name].to_numpy()) for name in ("val_accuracy", "low", "high"))
    off = logit(accuracy[held_out]) - centre
    scores = np.abs(off) / np.maximum(np.where(off < 0, centre - low, high - centre), 1e-9)
    return replace(law, widening=max(float(scores.max()), 1.0))


def compare_forms(
    cases: Sequence[HoldOut], forms: Sequence[Form] = FORMS, confidence: float = 0.95, draws: int = 200
) -> "pd.DataFrame":
    """One row a hold-out and form, in this order: how well the networks fitted predict those held out.

    Columns: `networks`, `by` (what is their size), `fitted` and `held_out` (how many), `beyond` (the largest held out
    relative to the largest fitted), `form`, `coefficients` (how many), `mean_error` and `worst_error` (of predicted
    top-1, 0..1, without sign), `bias` (mean of predicted - true), `covered` (how many of those held out lie in the
    intervals of `Law.predict`) and `width` (mean width of these, 0..1).
    """
    import pandas as pd

    rows = []
    for case in cases:
        truth = case.held_out["val_accuracy"].to_numpy()
        for form in forms:
            law = fit_law(case.fitted["size"], case.fitted["val_accuracy"], form=form, draws=draws)
            predicted = law.predict(case.held_out["size"], confidence)
            misses = predicted["val_accuracy"].to_numpy() - truth
            low, high = predicted["low"].to_numpy(), predicted["high"].to_numpy()
            rows.append(
                {
                    "networks": case.networks,
                    "by": case.by,
                    "fitted": len(case.fitted),
                    "held_out": len(truth),
                    "beyond": predicted["beyond"].max(),
                    "form": form.name,
                    "coefficients": len(form.coefficients),
                    "mean_error": np.abs(misses).mean(),
                    "worst_error": np.abs(misses).max(),
                    "bias": misses.mean(),
                    "covered": int(np.sum((low <= truth) & (truth <= high))),
                    "width": (high - low).mean(),
                }
            )
    return pd.DataFrame(rows)


def ranking(table: "pd.DataFrame") -> "pd.DataFrame":
    """The forms of a `compare_forms` table, best first: by the mean of `mean_error` over networks and sizes alike.

    Columns: `form`, one for each set of networks and size with the mean of `mean_error` over its hold-outs, `mean` of
    these, `worst_error` of all, `covered` and `held_out` (how many in all).
    """
    kind = table["networks"] + " by " + table["by"].str.replace("_", "-")
    means = table.assign(kind=kind).pivot_table(index="form", columns="kind", values="mean_error", sort=False)
    by_form = table.groupby("form", sort=False)
    means["mean"] = means.mean(axis=1)
    means["worst_error"] = by_form["worst_error"].max()
    means[["covered", "held_out"]] = by_form[["covered", "held_out"]].sum()
    return means.sort_values("mean", kind="stable").rename_axis(columns=None).reset_index()
