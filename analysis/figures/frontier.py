"""Accuracy against multiply-adds of a run, with the frontier."""

from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any

from scaling_search.analysis.figures.style import (
    ACCURACY,
    BLACK,
    BLUE,
    DARK_GREY,
    GREY,
    LIGHT_GREY,
    VERMILLION,
    YELLOW,
    Name,
    bars,
    drawing,
    lay_out_once,
    log_size,
    place_names,
    plain_axes,
    whiskers,
    within_percent,
)
from scaling_search.analysis.findings.frontier import frontier_frame
from scaling_search.analysis.text.tables import rule_in_words

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from scaling_search.analysis.findings.step1 import Judgement
    from scaling_search.analysis.frames import Run

_FRONTIER = "frontier of what was measured"


@dataclass(frozen=True)
class _Curve:
    """How the models of one set of coefficients look, and on which side of them their names stand."""

    coefficients: str
    colour: str
    marker: str
    side: int


_CURVES = (_Curve("found", BLUE, "o", 1), _Curve("published", VERMILLION, "^", -1))


def accuracy_against_multiply_adds(run: "Run", judgement: "Judgement | None", step2: "pd.DataFrame | None") -> "Figure":
    """Top-1 accuracy on the validation split against multiply-adds: STEP 1's networks, B0..B7 and the frontier.

    `judgement` and `step2` are what `judge` and `step2_table` made of the run, or None where it has not come so far.
    Measured networks are filled markers with bars, their intervals over seeds; extrapolated ones are hollow on a
    dashed line, in a shade that is their interval. No global state of matplotlib is touched.
    """
    with drawing(8.4, 5.6) as figure:
        axes = figure.add_subplot()
        if judgement is not None:
            _draw_step1(axes, judgement)
        if step2 is not None:
            for curve in _CURVES:
                _draw_curve(axes, step2[step2["coefficients"] == curve.coefficients], curve)
        measured = frontier_frame(run)
        if judgement is None and step2 is None:
            finalist = measured["fingerprint"].isin(run.finalists)
            one_by_one = "tried from one seed" if run.is_search else "networks as they are"
            bars(axes, measured[~finalist], DARK_GREY, "s", one_by_one, size=4.0, layer=3)
            bars(axes, measured[finalist], BLACK, "*", "finalists, from all seeds", size=11.0, layer=4)
        _draw_frontier(axes, measured)
        _finish(axes, run, _caption(run, judgement, step2))
        lay_out_once(figure)
        if step2 is not None:
            _name_models(axes, step2)
    return figure


def _draw_step1(axes: "Axes", judgement: "Judgement") -> None:
    networks = judgement.table.drop_duplicates("fingerprint")
    networks = networks[networks["val_accuracy"].notna()]
    tied = networks["tie"] & (len(judgement.ties) > 1)
    bars(axes, networks[~tied], LIGHT_GREY, "s", "grid of STEP 1", size=4.0, layer=2)
    bars(axes, networks[tied], GREY, "s", "tied with the best of the grid", size=4.0, layer=3)
    winner, baseline = judgement.winner, judgement.baseline
    axes.plot(
        [winner.multiply_adds],
        [100 * winner.val_accuracy],
        "*",
        markersize=15,
        color=YELLOW,
        markeredgecolor=BLACK,
        markeredgewidth=0.9,
        label="winner of STEP 1",
        zorder=7,
    )
    if baseline.seeds:
        axes.errorbar(
            [baseline.multiply_adds],
            [100 * baseline.val_accuracy],
            yerr=whiskers([baseline.val_accuracy], [baseline.low], [baseline.high]),
            fmt="D",
            markersize=7,
            color=BLACK,
            elinewidth=1.0,
            label="baseline (phi = 0)",
            zorder=8,
        )


def _draw_curve(axes: "Axes", models: "pd.DataFrame", curve: _Curve) -> None:
    models = models[models["val_accuracy"].notna()].sort_values("multiply_adds", kind="stable")
    is_measured = models["source"] == "measured"
    measured, rest = models[is_measured], models[~is_measured]
    axes.plot(measured["multiply_adds"], 100 * measured["val_accuracy"], color=curve.colour, linewidth=1.2, zorder=4)
    bars(axes, measured, curve.colour, curve.marker, f"{curve.coefficients} coefficients", size=6.5, layer=5)
    if rest.empty:
        return
    from_last = models.loc[[*measured.index[-1:], *rest.index]].sort_values("multiply_adds", kind="stable")
    x, low, high = (from_last[column] for column in ("multiply_adds", "low", "high"))
    axes.fill_between(x, 100 * low, 100 * high, color=curve.colour, alpha=0.14, linewidth=0, zorder=1)
    dashed: Any = {"color": curve.colour, "linewidth": 1.2, "linestyle": (0, (4, 2))}
    axes.plot(x, 100 * from_last["val_accuracy"], **dashed, zorder=4)
    axes.plot(
        rest["multiply_adds"],
        100 * rest["val_accuracy"],
        curve.marker,
        color=curve.colour,
        markerfacecolor="white",
        markersize=6.5,
        markeredgewidth=1.2,
        label=f"{curve.coefficients}: extrapolated, not trained",
        zorder=5,
    )


def _draw_frontier(axes: "Axes", measured: "pd.DataFrame") -> None:
    best = measured[measured["on_frontier"]]
    if len(best) < 2:
        return
    axes.step(
        best["multiply_adds"],
        100 * best["val_accuracy"],
        where="post",
        color=BLACK,
        linewidth=0.9,
        linestyle=":",
        label=_FRONTIER,
        zorder=3,
    )


def _finish(axes: "Axes", run: "Run", caption: str) -> None:
    log_size(axes)
    axes.margins(x=0.07, y=0.1)
    within_percent(axes)
    axes.set_xlabel("multiply-adds for one image (log scale)")
    axes.set_ylabel(ACCURACY)
    plain_axes(axes)
    config = run.manifest["config"]
    title = fill(f"Accuracy against multiply-adds: {config['family']} on {config['data']}", 80)
    caption = fill(caption, 116)
    style: Any = {"fontsize": 8, "color": DARK_GREY, "linespacing": 1.4, "va": "bottom"}
    axes.text(0, 1.015, caption, transform=axes.transAxes, **style)
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", pad=10 + 12 * len(caption.splitlines()))
    drawn = sorted(zip(*axes.get_legend_handles_labels(), strict=True), key=lambda item: _order(item[1]))
    figure = axes.get_figure(root=True)
    if figure is not None and drawn:
        handles, labels = zip(*drawn, strict=True)
        figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8, frameon=False)


def _order(label: str) -> int:
    """Where a label stands in the legend."""
    starts = ("baseline", "winner", "grid", "tied", "found coefficients", "found:", "published coefficients")
    return next((index for index, start in enumerate(starts) if label.startswith(start)), len(starts))


def _caption(run: "Run", judgement: "Judgement | None", step2: "pd.DataFrame | None") -> str:
    config = run.manifest["config"]
    first = f"{config['seeds']} seeds from {config['seed']}, {config['recipe']['epochs']} epochs."
    if judgement is not None:
        first += f" Winner of STEP 1: {rule_in_words(vars(judgement.winner))}"
        if len(judgement.ties) > 1:
            tie = f"{len(judgement.ties)} networks at {100 * judgement.confidence:g} %"
            first += f", the cheapest in a tie of {tie}"
        first += "."
    bars = f"Bars are {100 * (judgement.confidence if judgement else 0.95):g} % intervals over seeds"
    shades = step2 is not None and bool((step2["source"] == "extrapolated").any())
    return f"{first} {bars}; shades are intervals of what is extrapolated." if shades else f"{first} {bars}."


def _name_models(axes: "Axes", step2: "pd.DataFrame") -> None:
    """Writes B0..B7 beside their markers; one that both sets of coefficients round to has one name."""
    curves = {curve.coefficients: curve for curve in _CURVES}
    drawn = step2[step2["val_accuracy"].notna()].drop_duplicates(["model", "fingerprint"])
    names = []
    for row in drawn.to_dict("records"):
        curve = curves[row["coefficients"]]
        names.append(Name(row["model"], row["multiply_adds"], 100 * row["val_accuracy"], curve.colour, curve.side))
    place_names(axes, names, through=(_FRONTIER,))
