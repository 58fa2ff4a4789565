"""Two runs side by side: what was asked differently, and how the networks of both came out."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling_search.analysis.frames import Run, load_run
from scaling_search.analysis.statistics.means import SeedMeans, check_confidence, seed_means
from scaling_search.errors import UserError
from scaling_search.places import Place
from scaling_search.store import changes_between

if TYPE_CHECKING:
    import pandas as pd

_ACCURACIES = ("val_accuracy", "fresh_accuracy", "test_accuracy")
"""Columns of `Run.trials`, of which each trial has one."""
_COMPARED = (
    "first",
    "second",
    "first_seeds",
    "second_seeds",
    "difference",
    "difference_low",
    "difference_high",
)


@dataclass(frozen=True, eq=False)
class TwoRuns:
    """Two runs compared."""

    first: Run
    second: Run
    settings: tuple[str, ...]
    """What was asked, or what they were trained with, where it differs, one phrase each."""
    networks: "pd.DataFrame"
    """One row a network of both, by rising multiply-adds: `network` (the family), `depth`, `width`, `resolution`,
    `input_resolution`, `multiply_adds`, `first` and `second` (mean accuracy, 0..1), `first_seeds`, `second_seeds`,
    `difference` (second less first), `difference_low`, `difference_high` (Welch's interval for that network by itself;
    missing where either has one seed) and `fingerprint`."""
    only_first: int
    """Networks that only the first run has."""
    only_second: int
    shared_trials: int
    """Trainings of the same network, recipe, images and seed in both."""
    identical_trials: int
    """How many of those ended with the same accuracy to the bit."""
    mean_difference: tuple[float, float, float] | None
    """Mean of `difference` over the networks with its interval, as if they were independent; None without networks."""
    confidence: float


def compare_runs(first: str | Place, second: str | Place, confidence: float = 0.95) -> TwoRuns:
    """Compares two runs, or recorded tables, by what was judged on their validation splits.

    Raises:
        UserError: One of them is not a run, or has no finished training.

    """
    from scipy import stats

    check_confidence(confidence)
    runs = [load_run(path) for path in (first, second)]
    for path, run in zip((first, second), runs, strict=True):
        if run.trials["val_accuracy"].notna().sum() == 0:
            raise UserError(f"{path} has no finished training", hint=f"try scaling-search resume {path}")
    one, two = (seed_means(run.trials, confidence) for run in runs)
    both = one.table.index.intersection(two.table.index, sort=False)
    error, df = _standard_error(one, two, both)
    half = stats.t.ppf((1 + confidence) / 2, df) * error
    # Without scatter there is nothing for a t distribution to say.
    table = _networks(runs[0], one, two, both, np.where(error == 0, 0.0, half))
    shared = runs[0].trials.merge(runs[1].trials, on="key")
    same = np.any([shared[f"{name}_x"] == shared[f"{name}_y"] for name in _ACCURACIES], axis=0)
    mean = None
    if len(table):
        difference = table["difference"].to_numpy()
        spread = float(np.sqrt(np.sum(error**2)) / len(table))
        total = np.sum(error**2) ** 2 / np.sum(error**4 / df) if spread > 0 else np.nan
        half = float(stats.t.ppf((1 + confidence) / 2, total)) * spread if spread > 0 else spread
        average = float(difference.mean())
        mean = (average, average - half, average + half)
    return TwoRuns(
        runs[0],
        runs[1],
        settings=tuple(changes_between(runs[0].manifest, runs[1].manifest)),
        networks=table,
        only_first=len(one.table) - len(both),
        only_second=len(two.table) - len(both),
        shared_trials=len(shared),
        identical_trials=int(same.sum()),
        mean_difference=mean,
        confidence=confidence,
    )


def _networks(run: Run, one: SeedMeans, two: SeedMeans, both: "pd.Index", half: Any) -> "pd.DataFrame":
    """The table of a `TwoRuns`; `half` is half of each network's interval, in the order of `both`."""
    names = ["network", "depth", "width", "resolution", "input_resolution", "multiply_adds"]
    table = run.trials.drop_duplicates("fingerprint").set_index("fingerprint").loc[both, names]
    for name, means in (("first", one), ("second", two)):
        table[name] = means.table["val_accuracy"]
        table[f"{name}_seeds"] = means.table["seeds"]
    table["difference"] = table["second"] - table["first"]
    table["difference_low"], table["difference_high"] = table["difference"] - half, table["difference"] + half
    return table.reset_index().sort_values(["multiply_adds", "fingerprint"], ignore_index=True)[
        [*names, *_COMPARED, "fingerprint"]
    ]


def _standard_error(one: SeedMeans, two: SeedMeans, both: "pd.Index") -> tuple[Any, Any]:
    """Of each network's difference, with its degrees of freedom (Welch, 1947)."""
    variances, terms = 0.0, 0.0
    for means in (one, two):
        at = means.table.index.get_indexer(both)
        share = means.variances[at] / means.table["seeds"].to_numpy()[at]
        variances, terms = variances + share, terms + share**2 / means.dfs[at]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(variances), np.asarray(variances) ** 2 / terms
