"""The grid of STEP 1 as a picture."""

from typing import TYPE_CHECKING, Any

import numpy as np

from scaling_search.analysis.figures.style import ACCURACY, BLACK, DARK_GREY, GREY, YELLOW, drawing, plain_axes
from scaling_search.analysis.text.step1 import named
from scaling_search.analysis.text.words import rule_in_words
from scaling_search.rule import PAPER_RULE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from scaling_search.analysis.findings.step1 import Judgement
    from scaling_search.analysis.statistics.surface import Surface


def step1_grid(judgement: "Judgement") -> "Figure":
    """Every point of the grid where its beta and gamma are, in the shade of its accuracy; diagonals are equal alphas.

    The constraint leaves two free dimensions. Points meet it more or less well, so each is moved onto it along the
    line on which growth is shared alike; beta and gamma so differ a little from the point's own. Rings mark what is
    tied with the best and the star the winner, or the rule that stands for the region. Lines are heights of the
    quadratic surface, where there is one.
    """
    table = judgement.table
    growth = float(np.log(table["cost_factor"]).mean())
    x, y = (_moved(table[name], table["cost_factor"], growth) for name in ("beta", "gamma"))
    measured = table["val_accuracy"].notna().to_numpy()
    with drawing(5.6, 4.6) as figure:
        from matplotlib.ticker import FuncFormatter, MultipleLocator, NullLocator

        axes = figure.add_subplot()
        axes.set_xscale("log")
        axes.set_yscale("log")
        shades = axes.scatter(
            x[measured], y[measured], c=100 * table["val_accuracy"][measured], cmap="cividis", s=64, zorder=4
        )
        if not measured.all():
            axes.scatter(x[~measured], y[~measured], marker="x", color=GREY, s=30, zorder=4, label="not measured")
        tied = (table["tie"] & (len(judgement.ties) > 1)).to_numpy()
        ring: Any = {"facecolors": "none", "edgecolors": BLACK, "linewidths": 1.4}
        if tied.any():
            axes.scatter(x[tied], y[tied], s=120, **ring, zorder=5, label="tied with the best")
        leads = table["leads"].to_numpy()
        axes.scatter(
            x[leads],
            y[leads],
            marker="*",
            s=260,
            color=YELLOW,
            edgecolors=BLACK,
            linewidths=0.9,
            zorder=6,
            label=named(judgement),
        )
        where = (_moved(value, PAPER_RULE.cost_factor, growth) for value in (PAPER_RULE.beta, PAPER_RULE.gamma))
        axes.plot(
            *([value] for value in where),
            "P",
            color="white",
            markeredgecolor=BLACK,
            markersize=9,
            zorder=7,
            label="the paper's",
        )
        axes.margins(0.12)
        _draw_alphas(axes, growth, float(table["alpha"].max()))
        if judgement.surface is not None:
            largest = (float(table["alpha"].max()), x.max(), y.max())
            _draw_surface(axes, growth, judgement.surface, largest, np.column_stack([x, y]))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MultipleLocator(0.05))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2f}"))
            axis.set_minor_locator(NullLocator())
        plain_axes(axes)
        axes.grid(visible=False)
        axes.set_xlabel("beta (width)")
        axes.set_ylabel("gamma (resolution)")
        axes.set_title(
            f"{named(judgement)}: {rule_in_words(vars(judgement.winner))}",
            fontsize=9,
            loc="left",
            color=DARK_GREY,
            pad=16,
        )
        figure.colorbar(shades, ax=axes, pad=0.02).set_label(ACCURACY, fontsize=8)
        figure.legend(loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def _moved(coefficient: Any, cost_factor: Any, growth: float) -> Any:
    """A coefficient of the rule that shares growth alike and has a logarithm of the cost factor of `growth`."""
    return np.exp(np.log(np.asarray(coefficient)) * growth / np.log(np.asarray(cost_factor)))


def _draw_alphas(axes: "Axes", growth: float, largest: float) -> None:
    """Diagonals on which alpha is a tenth of a whole number, named at their upper ends."""
    left, right, bottom, top = *axes.get_xlim(), *axes.get_ylim()
    for alpha in np.arange(10, 10 * largest + 1) / 10:
        product = np.exp((growth - np.log(alpha)) / 2)
        # Where the line beta * gamma = product enters and leaves.
        begin, end = max(left, product / top), min(right, product / bottom)
        if begin < end:
            axes.plot([begin, end], [product / begin, product / end], color="#d0d0d0", linewidth=0.8, zorder=1)
            at_top = begin > left
            axes.annotate(
                f"alpha {alpha:.1f}",
                (begin, product / begin),
                xytext=(0, 3) if at_top else (4, 1),
                textcoords="offset points",
                ha="center" if at_top else "left",
                va="bottom",
                fontsize=7,
                color=GREY,
                annotation_clip=False,
            )
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def _draw_surface(
    axes: "Axes", growth: float, surface: "Surface", largest: tuple[float, float, float], points: Any
) -> None:
    """Heights of the surface in per cent, up to the largest alpha, beta and gamma; labels away from the `points`."""
    from matplotlib.patheffects import withStroke

    beta, gamma = np.meshgrid(np.geomspace(*axes.get_xlim(), 120), np.geomspace(*axes.get_ylim(), 120))
    alpha = np.exp(growth) / (beta * gamma) ** 2
    pairs = zip((alpha, beta, gamma), largest, strict=True)
    inside = np.all([(part >= 1) & (part <= most) for part, most in pairs], axis=0)
    shares = np.log(np.stack([alpha, beta**2, gamma**2], axis=-1)) / growth
    heights = np.ma.masked_where(~inside, 100 * surface.predict(shares))
    lines = axes.contour(beta, gamma, heights, levels=6, colors=DARK_GREY, linewidths=0.7, linestyles=":", zorder=2)
    corners = [np.asarray(path.vertices) for path in lines.get_paths()]
    labels = _clear_places(axes, [line for line in corners if len(line)], points)
    for label in axes.clabel(lines, fontsize=7, fmt="%.1f", manual=labels, zorder=3):
        label.set_path_effects([withStroke(linewidth=2, foreground="white")])


def _clear_places(axes: "Axes", lines: list[Any], points: Any) -> list[tuple[float, float]]:
    """For each line the place along its middle part that is furthest from the points and from the places before."""
    taken = axes.transData.transform(points)
    places = []
    for corners in lines:
        middle = corners[len(corners) // 8 : len(corners) - len(corners) // 8]
        seen = axes.transData.transform(middle)
        distances = np.linalg.norm(seen[:, None] - taken, axis=-1).min(1)
        best = int(distances.argmax())
        taken = np.vstack([taken, seen[best]])
        places.append((float(middle[best][0]), float(middle[best][1])))
    return places
