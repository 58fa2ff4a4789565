"""STEP 1 judged: where the best shares of growth lie, the rule that stands for them, and which networks are best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scaling_search.analysis.findings.region import SHARES, in_region, region_of, representative
from scaling_search.analysis.findings.remarks import first_reason, method_of, notes_of, warnings_of
from scaling_search.analysis.statistics.dunnett import dunnett_critical_value
from scaling_search.analysis.statistics.means import SeedMeans, check_confidence, seed_means
from scaling_search.analysis.statistics.power import seeds_to_separate
from scaling_search.analysis.statistics.surface import Surface
from scaling_search.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

TARGET_COST_FACTOR = 2.0
"""What alpha * beta^2 * gamma^2 should be (equation 3)."""


@dataclass(frozen=True)
class Standing:
    """A rule, the network that it gives, and what that network reached on the validation split."""

    alpha: float
    beta: float
    gamma: float
    fingerprint: str
    multiply_adds: int
    val_accuracy: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class Separation:
    """What it would take to tell the two most accurate networks of a tie apart."""

    fingerprints: tuple[str, str]
    """The most accurate network and the next."""
    gap: float
    """Difference of their accuracies, 0..1."""
    low: float
    high: float
    """The interval of the gap, Student's t for this pair by itself."""
    seeds: int | None
    """How many seeds each network of STEP 1 would need, see `power.seeds_to_separate`; None where too many."""
    more: int | None
    """How many more than it has."""
    fewest: int | None
    """As `seeds`, were the gap as wide as `high`."""
    power: float
    """How probable it is that so many do, were the gap the true one."""


@dataclass(frozen=True, eq=False)
class Judgement:
    """What STEP 1 found."""

    table: "pd.DataFrame"
    """One row a point of the grid, the most accurate network first, points of one network together: `alpha`, `beta`,
    `gamma`, `cost_factor`, `layers`, `channels`, `pixels` and `realised_cost` (relative to the baseline's, see
    `columns.POINTS`), `depth_share`, `width_share` and `resolution_share` (of the network's growth), `network` (the
    family), `depth`, `width`, `resolution`, `input_resolution`, `parameters`, `multiply_adds`, `activations`,
    `val_accuracy` (mean over seeds, 0..1), `low`, `high`, `seeds`, `tie` (cannot be told from the best), `in_region`
    (of the surface), `leads` (the winner's network), `note`, `fingerprint`."""
    winner: Standing
    """The rule that STEP 2 scales: the one that stands for the region or, where there is none, `best`."""
    best: Standing
    """The best network measured: of those that cannot be told from the most accurate the cheapest or, where costs are
    equal, the most accurate itself."""
    baseline: Standing
    """The network at phi 0, with coefficients of 1; its accuracy is NaN until it is trained."""
    ties: tuple[str, ...]
    """Fingerprints of the networks that cannot be told from the most accurate, the cheapest first; but `best` is the
    first."""
    matched: bool
    """Whether the networks have equal costs, so that the most accurate is best and not the cheapest of a tie."""
    confidence: float
    note: str
    """How the comparison was made, in words."""
    separation: Separation | None
    """None where no two networks are tied, or no network has two seeds."""
    surface: Surface | None
    """Accuracy over the shares of growth, from all networks of STEP 1, rivals too, and the region in which its optimum
    lies; None where these are too few to say."""
    by_region: bool
    """Whether the winner stands for the region. It does where the networks' own shares were recorded; in older runs it
    is `best`."""
    warnings: tuple[str, ...]
    """Sentences on what makes the intervals doubtful, such as collapsed trainings."""
    on_edge: tuple[str, ...]
    """Coefficients of the winner, "alpha" say, that are the largest the grid offers: larger ones may be better. Empty
    where it stands for a region, which has edges of its own."""

    @property
    def same_network(self) -> list[dict[str, float]]:
        """The other rules of the grid that give the winner's network: `alpha`, `beta`, `gamma`."""
        names = ["alpha", "beta", "gamma"]
        same = self.table[self.table["fingerprint"] == self.winner.fingerprint]
        others = same[(same[names] != [getattr(self.winner, name) for name in names]).any(axis=1)]
        rows: list[dict[str, float]] = others[names].to_dict("records")  # type: ignore[assignment]
        return rows

    def rules(self, fingerprints: Sequence[str]) -> list[dict[str, float]]:
        """The rule that each of these networks of the grid goes by: `alpha`, `beta`, `gamma`."""
        named = preferred_rules(self.table).set_index("fingerprint")[["alpha", "beta", "gamma"]]
        rows: dict[str, dict[str, float]] = named.to_dict("index")  # type: ignore[assignment]
        return [rows[key] for key in fingerprints]


def judge(
    points: "pd.DataFrame",
    trials: "pd.DataFrame",
    confidence: float = 0.95,
    *,
    rivals: "pd.DataFrame | None" = None,
    planned: Mapping[str, int] | None = None,
) -> Judgement:
    """Compares the networks of STEP 1 on the validation split (section 3.3 of the paper, with its uncertainty).

    Args:
        points: of a Run.
        trials: of the same Run.
        confidence: of the intervals, of the tie and of the region.
        rivals: of the same Run. They count in the surface, but cannot win.
        planned: seeds of each network, by fingerprint, where they differ; by default as many as any has.

    `low` and `high` are for each network by itself, see `means.seed_means`: they cover seed-to-seed variation on this
    validation split, not the draw of its images.

    The tie is the set of networks that multiple comparisons with the best (Hsu, 1981; Gupta's subset) cannot rule
    out: with probability `confidence` or more the truly best network is in it. Networks are compared as a randomised
    block design by Dunnett's one-sided critical value or, where their seeds scatter unlike each other, by Welch's t
    (Games and Howell, 1976). The network with the fewest multiply-adds is the best of the tie or, where costs are
    matched, the most accurate; and of the rules of that network the one whose cost factor is nearest to 2, then the
    smallest.

    The answer is where the optimum of accuracy over the shares of growth lies, see `surface.fit_surface`, and the rule
    that stands for that region, see `region.representative`. Where there is no such region, the best network's rule.

    A network without a finished training cannot win; one that lacks some is judged by those it has, with a note. Where
    no network has two seeds there are no intervals, and the best mean is the best.

    Raises:
        UserError: no network has finished.

    """
    import pandas as pd

    check_confidence(confidence)
    allowed = points[points["rejected"].isna()]
    trials = trials[(trials["evaluate"] == "validation") & (trials["step"] == 1)]
    means = seed_means(trials, confidence)
    grid = points[points["phi"] != 0]
    contenders = means.table.loc[means.table.index.isin(allowed["fingerprint"][allowed["phi"] != 0])]
    if contenders.empty:
        raise UserError(
            "no network of STEP 1 has a finished training" + first_reason(trials),
            hint="go on by scaling-search resume, or with other settings under another --name",
        )
    accuracy, seeds = contenders["val_accuracy"].to_numpy(np.float64), contenders["seeds"].to_numpy(np.int64)
    if means.unlike:
        mine = means.table.index.isin(contenders.index)
        kept = may_be_best_unlike(accuracy, seeds, means.variances[mine], means.dfs[mine], confidence)
    else:
        kept = may_be_best(accuracy, seeds, means.variance, means.df, confidence)
    tied = contenders.index[kept]
    measured = grid["rejected"].isna()
    table = grid.join(means.table, on="fingerprint")
    table.loc[~measured, ["val_accuracy", "low", "high", "seeds", "collapsed"]] = np.nan
    table["seeds"] = table["seeds"].fillna(0).astype("int64")
    table["tie"] = measured & table["fingerprint"].isin(tied)
    table["note"] = notes_of(table, trials, planned)
    matched = bool(table["target_cost"].notna().any())
    surface = region_of(_networks_of(points, rivals), means, confidence)
    shares = table[list(SHARES)].to_numpy(np.float64)
    recorded = ~np.isnan(shares).any(1)
    by_region = surface is not None and bool(recorded[measured].all())
    best = _standing(table.loc[_leader(table, matched)])
    winner = best
    table["in_region"] = False
    if surface is not None and by_region:
        winner = _standing(table.loc[representative(table[table["seeds"] > 0], surface)])
        table.loc[recorded, "in_region"] = in_region(shares[recorded], surface)
    table["leads"] = table["fingerprint"] == winner.fingerprint
    table = _in_order(table)
    ties = table[table["tie"]].drop_duplicates("fingerprint").sort_values("multiply_adds", kind="stable")
    baseline = points[points["phi"] == 0].join(means.table, on="fingerprint").iloc[0]
    columns = [*_GIVEN, "val_accuracy", "low", "high", "seeds", "tie", "in_region", "leads", "note", "fingerprint"]
    return Judgement(
        table=pd.DataFrame(table[columns]).reset_index(drop=True),
        winner=winner,
        best=best,
        baseline=_standing(baseline),
        ties=(best.fingerprint, *(name for name in ties["fingerprint"] if name != best.fingerprint)),
        matched=matched,
        confidence=confidence,
        note=method_of(means, confidence),
        separation=_separation(contenders, means, len(ties), confidence),
        surface=surface,
        by_region=by_region,
        warnings=warnings_of(means),
        on_edge=() if by_region else _on_edge(winner, table),
    )


_GIVEN = (
    *("alpha", "beta", "gamma", "cost_factor", "layers", "channels", "pixels", "realised_cost", *SHARES, "network"),
    *("depth", "width", "resolution"),
    *("input_resolution", "parameters", "multiply_adds", "activations"),
)


def may_be_best(accuracy: Floats, seeds: Ints, variance: float, df: int, confidence: float = 0.95) -> Bools:
    """Which networks, by their mean `accuracy` over `seeds` trainings each, cannot be told from the truly best one.

    `variance` of one training is estimated with `df` degrees of freedom. With probability `confidence` or more the
    network with the largest true mean is among those marked, see `judge`. Without a variance (NaN), the largest mean.
    """
    if np.isnan(variance):
        return np.asarray(np.arange(len(accuracy)) == np.argmax(accuracy))
    kept = np.zeros(len(accuracy), bool)
    for index in range(len(accuracy)):
        others = np.arange(len(accuracy)) != index
        gaps = accuracy[others] - accuracy[index]
        errors = np.sqrt(variance * (1 / seeds[index] + 1 / seeds[others]))
        critical = dunnett_critical_value(int(seeds[index]), tuple(sorted(seeds[others].tolist())), df, confidence)
        kept[index] = np.all(gaps <= critical * errors + 1e-12)
    return kept


def may_be_best_unlike(
    accuracy: Floats, seeds: Ints, variances: Floats, dfs: Floats, confidence: float = 0.95
) -> Bools:
    """As `may_be_best`, for networks whose trainings scatter unlike each other (Games and Howell, 1976).

    Pairs are compared by Welch's t, `variances` of one training having `dfs` degrees of freedom each, at Sidak's level
    for as many comparisons as there are others.
    """
    from scipy import stats

    errors = variances / seeds
    joint = errors[:, None] + errors
    with np.errstate(invalid="ignore", divide="ignore"):
        df = joint**2 / np.add.outer(errors**2 / dfs, errors**2 / dfs)
    level = confidence ** (1 / max(len(accuracy) - 1, 1))
    critical = np.nan_to_num(stats.t.ppf(level, df), nan=0.0)
    gaps = accuracy - accuracy[:, None]
    allowed = critical * np.sqrt(joint) + 1e-12
    np.fill_diagonal(allowed, np.inf)
    kept: Bools = np.all(gaps <= allowed, axis=1)
    return kept


def preferred_rules(points: "pd.DataFrame") -> "pd.DataFrame":
    """One row a network: the rule of the grid that names it, its cost factor nearest to 2, then the smallest."""
    distance = (points["cost_factor"] - TARGET_COST_FACTOR).abs().round(9)
    nearest = points.assign(distance=distance).sort_values(["distance", "alpha", "beta", "gamma"])
    return nearest.drop_duplicates("fingerprint")


def pair_interval(means: SeedMeans, fingerprints: tuple[str, str], confidence: float) -> tuple[float, float]:
    """Variance of one training, and half the interval of the difference of two networks' means, accuracy in 0..1.

    Student's t for this pair by itself; Welch's where networks scatter unlike each other. NaN without a variance.
    """
    import pandas as pd
    from scipy import stats

    two = means.table.index.get_indexer(pd.Index(fingerprints))
    seeds = means.table["seeds"].to_numpy()[two]
    variance, df = means.variance, float(means.df)
    if means.unlike:
        errors = means.variances[two] / seeds
        variance = float(means.variances[two].mean())
        df = float(errors.sum() ** 2 / np.sum(errors**2 / means.dfs[two])) if errors.all() else df
    return variance, float(stats.t.ppf((1 + confidence) / 2, df) * np.sqrt(variance * (1 / seeds).sum()))


def _separation(contenders: "pd.DataFrame", means: SeedMeans, tied: int, confidence: float) -> Separation | None:
    if tied < 2 or np.isnan(means.variance):
        return None
    ranked = contenders.sort_values("val_accuracy", ascending=False, kind="stable")
    first, second = ranked.iloc[:2].reset_index().to_dict("records")
    gap, power = first["val_accuracy"] - second["val_accuracy"], 0.8
    variance, half = pair_interval(means, (first["fingerprint"], second["fingerprint"]), confidence)
    seeds, fewest = (
        seeds_to_separate(width, variance, len(contenders), confidence, power) for width in (gap, gap + half)
    )
    has = int(min(first["seeds"], second["seeds"]))
    return Separation(
        fingerprints=(first["fingerprint"], second["fingerprint"]),
        gap=gap,
        low=gap - half,
        high=gap + half,
        seeds=seeds,
        more=None if seeds is None else max(seeds - has, 0),
        fewest=fewest,
        power=power,
    )


def _networks_of(points: "pd.DataFrame", rivals: "pd.DataFrame | None") -> "pd.DataFrame":
    """One row a network that equation 2 allows: those of the grid, then those that only rivals have."""
    import pandas as pd

    grid = preferred_rules(points[points["phi"] != 0])
    every = grid if rivals is None else pd.concat([grid, rivals[[name for name in rivals if name in grid]]])
    return every[every["rejected"].isna()].drop_duplicates("fingerprint")


def _on_edge(winner: Standing, table: "pd.DataFrame") -> tuple[str, ...]:
    ends = {name: (float(table[name].min()), float(table[name].max())) for name in ("alpha", "beta", "gamma")}
    return tuple(name for name, (low, high) in ends.items() if getattr(winner, name) == high > low)


def _leader(table: "pd.DataFrame", matched: bool) -> Any:
    order = ["val_accuracy", "fingerprint"] if matched else ["multiply_adds", "val_accuracy", "fingerprint"]
    tied = preferred_rules(table[table["tie"]])
    return tied.sort_values(order, ascending=[name != "val_accuracy" for name in order]).index[0]


def _in_order(table: "pd.DataFrame") -> "pd.DataFrame":
    order = ["val_accuracy", "multiply_adds", "fingerprint", "alpha", "beta", "gamma"]
    return table.sort_values(order, ascending=[name != "val_accuracy" for name in order], na_position="last")


def _standing(row: "pd.Series[Any]") -> Standing:
    return Standing(
        **{name: float(row[name]) for name in ("alpha", "beta", "gamma", "val_accuracy", "low", "high")},
        fingerprint=str(row["fingerprint"]),
        multiply_adds=int(row["multiply_adds"]),
        seeds=0 if np.isnan(row["seeds"]) else int(row["seeds"]),
    )
