"""What a run's probe of learning rates found: accuracy of each size at each rate, and the rate that follows."""

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from scaling_search.analysis.statistics.means import seed_means
from scaling_search.analysis.statistics.rates import RateFit, RateLaw

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.frames import Run


@dataclass(frozen=True, eq=False)
class Rates:
    """The probe of a run."""

    table: "pd.DataFrame"
    """One row a network and rate, by size: `network` (the family), `depth`, `width`, `resolution`, `input_resolution`,
    `multiply_adds`, `learning_rate`, `val_accuracy` (mean over seeds, 0..1), `low`, `high`, `seeds`, `failed`
    (trainings), `trained_at` (the rate by which the run trains that network; missing until the probe has ended),
    `fingerprint`."""
    fit: RateFit | None
    """What follows, as the run used it; None until the probe has ended."""


def rates_of(run: "Run") -> Rates | None:
    """The probe of a run, as far as it goes; None where it has none."""
    import pandas as pd

    if run.probe is None:
        return None
    fit = fit_from_dict(run.probe["fit"])
    rows = [
        {
            "network": network["family"],
            **network["scale"],
            **{name: network[name] for name in ("input_resolution", "multiply_adds")},
            "learning_rate": rate,
            "trained_at": None if fit is None else fit.law.at(network["multiply_adds"]),
            "fingerprint": one["network"],
        }
        for one in run.probe["probed"]
        for network in [run.probe["networks"][one["network"]]]
        for rate in one["rates"]
    ]
    table = pd.DataFrame(rows).astype({"trained_at": "float64"})
    table = table.sort_values(["multiply_adds", "fingerprint", "learning_rate"], ignore_index=True)
    cell = ["fingerprint", "learning_rate"]
    named = run.probes.assign(fingerprint=[_cell(*row) for row in run.probes[cell].itertuples(index=False)])
    cells = pd.Index([_cell(*row) for row in table[cell].itertuples(index=False)])
    means = seed_means(named).table.reindex(cells)
    for name in ("val_accuracy", "low", "high"):
        table[name] = means[name].to_numpy("float64")
    table["seeds"] = means["seeds"].fillna(0).astype("int64").to_numpy()
    failed = named["fingerprint"][named["status"] != "ok"].value_counts()
    table["failed"] = failed.reindex(cells, fill_value=0).to_numpy("int64")
    return Rates(table[[*_COLUMNS]], fit)


_COLUMNS = (
    *("network", "depth", "width", "resolution", "input_resolution", "multiply_adds", "learning_rate"),
    *("val_accuracy", "low", "high", "seeds", "failed", "trained_at", "fingerprint"),
)


def fit_from_dict(tree: dict[str, Any] | None) -> RateFit | None:
    """The fit that a run's document holds."""
    if tree is None:
        return None
    low, high = (-inf, inf) if tree["low"] is None else (tree["low"], tree["high"])
    return RateFit(RateLaw(**tree["law"]), low, high, tree["curved"])


def _cell(fingerprint: str, rate: float) -> str:
    return f"{fingerprint} at {rate!r}"
