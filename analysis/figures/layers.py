"""What the plot of accuracy against multiply-adds shows, layer by layer, however it is drawn."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from scaling_search.analysis.findings.confirmed import as_judged
from scaling_search.analysis.text.step1 import named

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from scaling_search.analysis.findings.confirmed import Confirmed
    from scaling_search.analysis.findings.facts import Facts

FRONTIER = "measured frontier"
SCALINGS = ("network", "depth", "width", "resolution", "given", "compound", "baseline")
"""Ways of scaling in a sweep, from the back to the front."""

_COLUMNS = ["fingerprint", "multiply_adds", "val_accuracy", "low", "high", "model"]

Corners = tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class Layer:
    """Networks that look alike, and the line and shade that go with them. Accuracies are 0..1."""

    kind: str
    label: str
    networks: "pd.DataFrame"
    """One row a marker: `fingerprint`, `multiply_adds`, `val_accuracy`, `low`, `high` (the ends of its bar, NaN where
    it has none) and `model` (the name beside it, often empty)."""
    line: Corners = ()
    """(multiply-adds, accuracy) of each corner."""
    band: tuple[tuple[float, float, float], ...] = ()
    """A shade: (multiply-adds, low, high) of each corner."""
    extrapolated: bool = False


def accuracy_layers(findings: "Facts") -> list[Layer]:
    """The layers from the back to the front; none of them is empty."""
    layers = [
        *_grid(findings),
        *_models(findings),
        *_winner_and_baseline(findings, findings.fresh),
        *_sweep(findings),
        *_nas(findings),
    ]
    known = {name for layer in layers for name in layer.networks["fingerprint"]}
    if findings.frontier is not None:
        # Published models, say, which are trained before STEP 2 is planned.
        others = findings.frontier[~findings.frontier["fingerprint"].isin(known)]
        layers.insert(0, Layer("other", "other networks", _markers(others)))
        layers.insert(1, Layer("frontier", FRONTIER, _markers(others.iloc[:0]), line=frontier_line(findings)))
    return [layer for layer in layers if len(layer.networks) or layer.line]


def step1_layers(findings: "Facts") -> list[Layer]:
    """The layers of STEP 1's grid alone."""
    winner = [layer for layer in _winner_and_baseline(findings, {}) if layer.kind == "winner"]
    return [layer for layer in (*_grid(findings), *winner) if len(layer.networks)]


def frontier_line(findings: "Facts") -> Corners:
    """The measured frontier as a staircase: a budget between two networks affords the smaller one."""
    measured = findings.frontier
    return () if measured is None else staircase(_corners(measured[measured["on_frontier"]]))


def staircase(corners: Corners) -> Corners:
    """A line that keeps the height of each corner until the next; none through fewer than two."""
    steps = [corner for (_, y), (x, higher) in pairwise(corners) for corner in ((x, y), (x, higher))]
    return (corners[0], *steps) if steps else ()


def _grid(findings: "Facts") -> list[Layer]:
    judgement = findings.judgement
    if judgement is None:
        return []
    networks = judgement.table.drop_duplicates("fingerprint")
    networks = networks[networks["val_accuracy"].notna() & (networks["fingerprint"] != judgement.winner.fingerprint)]
    return [
        Layer("grid", "grid of STEP 1", _markers(networks[~networks["tie"]])),
        Layer("tied", "tied with the best of the grid", _markers(networks[networks["tie"]])),
    ]


def _winner_and_baseline(findings: "Facts", fresh: "Mapping[str, Confirmed]") -> list[Layer]:
    import pandas as pd

    if findings.judgement is None:
        return []
    winner, baseline = findings.judgement.winner, findings.judgement.baseline
    looks = (("winner", f"{named(findings.judgement)} of STEP 1", winner), ("baseline", "baseline (phi = 0)", baseline))
    return [
        Layer(kind, label, _markers(pd.DataFrame([as_judged(vars(one), fresh)])))
        for kind, label, one in looks
        if one.seeds
    ]


def _models(findings: "Facts") -> list[Layer]:
    """B0..B7: the measured ones on a line, the extrapolated on one that goes on from the last of these, in a shade."""
    if findings.step2 is None:
        return []
    layers = []
    for coefficients in ("published", "found"):
        known = findings.step2[findings.step2["coefficients"] == coefficients].dropna(subset="val_accuracy")
        known = known.sort_values("multiply_adds", kind="stable")
        measured, rest = known[known["source"] == "measured"], known[known["source"] != "measured"]
        beyond = known.loc[[*measured.index[-1:], *rest.index]].sort_values("multiply_adds", kind="stable")
        if len(rest):
            band = beyond[["multiply_adds", "low", "high"]].dropna().to_numpy()
            layers.append(
                Layer(
                    f"{coefficients}-extrapolated",
                    f"{coefficients}: extrapolated, not trained",
                    # Their intervals are the shade.
                    _markers(rest.assign(low=float("nan"), high=float("nan"))),
                    _corners(beyond),
                    tuple((float(x), float(low), float(high)) for x, low, high in band),
                    extrapolated=True,
                )
            )
        line = _corners(measured) if len(measured) > 1 else ()
        layers.append(Layer(coefficients, f"{coefficients} coefficients", _markers(measured), line))
    return layers


def _sweep(findings: "Facts") -> list[Layer]:
    """Each way of scaling on a line from the baseline."""
    if findings.sweep is None:
        return []
    known = findings.sweep.dropna(subset="val_accuracy")
    first = known[known["scaling"] == "baseline"]
    layers = []
    for kind in SCALINGS:
        own = known[known["scaling"] == kind].sort_values("multiply_adds", kind="stable")
        line = _corners(first) + _corners(own) if len(own) and kind not in ("baseline", "network", "given") else ()
        layers.append(Layer(kind, kind, _markers(own), line if len(line) > 1 else ()))
    return layers


def _nas(findings: "Facts") -> list[Layer]:
    if findings.nas is None or findings.frontier is None:
        return []
    measured = findings.frontier
    finalist = measured["fingerprint"].isin(findings.run.finalists)
    tried = measured["fingerprint"].isin(findings.nas["fingerprint"])
    return [
        Layer("tried", "tried from one seed", _markers(measured[tried & ~finalist])),
        Layer("finalist", "finalists, from fresh seeds", _markers(measured[finalist])),
    ]


def _markers(networks: "pd.DataFrame") -> "pd.DataFrame":
    return networks.assign(model=networks.get("model", ""))[_COLUMNS]


def _corners(networks: "pd.DataFrame") -> Corners:
    return tuple((float(x), float(y)) for x, y in networks[["multiply_adds", "val_accuracy"]].to_numpy())
