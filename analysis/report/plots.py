"""The plots of a report: accuracy against multiply-adds, STEP 1 close up, learning curves, and STEP 1's surface."""

from collections.abc import Callable
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling_search.analysis.findings.run import Findings
from scaling_search.analysis.report.svg import Line, Plot, Point, Series
from scaling_search.analysis.report.words import details_of, interval
from scaling_search.analysis.text.tables import short

if TYPE_CHECKING:
    import pandas as pd

    from scaling_search.analysis.findings.step1 import Judgement

CURVE_POINTS = 12
"""Points that can be pointed at on one learning curve; longer ones are drawn in full."""

TRACE_STEP = 0.06
"""Share of the growth between places that can be pointed at on a response trace, about."""

_EXTRAPOLATED = (
    "Hollow markers on dashed lines were not trained but extrapolated by the law of scaling; "
    "their shade is its interval."
)

_GRID = ("grid", "grid of STEP 1", "square")
_TIED = ("tied", "tied with the best of the grid", "square")
_WINNER = ("winner", "winner of STEP 1", "star")
_BASELINE = ("baseline", "baseline (phi 0)", "diamond")
_FOUND = ("found", "found coefficients", "circle")
_PUBLISHED = ("published", "published coefficients", "triangle")
_GIVEN = ("network", "networks as they were given", "circle")
_TRIED = ("tried", "tried from one seed", "circle")
_FINALIST = ("finalist", "finalists, from all seeds", "star")


def plots_of(findings: Findings) -> list[Plot]:
    """The plots that have something to show, in the order in which they are read."""
    plots = [_accuracy(findings), _step1(findings), _rewards(findings), *_curves(findings)]
    return [plot for plot in plots if any(series.points for series in plot.series)]


def surface_plot(findings: Findings) -> Plot | None:
    """The response traces of the surface of STEP 1, or None where there is none."""
    surface = None if findings.judgement is None else findings.judgement.surface
    if surface is None:
        return None
    traces = surface.traces
    series = [_trace(traces[traces["dimension"] == name], (name, _TRACED[name], _SCALINGS[name])) for name in _TRACED]
    best = Series("optimum", "optimum of the surface", "star", points=_places(traces[traces["optimum"]]))
    return Plot(
        "surface",
        "STEP 1, the surface",
        "The quadratic surface at the networks' mean multiply-adds. Along a line one dimension's share of the growth, "
        "log(alpha * beta^2 * gamma^2), changes, and the other two divide the rest as they do at the optimum. Shades "
        f"are {100 * surface.confidence:g} % intervals for the surface, at each place by itself.",
        "share of the growth, %",
        "top-1 accuracy by the surface, %",
        (*series, best),
    )


_TRACED = {"depth": "depth (alpha)", "width": "width (beta)", "resolution": "resolution (gamma)"}


def _trace(trace: "pd.DataFrame", look: tuple[str, str, str]) -> Series:
    """One dimension's line and shade in full, with a point at some places of it other than the optimum."""
    places = round(float(np.ptp(trace["share"])) / TRACE_STEP) + 1
    some = np.linspace(0, len(trace) - 1, places).round().astype(int)
    corners = trace[["share", "accuracy", "low", "high"]].to_numpy() * 100
    return Series(
        *look,
        points=_places(trace.iloc[some].query("not optimum")),
        lines=(Line(tuple((float(x), float(y)) for x, y, *_ in corners)),),
        band=tuple((float(x), float(low), float(high)) for x, _, low, high in corners),
    )


def _places(places: "pd.DataFrame") -> tuple[Point, ...]:
    return tuple(
        Point(
            x=100 * float(row["share"]),
            y=100 * float(row["accuracy"]),
            network="",
            details=f"{'optimum, ' * row['optimum']}{row['dimension']} with {100 * row['share']:.0f} % of the growth\n"
            f"alpha {row['alpha']:.2f}, beta {row['beta']:.2f}, gamma {row['gamma']:.2f}\n"
            f"top-1 {interval(row | {'val_accuracy': row['accuracy']})} % by the surface",
        )
        for row in places.to_dict("records")
    )


def _accuracy(findings: Findings) -> Plot:
    details = details_of(findings)
    series = [] if findings.judgement is None else _grid_series(findings.judgement, details)
    series.append(_frontier(findings.measured))
    if findings.step2 is not None:
        for look, above in ((_PUBLISHED, False), (_FOUND, True)):
            models = findings.step2[findings.step2["coefficients"] == look[0]]
            series += _model_series(models, look, above, details)
    if findings.judgement is not None:
        series += _winner_and_baseline(findings.judgement, details)
    series += _sweep_series(findings, details)
    if findings.nas is not None:
        nas = findings.nas[findings.nas["fingerprint"].isin(findings.measured["fingerprint"])]
        parts = ((_TRIED, nas[~nas["finalist"]]), (_FINALIST, nas[nas["finalist"]]))
        series += [Series(*look, points=_points(part, details)) for look, part in parts]
    series = [_others(findings, series, details), *series]
    return Plot(
        "accuracy",
        "Accuracy against multiply-adds",
        "Bars are intervals over seeds. " + _EXTRAPOLATED * any(one.hollow for one in series),
        "multiply-adds for one image (log scale)",
        "top-1 accuracy on the validation split, %",
        tuple(one for one in series if one.points or one.lines),
        log_x=True,
        x_ticks=_round_count,
    )


def _others(findings: Findings, drawn: list[Series], details: dict[str, str]) -> Series:
    """What no other series has: the published models, say, which are trained before STEP 2 is laid out."""
    known = {point.network for series in drawn for point in series.points}
    others = findings.measured[~findings.measured["fingerprint"].isin(known)]
    return Series("other", "other networks", "circle", points=_points(others, details))


def _step1(findings: Findings) -> Plot:
    judgement = findings.judgement
    series: list[Series] = []
    if judgement is not None:
        details = details_of(findings)
        series = [*_grid_series(judgement, details), *_winner_and_baseline(judgement, details)[:1]]
    return Plot(
        "step1-plot",
        "STEP 1, close up",
        "The networks of the grid alone, with their intervals over seeds.",
        "multiply-adds for one image",
        "top-1 accuracy on the validation split, %",
        tuple(series),
        x_ticks=lambda value: short(value) if value > 0 else "0",
    )


def _rewards(findings: Findings) -> Plot:
    """The reward of each architecture by its first training, in the order of trying, and the best so far."""
    rows = findings.run.nas.drop_duplicates("fingerprint").reset_index(drop=True)
    # Rewards after fewer epochs are of another kind, and what had only these was not measured.
    known = rows[rows["reward"].notna() & rows["fingerprint"].isin(findings.measured["fingerprint"])]
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
        "Each architecture by one training from the first seed; the line is the best so far.",
        "architectures tried",
        "reward",
        (Series(*_TRIED, points=points), _best_so_far(points)),
        whole_x=True,
    )


def _best_so_far(points: tuple[Point, ...]) -> Series:
    best = accumulate((point.y for point in points), max)
    corners = tuple((point.x, height) for point, height in zip(points, best, strict=True))
    return Series("best", "best so far", lines=_stairs(corners))


def _stairs(corners: tuple[tuple[float, float], ...]) -> tuple[Line, ...]:
    """A line that keeps the height of each corner until the next; none through fewer than two."""
    steps = [corner for (_, y), (x, higher) in pairwise(corners) for corner in ((x, y), (x, higher))]
    return (Line((corners[0], *steps), "dotted"),) if steps else ()


def _grid_series(judgement: "Judgement", details: dict[str, str]) -> list[Series]:
    networks = judgement.table.drop_duplicates("fingerprint")
    networks = networks[networks["val_accuracy"].notna() & (networks["fingerprint"] != judgement.winner.fingerprint)]
    parts = ((_GRID, networks[~networks["tie"]]), (_TIED, networks[networks["tie"]]))
    return [Series(*look, points=_points(part, details)) for look, part in parts if len(part)]


def _winner_and_baseline(judgement: "Judgement", details: dict[str, str]) -> list[Series]:
    import pandas as pd

    pairs = ((_WINNER, judgement.winner), (_BASELINE, judgement.baseline))
    return [Series(*look, points=_points(pd.DataFrame([vars(one)]), details)) for look, one in pairs if one.seeds]


def _model_series(
    models: "pd.DataFrame", look: tuple[str, str, str], above: bool, details: dict[str, str]
) -> list[Series]:
    """Measured models on a solid line, and extrapolated ones on a dashed line that goes on from the last of them."""
    known = models[models["val_accuracy"].notna()].sort_values("multiply_adds", kind="stable")
    measured = known[known["source"] == "measured"]
    rest = known[known["source"] != "measured"]
    further = known.loc[[*measured.index[-1:], *rest.index]].sort_values("multiply_adds", kind="stable")
    kind, label, marker = look
    beyond = Series(
        f"{kind}-extrapolated",
        f"{kind}: extrapolated, not trained",
        marker,
        hollow=True,
        # Their intervals are the shade.
        points=_points(rest.assign(low=np.nan, high=np.nan), details),
        lines=(Line(_corners(further), "dashed"),),
        band=tuple(
            (float(x), 100 * float(low), 100 * float(high))
            for x, low, high in further[["multiply_adds", "low", "high"]].dropna().to_numpy()
        ),
        names_above=above,
    )
    here = Series(
        kind,
        label,
        marker,
        points=_points(measured, details),
        lines=(Line(_corners(measured)),) if len(measured) > 1 else (),
        names_above=above,
    )
    return [*([beyond] if beyond.points else []), *([here] if here.points else [])]


def _sweep_series(findings: Findings, details: dict[str, str]) -> list[Series]:
    """Each way of scaling by itself, on a line that begins at the baseline."""
    if findings.sweep is None:
        return []
    known = findings.sweep[findings.sweep["val_accuracy"].notna()]
    first = known[known["scaling"] == "baseline"]
    series = []
    for kind, marker in _SCALINGS.items():
        own = known[known["scaling"] == kind].sort_values("multiply_adds", kind="stable")
        walk = _corners(first) + _corners(own)
        lines = (Line(walk),) if kind != "baseline" and len(walk) > 1 else ()
        series.append(Series(kind, kind, marker, points=_points(own, details), lines=lines))
    return [one for one in series if one.points]


_SCALINGS = {
    "network": "circle",
    "depth": "circle",
    "width": "triangle",
    "resolution": "square",
    "compound": "star",
    "baseline": "diamond",
}
"""The marker of each way of scaling alone."""


def _frontier(measured: "pd.DataFrame") -> Series:
    best = measured[measured["on_frontier"]]
    # A budget between two networks affords the smaller one: steps, not slopes.
    return Series("frontier", "frontier of what was measured", lines=_stairs(_corners(best)))


def _corners(networks: "pd.DataFrame") -> tuple[tuple[float, float], ...]:
    return tuple(
        (float(x), 100 * float(y)) for x, y in zip(networks["multiply_adds"], networks["val_accuracy"], strict=True)
    )


def _points(networks: "pd.DataFrame", details: dict[str, str]) -> tuple[Point, ...]:
    return tuple(
        Point(
            x=float(row["multiply_adds"]),
            y=100 * float(row["val_accuracy"]),
            low=100 * float(row["low"]),
            high=100 * float(row["high"]),
            network=str(row["fingerprint"]),
            details=details[str(row["fingerprint"])],
            name=str(row.get("model", "")),
        )
        for row in networks.to_dict("records")
    )


def _curves(findings: Findings) -> list[Plot]:
    """Means over seeds, epoch by epoch: what training minimises, and the accuracy where it was looked at."""
    trials = findings.run.trials
    judged = trials[trials["val_accuracy"].notna()].set_index("key")[["fingerprint"]]
    epochs = findings.run.curves.join(judged, on="key", how="inner")
    looks = _looks(findings)
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
        series = [
            _curve(findings, known[known["fingerprint"] == name], column, format, looks[name])
            for name in sorted(set(known["fingerprint"]), key=lambda name: (_LAYERS.index(looks[name]), name))
        ]
        plots.append(
            Plot(
                f"curves-{column.replace('_', '-')}",
                title,
                "One line a network." if column == "train_loss" else "One line a network, where it was looked at.",
                "epoch",
                label,
                tuple(series),
                whole_x=True,
            )
        )
    return plots


_LAYERS = [_GIVEN, _TRIED, _GRID, _TIED, _PUBLISHED, _FOUND, _BASELINE, _WINNER, _FINALIST]
"""From the back to the front."""


def _looks(findings: Findings) -> dict[str, tuple[str, str, str]]:
    """How the curve of each measured network looks."""
    usual = _TRIED if findings.run.is_search else _GRID if findings.sweep is None else _GIVEN
    looks = dict.fromkeys(findings.measured["fingerprint"], usual)
    models = findings.run.models
    looks |= dict.fromkeys(findings.run.finalists, _FINALIST)
    for look in (_PUBLISHED, _FOUND):
        looks |= dict.fromkeys(models["fingerprint"][models["coefficients"] == look[0]], look)
    if findings.judgement is not None:
        judgement = findings.judgement
        looks |= dict.fromkeys(judgement.ties, _TIED)
        looks |= {judgement.baseline.fingerprint: _BASELINE, judgement.winner.fingerprint: _WINNER}
    return looks


def _curve(
    findings: Findings,
    epochs: "pd.DataFrame",
    column: str,
    format: Callable[[float], str],
    look: tuple[str, str, str],
) -> Series:
    rows: list[Any] = epochs.to_dict("records")
    every = np.unique(np.linspace(0, len(rows) - 1, CURVE_POINTS).round().astype(int)).tolist()
    said = "training loss" if column == "train_loss" else "top-1"
    points = tuple(
        Point(
            x=float(row["epoch"]),
            y=float(row[column]),
            network=row["fingerprint"],
            details=f"{findings.names[row['fingerprint']]}\nepoch {row['epoch']}: {said} {format(row[column])}",
        )
        for row in (rows[index] for index in every)
    )
    line = Line(tuple((float(row["epoch"]), float(row[column])) for row in rows))
    return Series(*look, points=points, lines=(line,) if len(rows) > 1 else (), network=rows[0]["fingerprint"])


def _round_count(value: float) -> str:
    return short(value).replace(".00", "").replace(".0", "")
