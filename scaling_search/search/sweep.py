"""Sweeps: one dimension scaled at a time, all three together, or a list of scales.

Tables 3 and 7 of the paper scale MobileNets, ResNet-50 and EfficientNet-B0 by depth, width or resolution alone, and by
all together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scaling_search.config import Experiment, SweepConfig, TrainConfig, to_dict
from scaling_search.errors import UserError
from scaling_search.family import Family
from scaling_search.rule import Scale
from scaling_search.search.candidates import network_at, specs_of
from scaling_search.trial import Init, Network, Spec

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


def scales_of(config: SweepConfig) -> list[tuple[str, Scale]]:
    """The baseline, each dimension alone at each of its factors, all three together, and the scales listed."""
    named = [("baseline", Scale())]
    factors = {"d": config.depths, "w": config.widths, "r": config.resolutions}
    for dim in config.dims:
        dimension = DIMENSIONS[dim]
        named += [(dimension, Scale(**{dimension: factor})) for factor in factors[dim]]
    if config.compound:
        named.append(("compound", Scale(*config.compound_scale)))
    return named + [("given", parse_scale(text)) for text in config.scales]


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
    config: SweepConfig | TrainConfig,
    num_classes: int,
    init: Init | None = None,
) -> Sweep:
    """The network, and what it costs, at each scale."""
    of_family: Any = {"name": config.family, "options": config.family_options}
    return Sweep(tuple(Row(name, network_at(family, scale, num_classes, **of_family)) for name, scale in named), init)


def sweep_specs(sweep: Sweep, config: Experiment, data: str) -> list[Spec]:
    """The trainings: each different network from every seed."""
    networks = {row.network.fingerprint: row.network for row in sweep.rows}
    return [spec for network in networks.values() for spec in specs_of(network, config, data, init=sweep.init)]
