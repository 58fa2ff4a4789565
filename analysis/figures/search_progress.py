"""What searches had found after so many trainings."""

from typing import TYPE_CHECKING, Any

from scaling_search.analysis.figures.style import BLACK, GREY, SERIES, drawing, plain_axes
from scaling_search.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def search_progress(searches: "pd.DataFrame") -> "Figure":
    """The best reward so far against networks trained: a line a strategy, the mean over its searches, and their spread.

    `searches` has one row for every network that a search trained: `strategy`, `seed` of the search, `networks` (1, 2,
    ...) and `reward`. The left side has all strategies' means, and the others each strategy's with its least and
    greatest search, against the mean of random search where there is one; one strategy alone has one side, and one
    search alone the reward of every network as well. Searches that went on for longer than others of their strategy are
    cut to the same length. Raises UserError without searches.
    """
    if searches.empty:
        raise UserError("no search here has trained a network", hint="go on by scaling-search resume RUN")
    curves = {}
    for strategy, rows in searches.groupby("strategy", sort=False):
        table = rows.pivot(index="networks", columns="seed", values="reward").cummax().dropna()
        curves[str(strategy)] = table
    dotted: Any = {"color": BLACK, "linewidth": 0.8, "linestyle": (0, (1, 1))}
    count = max(table.shape[1] for table in curves.values())
    low = min(table.to_numpy()[min(3, len(table) - 1) :].min() for table in curves.values())
    high = max(table.to_numpy().max() for table in curves.values())
    several = len(curves) > 1
    alone = count == 1 and not several
    if alone:
        low = min(low, searches["reward"].quantile(0.1))
    # Where no network was better than the first, both are one.
    margin = 0.05 * (high - low or abs(high) or 1)
    below, above = low - margin, high + margin
    with drawing(8.0 if several else 5.6, 4.4) as figure:
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch
        from matplotlib.ticker import MaxNLocator

        grid = figure.add_gridspec(2, 5)
        whole = figure.add_subplot(grid[:, :2] if several else grid[:, :])
        if alone:
            whole.plot(searches["networks"], searches["reward"], "o", color=GREY, markersize=4, label="each network")
        for index, (name, table) in enumerate(curves.items()):
            colour, marker, line = SERIES[index % len(SERIES)]
            mean = table.mean(axis=1)
            whole.plot(
                *(mean.index, mean),
                color=colour,
                linestyle=line,
                marker=marker,
                markersize=3.5,
                markevery=(index, len(curves)),
                linewidth=1.4,
                label=f"{name}, best so far" if alone else name,
            )
        label = "reward" if alone else "best reward so far"
        whole.set_ylabel(f"{label}, mean of {count} searches" if count > 1 else label, fontsize=9)
        shown = min(6, len(curves)) if several else 0
        panels = [figure.add_subplot(grid[index // 3, 2 + index % 3]) for index in range(shown)]
        for index, (panel, (name, table)) in enumerate(zip(panels, curves.items(), strict=False)):
            colour, _, line = SERIES[index % len(SERIES)]
            panel.fill_between(table.index, table.min(axis=1), table.max(axis=1), color=colour, alpha=0.22, linewidth=0)
            if "random" in curves and name != "random":
                mean = curves["random"].mean(axis=1)
                panel.plot(mean.index, mean, **dotted)
            panel.plot(table.index, table.mean(axis=1), color=colour, linestyle=line, linewidth=1.4)
            panel.set_title(name, fontsize=9)
        for axes in (whole, *panels):
            axes.set_ylim(below, above)
            axes.set_xlim(0, 1 + max(len(table) for table in curves.values()))
            axes.tick_params(labelsize=8)
            axes.xaxis.set_major_locator(MaxNLocator(8 if axes is whole else 4, integer=True))
            axes.set_xlabel("networks trained", fontsize=9 if axes is whole else 8)
            plain_axes(axes)
        whole.legend(fontsize=8, frameon=False, loc="lower right", handlelength=3.6)
        keys: list[Any] = []
        if count > 1 and panels:
            keys.append(Patch(facecolor=GREY, alpha=0.35, label="from the least to the greatest search"))
        if "random" in curves and panels:
            keys.append(Line2D([], [], **dotted, label="mean of random" if count > 1 else "random"))
        if keys:
            figure.legend(handles=keys, loc="outside lower right", ncols=2, fontsize=8, frameon=False)
    return figure
