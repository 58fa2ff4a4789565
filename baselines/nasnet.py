"""NASNet-A (6 @ 4032): "Learning Transferable Architectures for Scalable Image Recognition" (Zoph et al., CVPR 2018),
Figure 4 and Table 2.

Its ScheduledDropPath, which drops paths of cells more often as training goes on, is left out.
"""

import re
from dataclasses import dataclass

from flax import nnx
from jax import Array

from scaling_search.baselines.cell_network import STAGES, CellNetwork
from scaling_search.baselines.cells import Cell, Genotype
from scaling_search.baselines.published import Published
from scaling_search.family import Naming
from scaling_search.rule import Scale, round_channels, round_layers

STEM = 96
FILTERS = 168
"""Channels of the first stage's operations: a cell's output has six times as many, and the last stage four times."""

NORMAL = Genotype(
    pairs=(
        ((1, "separable_5x5"), (0, "separable_3x3")),
        ((0, "separable_5x5"), (0, "separable_3x3")),
        ((1, "average_3x3"), (0, "identity")),
        ((0, "average_3x3"), (0, "average_3x3")),
        ((1, "separable_3x3"), (1, "identity")),
    ),
    output=(0, 2, 3, 4, 5, 6),
)
# Its strided average takes padding for zeros as timm's does; the authors' leaves it out of the mean.
REDUCTION = Genotype(
    pairs=(
        ((1, "separable_5x5"), (0, "separable_7x7")),
        ((1, "max_3x3"), (0, "separable_7x7")),
        ((1, "average_3x3_padded"), (0, "separable_5x5")),
        ((3, "identity"), (2, "average_3x3")),
        ((2, "separable_3x3"), (1, "max_3x3")),
    ),
    output=(3, 4, 5, 6),
)


class NASNet(CellNetwork):
    """Images (N, H, W, 3) -> logits (N, num_classes); with an auxiliary head and in training, two of them."""

    def __init__(self, layers: int, scale: Scale, num_classes: int, auxiliary: bool, *, rngs: nnx.Rngs):
        filters = round_channels(FILTERS, scale.width)
        super().__init__(REDUCTION, round_channels(STEM, scale.width), filters, rngs=rngs)
        self.layers = round_layers(layers, scale.depth)
        self.cells: nnx.List[Cell] = nnx.List()
        self.reductions: nnx.List[Cell] = nnx.List()
        previous, current = (cell.output for cell in self.stem_cells)
        for stage in range(STAGES):
            channels, before, middle = filters << stage, current, current
            if stage > 0:
                self.reductions.append(Cell(REDUCTION, previous, current, channels, 2, rngs=rngs))
                before = current = self.reductions[-1].output
            for _ in range(self.layers):
                cell = Cell(NORMAL, previous, current, channels, rngs=rngs)
                previous, before, current = before, cell.output, cell.output
                self.cells.append(cell)
        self._add_heads(middle, current, scale.width, num_classes, auxiliary, rngs=rngs)

    def _run_cells(self, images: Array) -> tuple[Array, Array]:
        previous, current = self._run_stem(images)
        for stage in range(STAGES):
            before = middle = current
            if stage > 0:
                # The cell after a reduction sees the reduction's output and, as the reduction did, the state before.
                before = current = self.reductions[stage - 1](previous, current)
            for cell in self.cells[stage * self.layers : (stage + 1) * self.layers]:
                previous, current = before, cell(previous, current)
                before = current
        return middle, current


@dataclass(frozen=True)
class NASNetFamily:
    """NASNet-A as a family: `depth` multiplies the normal cells of each of its three stages, `width` all channels.

    Every stage keeps its one reduction cell. Channels of the stem's cells follow the first stage's, which are
    multiples of 8: they are a quarter and half of them.
    """

    name: str
    layers: int
    published: Published
    resolution: int = 331
    auxiliary: bool = False

    def build(self, scale: Scale, num_classes: int, *, rngs: nnx.Rngs) -> NASNet:
        """The network at `scale`: cells of each stage rounded up, channels to multiples of 8."""
        return NASNet(self.layers, scale, num_classes, self.auxiliary, rngs=rngs)

    @property
    def namings(self) -> dict[str, Naming]:
        """timm's names."""
        return {"timm": _timm_name}


def _timm_name(path: str) -> str:
    path = re.sub(r"^stem$", "conv0.conv", path)
    path = re.sub(r"^stem_norm$", "conv0.bn", path)
    path = re.sub(r"^stem_cells\.", "cell_stem_", path)
    path = re.sub(r"^reductions\.", "reduction_cell_", path)
    path = re.sub(r"^cells\.", "cell_", path)
    # It has the two paths of a factorised reduction in the cell itself.
    path = path.replace("previous.path", "path")
    return in_cell(path).replace("classifier", "last_linear")


def in_cell(path: str) -> str:
    """timm's name of a module of a cell, NASNet's or PNASNet's, from ours."""
    path = path.replace("previous", "conv_prev_1x1").replace("current", "conv_1x1")
    path = re.sub(r"(left|right)\.(\d+)", r"comb_iter_\2_\1", path)
    path = re.sub(r"(depth|point)wise(\d)", r"separable_\2.\1wise_conv2d", path)
    path = path.replace("paths_norm", "final_path_bn")
    path = re.sub(r"path(\d)", r"path_\1.conv", path)
    path = re.sub(r"norm(\d)", r"bn_sep_\1", path)
    return re.sub(r"norm$", "bn", path)


NASNET_A = NASNetFamily(
    "nasnet_a",
    6,
    Published(
        source='Zoph et al., "Learning Transferable Architectures for Scalable Image Recognition", CVPR 2018',
        parameters=88.9e6,
        multiply_adds=23.8e9,
        resolution=331,
        reference="timm nasnetalarge",
    ),
)
