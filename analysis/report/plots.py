"""The plots of a report: accuracy against multiply-adds, STEP 1 close up and learning curves."""

from collections.abc import Callable, Sequence
from itertools import accumulate, groupby
from operator import itemgetter

import numpy as np

from scaling_search.analysis.figures.layers import Layer, accuracy_layers, staircase, step1_layers
from scaling_search.analysis.findings.facts import Facts
from scaling_search.analysis.report.svg import Line, Plot, Point, Series
from scaling_search.analysis.report.words import details_of
from scaling_search.analysis.text.ticks import count_texts

CURVE_POINTS = 12
"""Markers on one learning curve, whose line has every epoch."""

_EXTRAPOLATED = "Hollow markers on dashed lines are extrapolated by the law of scaling; shades are their intervals."

_MARKERS = {
    "grid": "square",
    "tied": "square",
    "winner": "star",
    "baseline": "diamond",
    "found": "circle",
    "published": "triangle",
    "network": "circle",
    "depth": "circle",
    "width": "triangle",
    "resolution": "square",
    "given": "circle",
    "compound": "star",
    "other": "circle",
    "tried": "circle",
    "finalist": "star",
}
"""The marker of each kind of series."""


def plots_of(findings: Facts) -> list[Plot]:
    """The plots that have something to show, in the order in which they are read."""
    plots = [_accuracy(findings), _step1(findings), _rewards(findings), *_curves(findings)]
    return [plot for plot in plots if any(series.points for series in plot.series)]


def _accuracy(findings: Facts) -> Plot:
    details = details_of(findings)
    layers = accuracy_layers(findings)
    return Plot(
        "accuracy",
        "Accuracy against multiply-adds",
        f"Bars are intervals over seeds. {_EXTRAPOLATED * any(layer.extrapolated for layer in layers)}".rstrip(),
        "multiply-adds for one image (log scale)",
        "top-1 accuracy on the validation split, %",
        tuple(_series(layer, details) for layer in layers),
        log_x=True,
        x_texts=count_texts,
    )


def _step1(findings: Facts) -> Plot:
    details = details_of(findings)
    return Plot(
        "step1-plot",
        "STEP 1, close up",
        "The networks of the grid, with their intervals over seeds.",
        "multiply-adds for one image",
        "top-1 accuracy on the validation split, %",
        tuple(_series(layer, details) for layer in step1_layers(findings)),
        x_texts=count_texts,
    )


def _series(layer: Layer, details: dict[str, str]) -> Series:
    kind = layer.kind.removesuffix("-extrapolated")
    points = tuple(
        Point(
            x=float(row["multiply_adds"]),
            y=100 * float(row["val_accuracy"]),
            low=100 * float(row["low"]),
            high=100 * float(row["high"]),
            network=str(row["fingerprint"]),
            details=details[str(row["fingerprint"])],
            name=str(row["model"]),
        )
        for row in layer.networks.to_dict("records")
    )
    style = "dotted" if kind == "frontier" else "dashed" if layer.extrapolated else "solid"
    return Series(
        layer.kind,
        layer.label,
        _MARKERS.get(kind, ""),
        hollow=layer.extrapolated,
        points=points,
        lines=(Line(tuple((x, 100 * y) for x, y in layer.line), style),) if layer.line else (),
        band=tuple((x, 100 * low, 100 * high) for x, low, high in layer.band),
        names_above=kind != "published",
    )


def _rewards(findings: Facts) -> Plot:
    """The reward of each architecture by its first training, in the order of trying, and the best so far."""
    rows = findings.run.nas.drop_duplicates("fingerprint").reset_index(drop=True)
    # Rewards after fewer epochs are not comparable, and networks that have only these were not measured.
    known = rows[rows["reward"].notna() & rows["fingerprint"].isin(_measured(findings))]
    points = tuple(
        Point(
            x=float(row["Index"] + 1),
            y=float(row["reward"]),
            network=str(row["fingerprint"]),
            details=f"{row['architecture']}\nnumber {row['Index'] + 1}, batch {row['batch']}\n"
            f"reward {row['reward']:.4f} by one training",
        )
        for row in known.reset_index(names="Index").to_dict("records")
    )
    return Plot(
        "rewards",
        "Reward in the order of trying",
        "Each architecture after one training from the first seed; the line is the best so far.",
        "architectures tried",
        "reward",
        (Series("tried", "tried from one seed", _MARKERS["tried"], points=points), _best_so_far(points)),
        whole_x=True,
    )


def _best_so_far(points: tuple[Point, ...]) -> Series:
    best = accumulate((point.y for point in points), max)
    corners = tuple((point.x, height) for point, height in zip(points, best, strict=True))
    line = staircase(corners)
    return Series("best", "best so far", lines=(Line(line, "dotted"),) if line else ())


def _measured(findings: Facts) -> set[str]:
    return set() if findings.frontier is None else set(findings.frontier["fingerprint"])


def _curves(findings: Facts) -> list[Plot]:
    """Means over seeds, epoch by epoch: what training minimises, and the accuracy where it was looked at."""
    trials = findings.run.trials
    judged = trials[trials["val_accuracy"].notna()].set_index("key")[["fingerprint"]]
    epochs = findings.run.curves.join(judged, on="key", how="inner")
    kinds, layers = _kinds(findings), list(_LABELS)
    means = epochs.groupby(["fingerprint", "epoch"])[["train_loss", "accuracy"]].mean().reset_index()
    means["accuracy"] *= 100
    plots = []
    for column, title, label, format in (
        ("train_loss", "Training loss", "training loss, mean over seeds", "{:.3g}".format),
        ("accuracy", "Validation accuracy", "top-1 accuracy, mean over seeds, %", "{:.1f} %".format),
    ):
        known = means[means[column].notna()]
        if known["epoch"].nunique() < 2:
            continue
        rows = zip(*(known[name].tolist() for name in ("fingerprint", "epoch", column)), strict=True)
        curves = {name: [*of_network] for name, of_network in groupby(rows, key=itemgetter(0))}
        series = [
            _curve(findings, name, [row[1:] for row in curves[name]], column, format, kinds[name])
            for name in sorted(curves, key=lambda name: (layers.index(kinds[name]), name))
        ]
        plots.append(
            Plot(
                f"curves-{column.replace('_', '-')}",
                title,
                "One line a network."
                if column == "train_loss"
                else "One line a network, at epochs that were evaluated.",
                "epoch",
                label,
                tuple(series),
                whole_x=True,
            )
        )
    return plots


_LABELS = {
    "network": "networks as given",
    "tried": "tried from one seed",
    "grid": "grid of STEP 1",
    "tied": "tied with the best of the grid",
    "published": "published coefficients",
    "found": "found coefficients",
    "baseline": "baseline (phi = 0)",
    "winner": "rule of STEP 1",
    "finalist": "finalists, from fresh seeds",
}
"""Kinds of learning curves with their labels, from the back to the front."""


def _kinds(findings: Facts) -> dict[str, str]:
    """The kind of each measured network's learning curve."""
    usual = {"nas": "tried", "method": "grid"}.get(findings.run.kind, "network")
    kinds = dict.fromkeys(_measured(findings), usual)
    models = findings.run.models
    kinds |= dict.fromkeys(findings.run.finalists, "finalist")
    for coefficients in ("published", "found"):
        kinds |= dict.fromkeys(models["fingerprint"][models["coefficients"] == coefficients], coefficients)
    if findings.judgement is not None:
        judgement = findings.judgement
        kinds |= dict.fromkeys(judgement.ties, "tied")
        kinds |= {judgement.baseline.fingerprint: "baseline", judgement.winner.fingerprint: "winner"}
    return kinds


def _curve(
    findings: Facts,
    network: str,
    rows: Sequence[tuple[int, float]],
    column: str,
    format: Callable[[float], str],
    kind: str,
) -> Series:
    """`rows` has an epoch and the value of `column` each."""
    every = np.unique(np.linspace(0, len(rows) - 1, CURVE_POINTS).round().astype(int)).tolist()
    quantity = "training loss" if column == "train_loss" else "top-1"
    points = tuple(
        Point(
            x=float(epoch),
            y=value,
            network=network,
            details=f"{findings.names[network]}\nepoch {epoch}: {quantity} {format(value)}",
        )
        for epoch, value in (rows[index] for index in every)
    )
    line = Line(tuple((float(epoch), value) for epoch, value in rows))
    lines = (line,) if len(rows) > 1 else ()
    return Series(kind, _LABELS[kind], _MARKERS[kind], points=points, lines=lines, network=network)
