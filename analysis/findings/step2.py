"""STEP 2 as a table: B0..B7 by the found and by the published coefficients, measured or extrapolated."""

from typing import TYPE_CHECKING

import numpy as np

from scaling_search.analysis.findings.region import GROWING, grown_over
from scaling_search.analysis.statistics.hold_outs import calibrated_law
from scaling_search.analysis.statistics.means import run_means
from scaling_search.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.findings.confirmed import Confirmed
    from scaling_search.analysis.statistics.surface import Surface

SPREAD = tuple(f"{name}_{end}" for name in GROWING for end in ("low", "high"))
"""Columns of what the region's rules would give a model."""

_GIVEN = (
    "model",
    "coefficients",
    "phi",
    "layers",
    "channels",
    "pixels",
    "realised_cost",
    *SPREAD,
    "network",
    "depth",
    "width",
    "resolution",
    "input_resolution",
    "parameters",
    "multiply_adds",
    "activations",
)


def step2_table(
    models: "pd.DataFrame",
    trials: "pd.DataFrame",
    confidence: float = 0.95,
    winner: "Confirmed | None" = None,
    *,
    region: "Surface | None" = None,
) -> "pd.DataFrame":
    """One row a model and set of coefficients, in the order of `models`, which like `trials` is that of a Run.

    `region` is of STEP 1, where there is one: `layers_low`, `layers_high` and so on then say what any of its rules
    would give the found models at their phi, by equation 3 before rounding; else they are missing.

    Columns: `model`, `coefficients` ("found" or "published"), `phi`, `layers`, `channels`, `pixels`, `realised_cost`
    (relative to the baseline's, see `columns.POINTS`), `layers_low`, `layers_high`, `channels_low`, `channels_high`,
    `pixels_low`, `pixels_high`, `network` (the family), `depth`, `width`, `resolution`,
    `input_resolution`, `parameters`, `multiply_adds`, `activations`, `val_accuracy` (top-1 on the validation split,
    0..1), `low`, `high`, `source`, `beyond`, `seeds`, `note`, `fingerprint`.

    `source` says where the accuracy is from. "measured": the mean over `seeds` trainings, with `means.run_means`'
    interval; for the `winner` of STEP 1, if it was confirmed, over the seeds that did not select it. "extrapolated":
    the run's budget does not allow the training, and the law of scaling, fitted to every network of the run that was
    measured, predicts it, with the interval of `Law.predict`; `beyond` is how many times the largest measured network's
    multiply-adds it has. "none": the training is not finished, there are too few networks to fit the law, or larger
    networks are not more accurate; `note` says which.
    """
    measured = run_means(trials, confidence)
    if winner is not None:
        columns = ["val_accuracy", "low", "high", "seeds"]
        measured.loc[winner.fingerprint, columns] = [getattr(winner, name) for name in columns]
    table = models.join(measured, on="fingerprint")
    known = table["val_accuracy"].notna()
    unmeasured = ~known & ~table["trained"]
    table["source"] = np.where(known, "measured", "none")
    table["beyond"] = np.nan
    table["note"] = np.where(known | unmeasured, "", "not trained yet")
    failed = trials[(trials["evaluate"] == "validation") & (trials["status"] != "ok")]
    reasons = failed.drop_duplicates("fingerprint").set_index("fingerprint")["reason"]
    broken = table["trained"] & ~known & table["fingerprint"].isin(reasons.index)
    table.loc[broken, "note"] = "training failed: " + table["fingerprint"].map(reasons).astype("str")
    if unmeasured.any():
        sizes = trials.drop_duplicates("fingerprint").set_index("fingerprint")["multiply_adds"]
        try:
            predicted = _predicted(sizes[measured.index], measured, table.loc[unmeasured, "multiply_adds"], confidence)
        except UserError as error:
            table.loc[unmeasured, "note"] = f"not extrapolated: {error}"
        else:
            for column in predicted.columns:
                table.loc[unmeasured, column] = predicted[column].to_numpy()
            table.loc[unmeasured, "source"] = "extrapolated"
    table["seeds"] = table["seeds"].fillna(0).astype("int64")
    table[list(SPREAD)] = _spread(table, region)
    return table[[*_GIVEN, "val_accuracy", "low", "high", "source", "beyond", "seeds", "note", "fingerprint"]]


def _spread(table: "pd.DataFrame", region: "Surface | None") -> list[list[float]]:
    none = [np.nan] * len(SPREAD)
    if region is None:
        return [none] * len(table)
    return [
        [end for ends in grown_over(region, phi).values() for end in ends] if phi > 0 else none for phi in table["phi"]
    ]


def _predicted(
    sizes: "pd.Series[int]", measured: "pd.DataFrame", larger: "pd.Series[int]", confidence: float
) -> "pd.DataFrame":
    """`Law.predict` at the sizes `larger`. Raises UserError where the measured networks are no ground for it."""
    law = calibrated_law(sizes, measured["val_accuracy"], confidence)
    if law.doubt:
        raise UserError(law.doubt, hint="train longer, or train more of the larger networks")
    return law.predict(larger, confidence)
