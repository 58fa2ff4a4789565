"""Accuracy against multiply-adds of a run, with the frontier."""

from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling_search.analysis.figures.layers import FRONTIER, Layer, accuracy_layers
from scaling_search.analysis.figures.style import (
    ACCURACY,
    BLACK,
    BLUE,
    DARK_GREY,
    GREEN,
    GREY,
    LIGHT_GREY,
    PURPLE,
    VERMILLION,
    YELLOW,
    Name,
    drawing,
    lay_out_once,
    log_size,
    place_names,
    plain_axes,
    whiskers,
    within_percent,
)
from scaling_search.analysis.frames import family_of
from scaling_search.analysis.text.step1 import named
from scaling_search.analysis.text.words import rule_in_words
from scaling_search.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from scaling_search.analysis.findings.facts import Facts


@dataclass(frozen=True)
class _Look:
    """How a layer is drawn, and on which side of its markers names stand."""

    colour: str
    marker: str
    size: float
    depth: float
    edge: str | None = None
    side: int = 1


_LOOKS = {
    "grid": _Look(LIGHT_GREY, "s", 4, 2),
    "tied": _Look(GREY, "s", 4, 3),
    "other": _Look(LIGHT_GREY, "o", 4, 2),
    "tried": _Look(DARK_GREY, "s", 4, 3),
    "finalist": _Look(YELLOW, "*", 13, 5, BLACK),
    "published": _Look(VERMILLION, "^", 6.5, 5, side=-1),
    "found": _Look(BLUE, "o", 6.5, 5),
    "winner": _Look(YELLOW, "*", 15, 7, BLACK),
    "baseline": _Look(BLACK, "D", 7, 8),
    "network": _Look(BLUE, "o", 6, 5),
    "given": _Look(DARK_GREY, "o", 6, 5),
    "depth": _Look(BLUE, "o", 6, 5),
    "width": _Look(VERMILLION, "^", 6, 5),
    "resolution": _Look(GREEN, "s", 5.5, 5),
    "compound": _Look(PURPLE, "*", 11, 6),
    "frontier": _Look(BLACK, "", 0, 3),
}
_LEGEND = ("baseline", "winner", "grid", "tied", "found", "found-extrapolated", "published", "published-extrapolated")


def accuracy_against_multiply_adds(findings: "Facts") -> "Figure":
    """Top-1 accuracy on the validation split against multiply-adds: all networks of a run and their frontier.

    Measured networks are filled markers with bars, their intervals over seeds; extrapolated ones are hollow on a
    dashed line, in a shade that is their interval.

    Raises:
        UserError: no training has finished.

    """
    layers = accuracy_layers(findings)
    if not layers:
        path = findings.run.path
        raise UserError(f"{path} has no finished training to draw", hint=f"try scaling-search resume {path}")
    with drawing(8.4, 5.6) as figure:
        axes = figure.add_subplot()
        for layer in layers:
            _draw(axes, layer)
        _finish(axes, findings, layers)
        lay_out_once(figure)
        _name_models(axes, layers)
    return figure


def _look(layer: Layer) -> _Look:
    return _LOOKS[layer.kind.removesuffix("-extrapolated")]


def _draw(axes: "Axes", layer: Layer) -> None:
    look = _look(layer)
    style: Any = {"color": look.colour, "linewidth": 1.2, "zorder": 4}
    if layer.kind == "frontier":
        style |= {"linewidth": 0.9, "linestyle": ":", "label": layer.label, "zorder": look.depth}
    elif layer.extrapolated:
        style["linestyle"] = (0, (4, 2))
    if layer.line:
        x, y = zip(*layer.line, strict=True)
        axes.plot(x, [100 * value for value in y], **style)
    if layer.band:
        x, low, high = np.transpose(layer.band)
        axes.fill_between(x, 100 * low, 100 * high, color=look.colour, alpha=0.14, linewidth=0, zorder=1)
    networks = layer.networks
    if networks.empty:
        return
    axes.errorbar(
        networks["multiply_adds"],
        100 * networks["val_accuracy"],
        yerr=whiskers(networks["val_accuracy"], networks["low"], networks["high"]),
        fmt=look.marker,
        color="white" if layer.extrapolated else look.colour,
        ecolor=look.edge or look.colour,
        markersize=look.size,
        markeredgecolor=look.colour if layer.extrapolated else look.edge or look.colour,
        markeredgewidth=1.2 if layer.extrapolated else 0.9 if look.edge else 0,
        elinewidth=0.9,
        label=layer.label,
        zorder=look.depth,
    )


def _finish(axes: "Axes", findings: "Facts", layers: list[Layer]) -> None:
    log_size(axes)
    axes.margins(x=0.07, y=0.1)
    within_percent(axes)
    axes.set_xlabel("multiply-adds for one image (log scale)")
    axes.set_ylabel(ACCURACY)
    plain_axes(axes)
    config = findings.run.manifest["config"]
    title = fill(f"Accuracy against multiply-adds: {family_of(findings.run)} on {config['data']}", 80)
    caption = fill(_caption(findings, layers), 130)
    style: Any = {"fontsize": 8, "color": DARK_GREY, "linespacing": 1.4, "va": "bottom"}
    axes.text(0, 1.015, caption, transform=axes.transAxes, **style)
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", pad=10 + 12 * len(caption.splitlines()))
    drawn = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    order = {kind: index for index, kind in enumerate(_LEGEND)}
    shown = sorted(layers, key=lambda layer: order.get(layer.kind, len(order)))
    labels = [layer.label for layer in shown if layer.label in drawn]
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.legend(
        [drawn[label] for label in labels], labels, loc="outside lower center", ncols=3, fontsize=8, frameon=False
    )


def _caption(findings: "Facts", layers: list[Layer]) -> str:
    config, judgement = findings.run.manifest["config"], findings.judgement
    first = f"{config['seeds']} seeds from {config['seed']}, {config['recipe']['epochs']} epochs."
    if judgement is not None:
        first += f" {named(judgement).capitalize()} of STEP 1: {rule_in_words(vars(judgement.winner))}"
        if len(judgement.ties) > 1 and not judgement.by_region:
            first += f", the cheapest of {len(judgement.ties)} networks tied at {100 * judgement.confidence:g} %"
        first += "."
    bars = f"Bars are {100 * (judgement.confidence if judgement else 0.95):g} % intervals over seeds"
    if any(layer.extrapolated for layer in layers):
        return f"{first} {bars}, shades the intervals of extrapolated networks."
    return f"{first} {bars}."


def _name_models(axes: "Axes", layers: list[Layer]) -> None:
    """Writes B0..B7 beside their markers; one that both sets of coefficients round to has one name."""
    names: dict[tuple[str, str], Name] = {}
    for layer in reversed(layers):
        look = _look(layer)
        for row in layer.networks[layer.networks["model"] != ""].to_dict("records"):
            name = Name(row["model"], row["multiply_adds"], 100 * row["val_accuracy"], look.colour, look.side)
            names.setdefault((row["model"], row["fingerprint"]), name)
    place_names(axes, list(names.values()), through=(FRONTIER,))
