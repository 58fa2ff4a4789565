"""STEP 2 as a table: B0..B7 by the found and by the published coefficients, measured or extrapolated."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from scaling_search.analysis.findings.confirmed import confirm_all
from scaling_search.analysis.findings.gains import GAIN, gains
from scaling_search.analysis.findings.region import GROWING, grown_over
from scaling_search.analysis.statistics.collapses import without_collapsed
from scaling_search.analysis.statistics.hold_outs import calibrated_law
from scaling_search.analysis.statistics.means import run_means, seed_means
from scaling_search.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.findings.confirmed import Confirmed
    from scaling_search.analysis.statistics.surface import Surface

SPREAD = tuple(f"{name}_{end}" for name in GROWING for end in ("low", "high"))
"""Columns of what the region's rules would give a model."""

WIDEST = 0.2
"""Accuracy, 0..1: a prediction whose interval is wider says nothing, and is not given."""

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
    *,
    fresh: Mapping[str, "Confirmed"] | None = None,
    region: "Surface | None" = None,
) -> "pd.DataFrame":
    """One row a model and set of coefficients, in the order of `models`, which like `trials` is that of a Run.

    `region` is of STEP 1, where there is one: `layers_low`, `layers_high` and so on then say what any of its rules
    would give the found models at their phi, by equation 3 before rounding; else they are missing.

    Columns: `model`, `coefficients` ("found" or "published"), `phi`, `layers`, `channels`, `pixels`, `realised_cost`
    (relative to the baseline's, see `columns.POINTS`), `layers_low`, `layers_high`, `channels_low`, `channels_high`,
    `pixels_low`, `pixels_high`, `network` (the family), `depth`, `width`, `resolution`,
    `input_resolution`, `parameters`, `multiply_adds`, `activations`, `val_accuracy` (top-1 on the validation split,
    0..1), `low`, `high`, `gain`, `gain_low`, `gain_high` (see `gains.gains`), `source`, `beyond`, `seeds`, `note`,
    `fingerprint`.

    `source` says where the accuracy is from. "measured": the mean over `seeds` trainings, with `means.run_means`'
    interval; for networks of `fresh` their own, by seeds that did not select them. "extrapolated": the run's budget
    does not allow the training, and the law of scaling, fitted to every network of the run that was measured, predicts
    it, with the interval of `Law.predict`; `beyond` is how many times the largest measured network's multiply-adds it
    has. Trainings that collapsed are left out of the law, with a note. "none": the training is not finished, there are
    too few networks to fit the law, larger networks are not more accurate, or the interval is wider than WIDEST;
    `note` says which.
    """
    fresh = {} if fresh is None else fresh
    measured = _measured(trials, fresh, confidence)
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
            predicted = _predicted(trials, fresh, sizes, table.loc[unmeasured, "multiply_adds"], confidence)
        except UserError as error:
            table.loc[unmeasured, "note"] = f"not predicted: {error}"
        else:
            table.loc[unmeasured, predicted.columns] = predicted
    table["seeds"] = table["seeds"].fillna(0).astype("int64")
    table[list(SPREAD)] = _spread(table, region)
    table[list(GAIN)] = gains(table, seed_means(trials, confidence), fresh, confidence)
    return table[[*_GIVEN, "val_accuracy", "low", "high", *GAIN, "source", "beyond", "seeds", "note", "fingerprint"]]


def _spread(table: "pd.DataFrame", region: "Surface | None") -> list[list[float]]:
    none = [np.nan] * len(SPREAD)
    if region is None:
        return [none] * len(table)
    return [
        [end for ends in grown_over(region, phi).values() for end in ends] if phi > 0 else none for phi in table["phi"]
    ]


def _measured(trials: "pd.DataFrame", fresh: Mapping[str, "Confirmed"], confidence: float) -> "pd.DataFrame":
    """`run_means`, but networks of `fresh` as these say."""
    measured = run_means(trials, confidence)
    columns = ["val_accuracy", "low", "high", "seeds"]
    for name, one in fresh.items():
        measured.loc[name, columns] = [getattr(one, column) for column in columns]
    return measured


def _predicted(
    trials: "pd.DataFrame",
    fresh: Mapping[str, "Confirmed"],
    sizes: "pd.Series[int]",
    larger: "pd.Series[int]",
    confidence: float,
) -> "pd.DataFrame":
    """Columns of the table at the sizes `larger`. Raises UserError where the networks are no ground for the law."""
    trained = without_collapsed(trials)
    selected = [name for name, one in fresh.items() if one.selected_at is not None]
    again = confirm_all(trained, selected, fresh.keys() - selected, confidence)
    measured = _measured(trained, again, confidence)
    law = calibrated_law(sizes[measured.index], measured["val_accuracy"], confidence)
    if law.doubt:
        raise UserError(law.doubt, hint="train longer, or train more of the larger networks")
    predicted = law.predict(larger, confidence).set_index(larger.index)
    left_out = len(trials) - len(trained)
    note = f"the law is without {left_out} training{'s' * (left_out > 1)} that collapsed" if left_out else ""
    predicted = predicted.assign(source="extrapolated", note=note)
    wide = predicted["high"] - predicted["low"] > WIDEST
    predicted.loc[wide, ["val_accuracy", "low", "high", "beyond"]] = np.nan
    predicted.loc[wide, ["source", "note"]] = [
        "none",
        f"not predicted: its {100 * confidence:g} % interval would be wider than {100 * WIDEST:g} points",
    ]
    return predicted
