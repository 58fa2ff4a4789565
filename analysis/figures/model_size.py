"""Accuracy of published networks against their size: the paper's Figures 1 and 5."""

from itertools import cycle
from typing import TYPE_CHECKING, Any

from scaling_search.analysis.figures.style import (
    DARK_GREY,
    GREY,
    ORANGE,
    SERIES,
    VERMILLION,
    Name,
    drawing,
    lay_out_once,
    log_size,
    place_names,
    plain_axes,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_LABELS = {"parameters": "parameters (log scale)", "multiply_adds": "multiply-adds for one image (log scale)"}
_OURS = "efficientnet"


def accuracy_against_size(networks: "pd.DataFrame", x: str = "parameters") -> "Figure":
    """ImageNet top-1 accuracy against `x`, "parameters" (Figure 1) or "multiply_adds" (Figure 5).

    `networks` is `paper.table2()`, or a frame with its columns `model`, `family`, `val_accuracy` (0..1) and `x`. Every
    network is named; those of one family are joined, EfficientNets by a thick line. The paper's axes are linear and
    leave GPipe out; this one is logarithmic and has all. What lacks `x` is said below the title.
    """
    with drawing(7.0, 5.0) as figure:
        axes = figure.add_subplot()
        known = networks[networks[x].notna()].sort_values(x, kind="stable")
        named: dict[bool, list[Name]] = {True: [], False: []}
        styles = _styles(networks["family"])
        for family, models in known.groupby("family", sort=False):
            ours = family == _OURS
            colour, marker, line = styles[str(family)]
            y = 100 * models["val_accuracy"]
            axes.plot(
                models[x],
                y,
                color=colour,
                marker=marker,
                linestyle=line,
                linewidth=2.2 if ours else 1.0,
                markersize=6.5 if ours else 5,
                zorder=5 if ours else 4,
            )
            for model, size, accuracy in zip(models["model"], models[x], y, strict=True):
                text = model.removeprefix("EfficientNet-") if ours else model
                named[ours].append(Name(text, size, accuracy, *((colour, 1) if ours else (DARK_GREY, -1))))
        log_size(axes)
        axes.margins(x=0.09, y=0.07)
        plain_axes(axes)
        axes.set_xlabel(_LABELS[x])
        axes.set_ylabel("ImageNet top-1 accuracy, %")
        left_out = networks["model"][networks[x].isna()]
        caption = "Table 2 of the paper, as published. B0 to B7 are EfficientNets; a line joins networks of one family."
        if len(left_out):
            caption += f"\nThe table has no {x.replace('_', '-')} for {', '.join(left_out)}."
        axes.set_title(caption, loc="left", fontsize=8, color=GREY)
        lay_out_once(figure)
        place_names(axes, [*named[True], *named[False]], size=7.5)
    return figure


def _styles(families: "pd.Series[str]") -> dict[str, tuple[str, str, Any]]:
    """Colour, marker and line of each family: those with one network, which no line joins, are grey."""
    free = cycle(style for style in SERIES if style[0] not in (VERMILLION, ORANGE))
    styles: dict[str, tuple[str, str, Any]] = {_OURS: (VERMILLION, "o", "-")}
    for name, count in families[families != _OURS].value_counts(sort=False).items():
        styles[str(name)] = next(free) if count > 1 else (DARK_GREY, "o", "-")
    return styles
