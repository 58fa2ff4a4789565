"""Compound scaling against scaling one dimension alone, at equal multiply-adds: the claim of Figures 3 and 8."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling_search.analysis.statistics.means import SeedMeans, check_confidence, seed_means
from scaling_search.analysis.statistics.scales import DIMENSIONS, NEEDED, alone, compounds, measured
from scaling_search.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

BEST = "best of the three"
_BETTER, _WORSE, _NEITHER = "compound is better", "compound is worse", "not told apart"

Contrast = dict[str, float]
"""A sum of mean accuracies: the weight of each network by its fingerprint."""


@dataclass(frozen=True, eq=False)
class AgainstSingle:
    """Compound networks, each less the networks of equal cost that one dimension alone would give."""

    networks: "pd.DataFrame"
    """One row a compound network and dimension, by rising multiply-adds: `dimension` ("depth", "width", "resolution" or
    "best of the three"), `depth`, `width`, `resolution`, `multiply_adds`, `val_accuracy` (mean over seeds, 0..1),
    `single` (that of the dimension's curve at these multiply-adds), `difference` (`val_accuracy` - `single`), `low`,
    `high`, `fingerprint`. A network beyond the ends of a curve has no row for it."""
    means: "pd.DataFrame"
    """One row a dimension: `dimension`, `networks` (how many are compared), `difference` (their mean), `low`, `high`,
    `verdict` ("compound is better", "compound is worse" or "not told apart") by the interval."""
    confidence: float

    @property
    def answer(self) -> str:
        """Whether compound scaling beats depth, width and resolution alone, in words.

        To beat all three each verdict must hold, so that there is no need to adjust for their number.
        """
        verdicts = self.means[self.means["dimension"] != BEST].groupby("verdict", sort=False)["dimension"].agg(list)
        said = [
            f"{words} {_listed(verdicts[verdict])} alone"
            for verdict, words in ((_BETTER, "beats"), (_WORSE, "loses to"), (_NEITHER, "is not told apart from"))
            if verdict in verdicts
        ]
        return f"compound scaling {', '.join(said)}"


def compound_against_single(
    trials: "pd.DataFrame", compound: Sequence[str] | None = None, confidence: float = 0.95
) -> AgainstSingle:
    """Whether compound networks are more accurate than one dimension alone makes a network of equal multiply-adds.

    `trials` are those of a Run or of a recorded table, or a frame without `seed`, one row a network: the baseline,
    networks of one dimension scaled alone, and compound ones. `compound` has the fingerprints of those to judge, by
    default of all whose d, w and r are above 1.

    A dimension's curve joins its networks by straight lines over the logarithm of multiply-adds, as Figure 3 draws it.
    A difference from it is a weighted sum of means over seeds, and so is the mean of differences over networks, which
    share points of the curve. Their intervals are Student's t with one variance pooled over all networks given, see
    `means.seed_means`: they cover seed-to-seed variation on this validation split, each by itself. They do not cover
    that the curve may bend between its points. NaN where no network has two seeds.

    "best of the three" is the curve that is highest at a network's multiply-adds, where all three reach. Chosen by the
    same trials that judge it, it is too high on average: what is better than it is better the more surely.

    Raises UserError where there is no curve, or no compound network within one.
    """
    import pandas as pd

    check_confidence(confidence)
    judging = measured(trials)
    if "seed" not in judging.columns:
        judging = judging.assign(fingerprint=judging.index.astype("str"), seed=0)
    seeds = seed_means(judging, confidence)
    networks = judging.drop_duplicates("fingerprint").set_index("fingerprint")[[*DIMENSIONS, "multiply_adds"]]
    networks = networks.join(seeds.table, how="inner")
    judged = _judged(networks, compound)
    curves = {dimension: _curve(networks, dimension) for dimension in DIMENSIONS}
    rows: list[dict[str, Any]] = []
    contrasts: dict[str, list[Contrast]] = {name: [] for name in (*DIMENSIONS, BEST)}
    for network in judged.reset_index().to_dict("records"):
        singles = {name: _weights(curve, network["multiply_adds"]) for name, curve in curves.items()}
        reached = {name: weights for name, weights in singles.items() if weights}
        if len(reached) == len(DIMENSIONS):
            reached[BEST] = max(reached.values(), key=lambda weights: _value(weights, seeds))
        given = {name: network[name] for name in (*NEEDED, "fingerprint")}
        for name, weights in reached.items():
            contrast = {network["fingerprint"]: 1.0}
            for fingerprint, weight in weights.items():
                contrast[fingerprint] = contrast.get(fingerprint, 0.0) - weight
            contrasts[name].append(contrast)
            rows.append(
                {"dimension": name, **given, "single": _value(weights, seeds), **_interval(contrast, seeds, confidence)}
            )
    if not rows:
        raise UserError(
            "no compound network here costs as much as networks with one dimension scaled alone",
            "the comparison is at equal multiply-adds",
            "train cheaper and dearer ones of these, by scaling-search sweep --depths 2 4 8",
        )
    means = [
        {"dimension": name, "networks": len(group), **_interval(_mean(group), seeds, confidence)}
        for name, group in contrasts.items()
        if group
    ]
    order = ["dimension", *NEEDED, "single", "difference", "low", "high", "fingerprint"]
    return AgainstSingle(
        networks=pd.DataFrame(rows)[order],
        means=pd.DataFrame([{**row, "verdict": _verdict(row)} for row in means]),
        confidence=confidence,
    )


def _judged(networks: "pd.DataFrame", compound: Sequence[str] | None) -> "pd.DataFrame":
    if compound is not None:
        unknown = [name for name in compound if name not in networks.index]
        if unknown:
            raise UserError(f"network {unknown[0]!r} has no finished training", "compare those that have")
    judged = compounds(networks) if compound is None else networks.loc[list(dict.fromkeys(compound))]
    if judged.empty:
        raise UserError(
            "no network here has depth, width and resolution all scaled",
            hint="train some by scaling-search sweep --data DATA --compound",
        )
    return judged.sort_values("multiply_adds", kind="stable")


def _curve(networks: "pd.DataFrame", dimension: str) -> "pd.DataFrame":
    """By rising multiply-adds, each once, so that there is a line between any two."""
    return alone(networks, dimension).sort_values("multiply_adds", kind="stable").drop_duplicates("multiply_adds")


def _weights(curve: "pd.DataFrame", multiply_adds: float) -> Contrast:
    """The two points of a curve between which a size lies, weighted by how near they are; none beyond its ends."""
    sizes, size = np.log(curve["multiply_adds"].to_numpy(np.float64)), float(np.log(multiply_adds))
    if len(sizes) < 2 or not sizes[0] <= size <= sizes[-1]:
        return {}
    left = min(int(np.searchsorted(sizes, size, side="right")) - 1, len(sizes) - 2)
    share = float((size - sizes[left]) / (sizes[left + 1] - sizes[left]))
    return {curve.index[left]: 1 - share, curve.index[left + 1]: share}


def _mean(contrasts: Sequence[Contrast]) -> Contrast:
    total: Contrast = {}
    for contrast in contrasts:
        for fingerprint, weight in contrast.items():
            total[fingerprint] = total.get(fingerprint, 0.0) + weight / len(contrasts)
    return total


def _value(contrast: Contrast, seeds: SeedMeans) -> float:
    return float(sum(weight * seeds.table["val_accuracy"][name] for name, weight in contrast.items()))


def _interval(contrast: Contrast, seeds: SeedMeans, confidence: float) -> dict[str, float]:
    """Where weights add up to 0, what a seed does to all networks alike cancels, as in `SeedMeans.variance`."""
    from scipy import stats

    difference = _value(contrast, seeds)
    spread = sum(weight**2 / seeds.table["seeds"][name] for name, weight in contrast.items())
    half = float(stats.t.ppf((1 + confidence) / 2, seeds.df) * np.sqrt(seeds.variance * spread))
    return {"difference": difference, "low": difference - half, "high": difference + half}


def _listed(words: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def _verdict(row: dict[str, Any]) -> str:
    if row["low"] > 0:
        return _BETTER
    return _WORSE if row["high"] < 0 else _NEITHER
