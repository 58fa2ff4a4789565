"""PNASNet-5 (large): "Progressive Neural Architecture Search" (Liu et al., ECCV 2018), Figure 1 and Table 5.

Three stages of N = 4 cells of one kind, F = 216; the second and third stage start with one of stride 2.
ScheduledDropPath is left out, as in NASNet.
"""

import re
from dataclasses import dataclass

from flax import nnx

from scaling_search.baselines.cell_network import STAGES, ChainedCells
from scaling_search.baselines.cells import Genotype
from scaling_search.baselines.nasnet import in_cell
from scaling_search.baselines.published import Published
from scaling_search.family import Naming
from scaling_search.rule import Scale, round_channels, round_layers

STEM = 96
FILTERS = 216
"""Channels of the first stage's operations: a cell's output has five times as many, and the last stage four times."""

CELL = Genotype(
    pairs=(
        ((0, "separable_5x5"), (0, "max_3x3")),
        ((1, "separable_7x7"), (1, "max_3x3")),
        ((1, "separable_5x5"), (1, "separable_3x3")),
        ((4, "separable_3x3"), (1, "max_3x3")),
        ((0, "separable_3x3"), (1, "identity")),
    ),
    output=(2, 3, 4, 5, 6),
)


class PNASNet(ChainedCells):
    """Images (N, H, W, 3) -> logits (N, num_classes); with an auxiliary head and in training, two of them."""

    def __init__(self, layers: int, scale: Scale, num_classes: int, auxiliary: bool, *, rngs: nnx.Rngs):
        filters = round_channels(FILTERS, scale.width)
        super().__init__(CELL, round_channels(STEM, scale.width), filters, rngs=rngs)
        further = [(CELL, 1)] * (round_layers(layers, scale.depth) - 1)
        stages = [[(CELL, 1 if stage == 0 else 2), *further] for stage in range(STAGES)]
        middle, last = self._add_cells(stages, filters, rngs=rngs)
        self._add_heads(middle, last, scale.width, num_classes, auxiliary, rngs=rngs)


@dataclass(frozen=True)
class PNASNetFamily:
    """PNASNet-5 as a family: `depth` multiplies the cells of each of its three stages, `width` all channels.

    Channels of the stem's cells follow the first stage's, which are multiples of 8: they are a quarter and half of
    them.
    """

    name: str
    layers: int
    published: Published
    resolution: int = 331
    auxiliary: bool = False

    def build(self, scale: Scale, num_classes: int, *, rngs: nnx.Rngs) -> PNASNet:
        """The network at `scale`: cells of each stage rounded up, channels to multiples of 8."""
        return PNASNet(self.layers, scale, num_classes, self.auxiliary, rngs=rngs)

    @property
    def namings(self) -> dict[str, Naming]:
        """timm's names."""
        return {"timm": _timm_name}


def _timm_name(path: str) -> str:
    path = re.sub(r"^stem$", "conv_0.conv", path)
    path = re.sub(r"^stem_norm$", "conv_0.bn", path)
    path = re.sub(r"^stem_cells\.", "cell_stem_", path)
    path = re.sub(r"^cells\.", "cell_", path)
    return in_cell(path).replace("classifier", "last_linear")


PNASNET5 = PNASNetFamily(
    "pnasnet5",
    4,
    Published(
        source='Liu et al., "Progressive Neural Architecture Search", ECCV 2018',
        parameters=86.1e6,
        multiply_adds=25.0e9,
        resolution=331,
        reference="timm pnasnet5large",
        note="Table 2 gives 23B where the network has 24.9B multiply-adds and its own paper says 25.0B.",
    ),
)
