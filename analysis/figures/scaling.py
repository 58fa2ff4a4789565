"""Networks scaled in one dimension, in width under other depths and resolutions, and in all: Figures 3, 4 and 8."""

from typing import TYPE_CHECKING, Any

from scaling_search.analysis.figures.style import (
    ACCURACY,
    DARK_GREY,
    GREY,
    SERIES,
    VERMILLION,
    Name,
    drawing,
    lay_out_once,
    log_size,
    place_names,
    plain_axes,
    whiskers,
)
from scaling_search.analysis.statistics.scales import DIMENSIONS, NEEDED, alone, compounds, measured
from scaling_search.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LETTERS = {"width": "w", "depth": "d", "resolution": "r"}
_COST = "multiply-adds for one image (log scale)"


def single_dimension_scaling(trials: "pd.DataFrame", accuracy: str = ACCURACY) -> "Figure":
    """Figure 3: a baseline scaled by width, by depth and by resolution alone, a panel each.

    `trials` has `depth`, `width`, `resolution` (factors; rows without them are no matter), `multiply_adds` and
    `val_accuracy` (0..1), and may have several seeds of a network: its mean is drawn then, with its interval.
    `accuracy` labels the y-axis. Raises UserError where no network differs from the baseline in one dimension alone.
    """
    networks = _networks(trials)
    curves = {dimension: _alone(networks, dimension) for dimension in _LETTERS}
    if all(curve is None for curve in curves.values()):
        raise UserError(
            "no network here differs from the baseline in one dimension alone",
            "Figure 3 needs the baseline (d = w = r = 1), and networks with one of depth, width, resolution scaled",
            f"train them by {_sweep_of(trials)}",
        )
    with drawing(7.0, 2.9) as figure:
        panels = figure.subplots(1, 3, sharey=True)
        for panel, (dimension, curve), style in zip(panels, curves.items(), SERIES, strict=False):
            panel.set_title(f"{dimension} alone", fontsize=10)
            if curve is None:
                panel.text(0.5, 0.5, "no networks", transform=panel.transAxes, ha="center", color=GREY, fontsize=9)
            else:
                _draw(panel, curve, style)
                _finish(panel, narrow=True)
        panels[0].set_ylabel(accuracy, fontsize=8)
        figure.supxlabel(_COST, fontsize=8)
        lay_out_once(figure)
        for panel, (dimension, curve) in zip(panels, curves.items(), strict=True):
            if curve is not None:
                place_names(panel, _factors(curve, dimension), size=7)
    return figure


def width_scaling(trials: "pd.DataFrame", accuracy: str = ACCURACY) -> "Figure":
    """Figure 4: width scaled under other depths and resolutions. Every pair of these with three widths is a curve.

    Arguments as of `single_dimension_scaling`. Raises UserError where there are not two curves.
    """
    networks = _networks(trials)
    curves = {
        pair: rows.sort_values("width")
        for pair, rows in networks.groupby(["depth", "resolution"])
        if rows["width"].nunique() >= 3
    }
    if len(curves) < 2:
        raise UserError(
            f"{len(curves)} pairs of depth and resolution here have three widths",
            "Figure 4 needs networks of three widths or more at the same depth and resolution, for two such pairs",
            f"train each by scaling-search train {_family_of(trials)}--data DATA --depth 2 --width 1.5 --name w1.5-d2, "
            'and plot "runs/w*"',
        )
    with drawing(5.2, 3.9) as figure:
        axes = figure.add_subplot()
        for index, ((depth, resolution), curve) in enumerate(curves.items()):
            label = f"d = {depth:.3g}, r = {resolution:.3g}"
            _draw(axes, curve, SERIES[index % len(SERIES)], label)
        _finish(axes)
        low, high = networks["width"].min(), networks["width"].max()
        axes.set_title(f"width from w = {low:.3g} to {high:.3g} along each line", fontsize=10)
        axes.set_ylabel(accuracy, fontsize=9)
        axes.set_xlabel(_COST, fontsize=9)
        axes.legend(fontsize=8, frameon=False, loc="best", handlelength=3.2)
    return figure


def compound_scaling(trials: "pd.DataFrame", accuracy: str = ACCURACY) -> "Figure":
    """Figure 8: the baseline scaled by one dimension alone, beside networks scaled in all three.

    Arguments as of `single_dimension_scaling`. Of the networks with d, w and r above 1 every one is a marker, and the
    line joins their frontier. Raises UserError where either kind is missing.
    """
    networks = _networks(trials)
    curves = {dimension: _alone(networks, dimension) for dimension in _LETTERS}
    compound = compounds(networks)
    missing = [] if len(compound) else ["networks with depth, width and resolution all scaled"]
    if all(curve is None for curve in curves.values()):
        missing.insert(0, "the baseline and networks with one of depth, width, resolution scaled")
    if missing:
        raise UserError(
            f"Figure 8 lacks {' and '.join(missing)}",
            "it compares the two",
            f"train them by {_sweep_of(trials)} --compound",
        )
    with drawing(5.2, 3.9) as figure:
        axes = figure.add_subplot()
        styles = [style for style in SERIES if style[0] != VERMILLION]
        for (dimension, curve), style in zip(curves.items(), styles, strict=False):
            if curve is not None:
                _draw(axes, curve, style, f"{dimension} alone")
        _draw_compound(axes, networks, compound)
        _finish(axes)
        axes.set_ylabel(accuracy, fontsize=9)
        axes.set_xlabel(_COST, fontsize=9)
        axes.legend(fontsize=8, frameon=False, loc="best", handlelength=3.2)
    return figure


def _sweep_of(trials: "pd.DataFrame") -> str:
    """The command that trains what figures 3 and 8 need."""
    factors = "--depths 2 4 --widths 1.5 2 --resolutions 1.5 2"
    return f"scaling-search sweep {_family_of(trials)}--data DATA {factors}"


def _family_of(trials: "pd.DataFrame") -> str:
    """The option that names the family, where all of `trials` have the same."""
    families = set(trials["network"]) if "network" in trials else set()
    return f"--family {families.pop()} " if len(families) == 1 else ""


def _networks(trials: "pd.DataFrame") -> "pd.DataFrame":
    """One row a network that has an accuracy and factors, with `low` and `high`: NaN where nothing tells them."""
    from scaling_search.analysis.statistics.means import run_means

    rows = measured(trials)
    if "seed" not in rows.columns:
        return rows.assign(low=float("nan"), high=float("nan"))
    # A trial that several runs share counts once.
    rows = rows.drop_duplicates("key")
    networks = rows.drop_duplicates("fingerprint").set_index("fingerprint")[list(NEEDED[:-1])]
    return networks if networks.empty else networks.join(run_means(rows), how="inner")


def _alone(networks: "pd.DataFrame", dimension: str) -> "pd.DataFrame | None":
    """The baseline and the networks that differ from it in `dimension` alone; None where there are none."""
    curve = alone(networks, dimension)
    return curve if curve[dimension].nunique() > 1 else None


def _draw(axes: "Axes", curve: "pd.DataFrame", style: tuple[str, str, Any], label: str | None = None) -> None:
    colour, marker, line = style
    axes.errorbar(
        curve["multiply_adds"],
        100 * curve["val_accuracy"],
        yerr=whiskers(curve["val_accuracy"], curve["low"], curve["high"]),
        color=colour,
        marker=marker,
        linestyle=line,
        markersize=4.5,
        linewidth=1.3,
        elinewidth=0.8,
        label=label,
    )


def _draw_compound(axes: "Axes", networks: "pd.DataFrame", compound: "pd.DataFrame") -> None:
    import pandas as pd

    from scaling_search.analysis.statistics.pareto import frontier

    baseline = networks[((networks[list(DIMENSIONS)] - 1).abs() < 1e-9).all(axis=1)]
    best = frontier(pd.concat([baseline, compound]))
    all_joined = len(best) == len(baseline) + len(compound)
    axes.plot(
        best["multiply_adds"],
        100 * best["val_accuracy"],
        color=VERMILLION,
        linewidth=2.0,
        marker="*",
        markersize=9,
        label="all three" if all_joined else "all three, their frontier",
        zorder=4,
    )
    axes.errorbar(
        compound["multiply_adds"],
        100 * compound["val_accuracy"],
        yerr=whiskers(compound["val_accuracy"], compound["low"], compound["high"]),
        fmt="*",
        color=VERMILLION,
        markersize=6,
        elinewidth=0.8,
        zorder=5,
    )


def _factors(curve: "pd.DataFrame", dimension: str) -> list[Name]:
    """The factor of each network, to stand beside its marker."""
    return [
        Name(f"{_LETTERS[dimension]}={factor:.3g}", x, 100 * y, DARK_GREY)
        for factor, x, y in zip(curve[dimension], curve["multiply_adds"], curve["val_accuracy"], strict=True)
    ]


def _finish(axes: "Axes", *, narrow: bool = False) -> None:
    log_size(axes, most=3 if narrow else 8)
    axes.margins(x=0.23 if narrow else 0.06, y=0.14)
    axes.tick_params(labelsize=8)
    plain_axes(axes)
