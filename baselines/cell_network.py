"""Networks of searched cells on ImageNet: what NASNet, PNASNet and AmoebaNet share around their cells.

A 3x3 convolution and two cells of stride 2, then stages of cells, each with twice the filters of the one before, and a
dense layer after ReLU, mean and dropout. The auxiliary head sees what goes into the last stage.
"""

from collections.abc import Sequence

import jax
from flax import nnx
from jax import Array

from scaling_search.baselines.cells import Cell, Genotype, Source
from scaling_search.baselines.parts import AuxiliaryNet
from scaling_search.networks.blocks import BatchNorm, Conv

STAGES = 3
DROPOUT = 0.5
AUXILIARY_WINDOW = 6
"""The last stage's input has 21x21 pixels of an image's 331, so that its means over 5x5 pixels are 6x6."""


class CellNetwork(AuxiliaryNet):
    """Images (N, H, W, 3) -> logits (N, num_classes); with an auxiliary head and in training, two of them."""

    def __init__(self, genotype: Genotype, stem: int, filters: int, *, rngs: nnx.Rngs):
        source = Source(stem, 1)
        self.stem = Conv(3, stem, 3, stride=2, padding="VALID", rngs=rngs)
        self.stem_norm = BatchNorm(stem)
        first = Cell(genotype, None, source, filters // 4, 2, rngs=rngs)
        second = Cell(genotype, source, first.output, filters // 2, 2, rngs=rngs)
        self.stem_cells = nnx.List([first, second])

    def _add_heads(
        self, middle: Source, last: Source, width: float, num_classes: int, auxiliary: bool, *, rngs: nnx.Rngs
    ) -> None:
        self._add_auxiliary(middle.channels, width, num_classes, window=AUXILIARY_WINDOW, present=auxiliary, rngs=rngs)
        self._add_classifier(last.channels, num_classes, DROPOUT, rngs=rngs)

    def _run_stem(self, images: Array) -> tuple[Array, Array]:
        """The output of both stem cells."""
        stem = self.stem_norm(self.stem(images))
        first = self.stem_cells[0](None, stem)
        return first, self.stem_cells[1](stem, first)

    def _run_cells(self, images: Array) -> tuple[Array, Array]:
        """What goes into the last stage, and the last cell's output."""
        raise NotImplementedError

    def maps(self, images: Array) -> tuple[Array, Array]:
        """What goes into the last stage, and the last cell's output, both after ReLU."""
        middle, last = self._run_cells(images)
        return jax.nn.relu(middle), jax.nn.relu(last)


class ChainedCells(CellNetwork):
    """A cell network in which every cell sees the outputs of the two before it."""

    def _add_cells(
        self, stages: Sequence[Sequence[tuple[Genotype, int]]], filters: int, *, rngs: nnx.Rngs
    ) -> tuple[Source, Source]:
        """Adds cells, given by genotype and stride; `filters` are the first stage's.

        Returns what goes into the last stage, and the last cell's output.
        """
        self.cells: nnx.List[Cell] = nnx.List()
        previous, current = (cell.output for cell in self.stem_cells)
        for stage, cells in enumerate(stages):
            self.before_last_stage, middle = len(self.cells), current
            for genotype, stride in cells:
                self.cells.append(Cell(genotype, previous, current, filters << stage, stride, rngs=rngs))
                previous, current = current, self.cells[-1].output
        return middle, current

    def _run_cells(self, images: Array) -> tuple[Array, Array]:
        previous, current = self._run_stem(images)
        for index, cell in enumerate(self.cells):
            if index == self.before_last_stage:
                middle = current
            previous, current = current, cell(previous, current)
        return middle, current
