"""Accuracy against multiply-adds, drawn as in the paper's Figure 3: frames in, a matplotlib Figure out."""

import io
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.run_outputs import frontier_frame
from analysis.tables import rule_in_words, short

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analysis.comparison import Judgement
    from analysis.frames import Run

# The palette of Okabe and Ito, told apart by colour-blind eyes. Markers differ too, for print in grey.
_FOUND, _PUBLISHED = "#0072b2", "#d55e00"
_BLACK, _TIED, _GRID, _YELLOW = "#000000", "#6b6b6b", "#b8b8b8", "#f0e442"

# Nothing of a user's own matplotlib settings enters, and the same figure gives the same bytes.
_SETTINGS: Any = {"font.family": "DejaVu Sans", "svg.fonttype": "path", "svg.hashsalt": "figure", "pdf.fonttype": 42}
_NO_DATES: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
}


@dataclass(frozen=True)
class _Curve:
    """How the models of one set of coefficients look, and on which side of them their names stand."""

    coefficients: str
    colour: str
    marker: str
    side: int


_CURVES = (_Curve("found", _FOUND, "o", 1), _Curve("published", _PUBLISHED, "^", -1))


def accuracy_against_multiply_adds(run: "Run", judgement: "Judgement | None", step2: "pd.DataFrame | None") -> "Figure":
    """Top-1 accuracy on the validation split against multiply-adds: STEP 1's networks, B0..B7 and the frontier.

    `judgement` and `step2` are what `judge` and `step2_table` made of the run, or None where it has not come so far.
    Measured networks are filled markers with bars, their intervals over seeds; extrapolated ones are hollow on a
    dashed line, in a shade that is their interval. No global state of matplotlib is touched.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(8.4, 5.6), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        if judgement is not None:
            _draw_step1(axes, judgement)
        if step2 is not None:
            for curve in _CURVES:
                _draw_curve(axes, step2[step2["coefficients"] == curve.coefficients], curve)
        measured = frontier_frame(run)
        if judgement is None and step2 is None:
            _bars(axes, measured, _TIED, "s", "networks as they are", size=4.0, layer=3)
        _draw_frontier(axes, measured)
        _finish(axes, run, _caption(run, judgement, step2))
        figure.draw_without_rendering()
        # Laid out once: each further layout would move things a little, and names away from their places.
        figure.set_layout_engine("none")
        if step2 is not None:
            _name_models(axes, step2)
    return figure


def render(figure: "Figure", format: str) -> bytes:
    """The figure as a PNG, SVG or PDF file, fonts embedded. The same figure gives the same bytes."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context(_SETTINGS):
        figure.savefig(buffer, format=format, dpi=200, metadata=_NO_DATES.get(format))
    return buffer.getvalue()


def _draw_step1(axes: "Axes", judgement: "Judgement") -> None:
    networks = judgement.table.drop_duplicates("fingerprint")
    networks = networks[networks["val_accuracy"].notna()]
    tied = networks["tie"] & (len(judgement.ties) > 1)
    _bars(axes, networks[~tied], _GRID, "s", "grid of STEP 1", size=4.0, layer=2)
    _bars(axes, networks[tied], _TIED, "s", "of these, tied with the best", size=4.0, layer=3)
    winner, baseline = judgement.winner, judgement.baseline
    axes.plot(
        [winner.multiply_adds],
        [100 * winner.val_accuracy],
        "*",
        markersize=15,
        color=_YELLOW,
        markeredgecolor=_BLACK,
        markeredgewidth=0.9,
        label="winner of STEP 1",
        zorder=7,
    )
    if baseline.seeds:
        axes.errorbar(
            [baseline.multiply_adds],
            [100 * baseline.val_accuracy],
            yerr=_whiskers([baseline.val_accuracy], [baseline.low], [baseline.high]),
            fmt="D",
            markersize=7,
            color=_BLACK,
            elinewidth=1.0,
            label="baseline (phi = 0)",
            zorder=8,
        )


def _draw_curve(axes: "Axes", models: "pd.DataFrame", curve: _Curve) -> None:
    models = models[models["val_accuracy"].notna()].sort_values("multiply_adds", kind="stable")
    is_measured = models["source"] == "measured"
    measured, rest = models[is_measured], models[~is_measured]
    axes.plot(measured["multiply_adds"], 100 * measured["val_accuracy"], color=curve.colour, linewidth=1.2, zorder=4)
    _bars(axes, measured, curve.colour, curve.marker, f"{curve.coefficients} coefficients", size=6.5, layer=5)
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
    axes.step(
        best["multiply_adds"],
        100 * best["val_accuracy"],
        where="post",
        color=_BLACK,
        linewidth=0.9,
        linestyle=":",
        label="frontier of what was measured",
        zorder=3,
    )


def _bars(
    axes: "Axes", networks: "pd.DataFrame", colour: str, marker: str, label: str, *, size: float, layer: float
) -> None:
    """Markers with their intervals; no bar where there is no interval."""
    if networks.empty:
        return
    axes.errorbar(
        networks["multiply_adds"],
        100 * networks["val_accuracy"],
        yerr=_whiskers(networks["val_accuracy"], networks["low"], networks["high"]),
        fmt=marker,
        color=colour,
        markersize=size,
        markeredgewidth=0,
        elinewidth=0.9,
        label=label,
        zorder=layer,
    )


def _whiskers(mean: Any, low: Any, high: Any) -> Any:
    centre = np.asarray(mean)
    return 100 * np.nan_to_num(np.stack([centre - np.asarray(low), np.asarray(high) - centre])).clip(0)


def _finish(axes: "Axes", run: "Run", caption: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.margins(x=0.07, y=0.1)
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, 0.0), min(high, 100.0))
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value).replace(".00", "").replace(".0", "")))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("multiply-adds for one image (log scale)")
    axes.set_ylabel("top-1 accuracy on the validation split, %")
    axes.grid(True, color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    config = run.manifest["config"]
    title = fill(f"Accuracy against multiply-adds: {config['family']} on {config['data']}", 80)
    caption = fill(caption, 116)
    style: Any = {"fontsize": 8, "color": "#333333", "linespacing": 1.4, "va": "bottom"}
    axes.text(0, 1.015, caption, transform=axes.transAxes, **style)
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", pad=10 + 12 * len(caption.splitlines()))
    drawn = sorted(zip(*axes.get_legend_handles_labels(), strict=True), key=lambda item: _order(item[1]))
    figure = axes.get_figure(root=True)
    if figure is not None and drawn:
        handles, labels = zip(*drawn, strict=True)
        figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8, frameon=False)


def _order(label: str) -> int:
    """Where a label stands in the legend."""
    starts = ("baseline", "winner", "grid", "of these", "found coefficients", "found:", "published coefficients")
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
    """Writes B0..B7 beside their markers, each where it covers neither a marker nor another name."""
    from matplotlib.collections import LineCollection
    from matplotlib.patheffects import withStroke

    drawn = step2[step2["val_accuracy"].notna()]
    points = axes.transData.transform(np.c_[drawn["multiply_adds"], 100 * drawn["val_accuracy"]])
    pixels = axes.get_figure(root=True).dpi / 72  # type: ignore[union-attr]
    obstacles = [(x, y, 5 * pixels, 5 * pixels) for x, y in points]
    # What else is drawn, lines and bars, as a row of dots.
    for line in axes.get_lines():
        if line.get_label() != "frontier of what was measured":
            obstacles += [(x, y, pixels, pixels) for x, y in _dots(axes.transData.transform(line.get_xydata()))]
    for bars in axes.collections:
        if isinstance(bars, LineCollection):
            for bar in bars.get_segments():
                obstacles += [(x, y, pixels, pixels) for x, y in _dots(axes.transData.transform(bar))]
    curves = {curve.coefficients: curve for curve in _CURVES}
    named = set()
    for (x, y), (_, model) in zip(points, drawn.iterrows(), strict=True):
        if (model["model"], model["fingerprint"]) in named:
            continue
        named.add((model["model"], model["fingerprint"]))
        curve = curves[model["coefficients"]]
        places = {
            (dx, curve.side * dy): (x + dx * pixels, y + curve.side * dy * pixels, 7 * pixels, 4.5 * pixels)
            for dx, dy in _PLACES
        }
        offset = min(places, key=lambda where: sum(_overlap(places[where], other) for other in obstacles))
        obstacles.append(places[offset])
        axes.annotate(
            model["model"],
            (model["multiply_adds"], 100 * model["val_accuracy"]),
            xytext=offset,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=8,
            color=curve.colour,
            path_effects=[withStroke(linewidth=2, foreground="white")],
            zorder=9,
        )


_PLACES = ((0, 11), (-11, 9), (11, 9), (-15, 0), (15, 0), (0, -11), (-11, -9), (11, -9), (0, 20), (0, -20))
"""Where a name may stand, in points from its marker; the first is best."""


def _dots(corners: Any) -> Any:
    """Points along the line through `corners`."""
    ends = np.asarray(corners)
    share = np.linspace(0, 1, 20)[:, None, None]
    return (ends[:-1] + share * (ends[1:] - ends[:-1])).reshape(-1, 2)


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Area that two boxes, each (centre x, centre y, half width, half height), share."""
    shared = [one[i + 2] + other[i + 2] - abs(one[i] - other[i]) for i in (0, 1)]
    return max(shared[0], 0.0) * max(shared[1], 0.0)
