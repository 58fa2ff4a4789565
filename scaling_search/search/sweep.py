"""Networks that are trained as they are: one dimension grown at a time, all three together, or a list of one's own.

Tables 3 and 7 of the paper scale MobileNets, ResNet-50 and EfficientNet-B0 by depth, width or resolution alone, and by
all together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scaling_search.config import RunConfig, to_dict
from scaling_search.errors import UserError
from scaling_search.family import Family
from scaling_search.rule import Scale
from scaling_search.search.candidates import network_at, specs_of
from scaling_search.trial import Init, Network, Spec, network_from_dict

DIMENSIONS = {"d": "depth", "w": "width", "r": "resolution"}


@dataclass(frozen=True)
class Row:
    """One network of a sweep."""

    scaling: str
    """Baseline, depth, width, resolution, compound or given."""
    network: Network


@dataclass(frozen=True)
class Sweep:
    """The networks, with their costs, before training."""

    rows: tuple[Row, ...]
    init: Init | None = None
    """Where their weights start from."""

    def document(self) -> dict[str, Any]:
        """As the store keeps it."""
        return {
            "rows": [{"scaling": row.scaling, "network": to_dict(row.network)} for row in self.rows],
            "init": None if self.init is None else to_dict(self.init),
        }


def sweep_from_document(tree: dict[str, Any]) -> Sweep:
    """The inverse of `Sweep.document`. Raises KeyError or TypeError where it is not one."""
    rows = tuple(Row(row["scaling"], network_from_dict(row["network"])) for row in tree["rows"])
    return Sweep(rows, None if tree["init"] is None else Init(**tree["init"]))


def scales(
    dims: Sequence[str], factors: dict[str, tuple[float, ...]], compound: Scale | None
) -> list[tuple[str, Scale]]:
    """The baseline, then each dimension of `dims` (d, w or r) alone by each of its factors, then all together."""
    named = [("baseline", Scale())]
    for dim in dims:
        dimension = DIMENSIONS[dim]
        named += [(dimension, Scale(**{dimension: factor})) for factor in factors[dim]]
    return named + ([("compound", compound)] if compound else [])


def parse_scale(text: str) -> Scale:
    """A scale written as DEPTH,WIDTH,RESOLUTION. Raises UserError."""
    try:
        depth, width, resolution = map(float, text.split(","))
    except ValueError:
        raise UserError(f"scale {text!r} given", "write DEPTH,WIDTH,RESOLUTION", "try 2,1,1.3") from None
    return Scale(depth, width, resolution)


def lay_out_sweep(
    family: Family,
    named: Sequence[tuple[str, Scale]],
    config: RunConfig,
    num_classes: int,
    init: Init | None = None,
) -> Sweep:
    """The network, and what it costs, at each scale."""
    return Sweep(tuple(Row(name, network_at(family, config, scale, num_classes)) for name, scale in named), init)


def sweep_specs(sweep: Sweep, config: RunConfig, data: str) -> list[Spec]:
    """The trainings: each different network from every seed."""
    networks = {row.network.fingerprint: row.network for row in sweep.rows}
    return [spec for network in networks.values() for spec in specs_of(network, config, data, init=sweep.init)]
