"""What a run leaves behind for others to read: the accuracy-FLOPS frontier as a frame, and frames as bytes."""

import io
from collections import defaultdict
from typing import TYPE_CHECKING

from scaling_search.analysis.findings.confirmed import JUDGED
from scaling_search.analysis.findings.step1 import preferred_rules
from scaling_search.analysis.statistics.means import run_means
from scaling_search.analysis.statistics.pareto import frontier

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from scaling_search.analysis.findings.confirmed import Confirmed
    from scaling_search.analysis.frames import Run

_NETWORK = ("network", "depth", "width", "resolution", "input_resolution", "parameters", "multiply_adds", "activations")


def frontier_frame(
    run: "Run", confidence: float = 0.95, *, fresh: "Mapping[str, Confirmed] | None" = None
) -> "pd.DataFrame":
    """Every network measured on the validation split, by rising multiply-adds, those on the frontier marked.

    Columns: `network` (the family), `label` (every part the network plays: "baseline", "grid", "depth", "B2 found", "B3
    published", "depth alone", or the architecture that `nas` tried), `alpha`, `beta`, `gamma` (the rule of the grid
    that rounds to it, that nearest to a cost factor of 2 where there are several), `depth`, `width`, `resolution` (that
    rule's, or the model's), `input_resolution`, `parameters`, `multiply_adds`, `activations`, `val_accuracy` (mean over
    seeds, 0..1), `low`, `high` (see `means.run_means`), `seeds`, `on_frontier`, `fingerprint`. Networks in `fresh` have
    their accuracy from there: that of the best of many by the seeds that selected it is too high.
    """
    means = run_means(run.judging, confidence)
    networks = run.trials.drop_duplicates("fingerprint").set_index("fingerprint")[list(_NETWORK)]
    rules = preferred_rules(run.points[run.points["phi"] != 0]).set_index("fingerprint")
    table = networks.join(means, how="inner").join(rules[["alpha", "beta", "gamma"]])
    table.update(rules[["depth", "width", "resolution"]])
    for name, one in (fresh or {}).items():
        if name in table.index:
            table.loc[name, list(JUDGED)] = [getattr(one, field) for field in JUDGED]
    table["seeds"] = table["seeds"].astype(int)
    roles = _roles(run)
    table["label"] = [", ".join(roles[str(name)]) for name in table.index]
    table["on_frontier"] = table.index.isin(frontier(table).index)
    table = table.reset_index().sort_values(["multiply_adds", "fingerprint"], ignore_index=True)
    front = ("network", "label", "alpha", "beta", "gamma", *_NETWORK[1:])
    return table[[*front, "val_accuracy", "low", "high", "seeds", "on_frontier", "fingerprint"]]


def to_csv_bytes(frame: "pd.DataFrame") -> bytes:
    """The frame as a CSV file, without its index; numbers in full."""
    return frame.to_csv(index=False, lineterminator="\n").encode()


def to_parquet_bytes(frame: "pd.DataFrame") -> bytes:
    """The frame as a Parquet file, without its index."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _roles(run: "Run") -> "Mapping[str, list[str]]":
    """Every part that a network plays, by fingerprint."""
    roles: dict[str, list[str]] = defaultdict(list)
    points = run.points
    for which, role in ((points["phi"] == 0, "baseline"), (points["phi"] != 0, "grid")):
        for name in points["fingerprint"][which].unique():
            roles[name].append(role)
    tried = run.nas.drop_duplicates("fingerprint")
    for names, parts in (
        (run.rivals["fingerprint"], run.rivals["rival"]),
        (run.sweep["fingerprint"], run.sweep["scaling"]),
        (tried["fingerprint"], tried["architecture"]),
        (run.models["fingerprint"], run.models["model"] + " " + run.models["coefficients"]),
    ):
        for name, part in zip(names, parts, strict=True):
            roles[name].append(part)
    return roles
