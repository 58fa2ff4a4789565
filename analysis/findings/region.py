"""STEP 1's answer as a region of shares of growth, and the rule of the grid that stands for it."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scaling_search.analysis.statistics.means import SeedMeans
from scaling_search.analysis.statistics.surface import DIVISIONS, Surface, fit_surface
from scaling_search.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

SHARES = ("depth_share", "width_share", "resolution_share")
"""Columns of a network's shares of growth, see `frames.POINTS`."""

GROWING = {"layers": 1.0, "channels": 0.5, "pixels": 0.5}
"""What each share makes grow, and with which power of the cost: that rises with the square of width and side."""


def nominal_shares(rules: "pd.DataFrame") -> Floats:
    """Shares that rules with `alpha`, `beta` and `gamma` give to depth, width and resolution, (rules, 3)."""
    logs = np.log(rules[["alpha", "beta", "gamma"]].to_numpy(np.float64)) * [1, 2, 2]
    return np.asarray(logs / logs.sum(1, keepdims=True))


def region_of(networks: "pd.DataFrame", means: SeedMeans, confidence: float) -> Surface | None:
    """The surface through networks with its region, or None where they are too few or too much alike.

    Args:
        networks: one row a network of `means`, with SHARES, `alpha`, `beta`, `gamma` and `realised_cost`. Where shares
            were not recorded, those of the rule stand for them.
        means: of STEP 1.
        confidence: of the region.

    """
    import pandas as pd

    known = networks[networks["fingerprint"].isin(means.table.index)]
    shares = known[list(SHARES)].to_numpy(np.float64)
    if np.isnan(shares).any():
        shares = nominal_shares(known)
    rows = means.table.index.get_indexer(pd.Index(known["fingerprint"]))
    variance, df = _variances(means)
    try:
        return fit_surface(
            shares,
            means.table["val_accuracy"].to_numpy(np.float64)[rows],
            variance[rows],
            df,
            cost=known["realised_cost"].to_numpy(np.float64),
            confidence=confidence,
        )
    except UserError:
        return None


def _variances(means: SeedMeans) -> tuple[Floats, float]:
    """The variance of each mean, and their degrees of freedom together (Satterthwaite)."""
    variances, dfs = means.of_means()
    if not means.unlike:
        return variances, float(means.df)
    if not variances.any():
        return variances, 0.0
    return variances, float(variances.sum() ** 2 / np.sum(variances**2 / dfs))


def representative(rules: "pd.DataFrame", surface: Surface) -> Any:
    """Index of the rule that stands for the region: of the network nearest to its centre, the nearest rule.

    `rules` are those of measured networks of the grid, with SHARES, `alpha`, `beta`, `gamma` and `fingerprint`.
    """
    realised = rules[list(SHARES)].to_numpy(np.float64)
    order = rules.assign(
        # Rounded, so that places that are equally near are on every machine; of these, the higher on the surface.
        distance=((realised - surface.centre) ** 2).sum(1).round(9),
        height=-surface.predict(realised).round(9),
        nominal=((nominal_shares(rules) - surface.centre) ** 2).sum(1).round(9),
    )
    order = order.sort_values(["distance", "height", "fingerprint", "nominal", "alpha", "beta", "gamma"])
    return order.index[0]


def in_region(shares: Floats, surface: Surface) -> NDArray[np.bool_]:
    """Whether the place nearest to shares, (networks, 3), is in the region, and no further away than the next."""
    apart = np.linalg.norm(shares[:, None] - surface.places, axis=-1)
    near = apart.min(1) <= 1 / DIVISIONS
    return np.asarray(surface.region[apart.argmin(1)] & near)


def grown_over(surface: Surface, phi: float) -> dict[str, tuple[float, float]]:
    """How many times the baseline's layers, channels and pixels a side the region's rules have at `phi`: the ends.

    By equation 3, before rounding.
    """
    low, high = surface.ends
    return {
        name: (float(2 ** (phi * power * low[index])), float(2 ** (phi * power * high[index])))
        for index, (name, power) in enumerate(GROWING.items())
    }
