"""AmoebaNet-A (6, 190) and -C (6, 228): "Regularized Evolution for Image Classifier Architecture Search" (Real et al.,
AAAI 2019), Figure 6, Table 2 and Supplement D. AmoebaNet-B (18, 512): "GPipe: Efficient Training of Giant Neural
Networks using Pipeline Parallelism" (Huang et al., NeurIPS 2019), section 4.

Of Real et al.'s (N, F), N is the normal cells of each stage and F the filters of the first; GPipe counts the cells of
all three stages. The accuracy that Table 2 has for AmoebaNet-A is that of F = 190, not of the 469M parameters of
F = 448. What the papers leave open, which states are output and how wide the stem is, is as in the authors' code
(tensorflow/tpu, models/official/amoeba_net). ScheduledDropPath is left out, as in NASNet.
"""

from dataclasses import dataclass

from flax import nnx

from scaling_search.baselines.cell_network import STAGES, ChainedCells
from scaling_search.baselines.cells import Genotype
from scaling_search.baselines.published import Published
from scaling_search.rule import Scale, round_channels, round_layers

STEM = 32
AUXILIARY = 0.4
"""Channels of the auxiliary head relative to NASNet's."""
REFERENCE = "none in PyTorch; its own paper's figures"

NORMAL_A = Genotype(
    pairs=(
        ((1, "average_3x3"), (1, "max_3x3")),
        ((0, "separable_3x3"), (0, "identity")),
        ((1, "identity"), (0, "average_3x3")),
        ((1, "separable_3x3"), (2, "separable_5x5")),
        ((5, "average_3x3"), (1, "separable_3x3")),
    ),
    output=(0, 3, 4, 6),
)
REDUCTION_A = Genotype(
    pairs=(
        ((0, "separable_3x3"), (1, "average_3x3")),
        ((1, "max_3x3"), (2, "separable_7x7")),
        ((0, "max_3x3"), (1, "max_3x3")),
        ((4, "separable_3x3"), (1, "bottleneck_1x7_7x1")),
        ((0, "average_3x3"), (1, "separable_7x7")),
    ),
    output=(2, 3, 4, 5, 6),
)
NORMAL_B = Genotype(
    pairs=(
        ((0, "conv_1x1"), (0, "max_3x3")),
        ((0, "identity"), (1, "separable_3x3")),
        ((0, "conv_1x1"), (1, "separable_3x3")),
        ((2, "conv_1x1"), (2, "identity")),
        ((0, "average_3x3"), (5, "conv_1x1")),
    ),
    output=(1, 3, 4, 6),
)
# The authors' code names the dilated operation, yet builds it without dilation, which costs the same.
REDUCTION_B = Genotype(
    pairs=(
        ((1, "max_2x2"), (1, "max_3x3")),
        ((2, "identity"), (0, "bottleneck_3x3")),
        ((2, "dilated_5x5"), (2, "max_3x3")),
        ((3, "identity"), (0, "separable_3x3")),
        ((4, "average_3x3"), (3, "conv_1x1")),
    ),
    output=(5, 6),
)
NORMAL_C = Genotype(
    pairs=(
        ((1, "average_3x3"), (1, "separable_3x3")),
        ((1, "identity"), (1, "separable_3x3")),
        ((2, "average_3x3"), (0, "separable_3x3")),
        ((1, "identity"), (0, "separable_3x3")),
        ((3, "average_3x3"), (1, "separable_3x3")),
    ),
    output=(0, 2, 4, 5, 6),
)
REDUCTION_C = Genotype(
    pairs=(
        ((1, "max_3x3"), (1, "max_3x3")),
        ((2, "separable_7x7"), (1, "separable_3x3")),
        ((1, "separable_7x7"), (0, "max_3x3")),
        ((4, "separable_5x5"), (4, "separable_5x5")),
        ((0, "max_3x3"), (0, "separable_3x3")),
    ),
    output=(1, 2, 3, 4, 5, 6),
)


class AmoebaNet(ChainedCells):
    """Images (N, H, W, 3) -> logits (N, num_classes); with an auxiliary head and in training, two of them."""

    def __init__(self, family: "AmoebaNetFamily", scale: Scale, num_classes: int, *, rngs: nnx.Rngs):
        # 190 and 228 are not multiples of 8; the first stem cell has a quarter of them, its paths half of that.
        filters = max(8, round_channels(family.filters, scale.width, 2))
        super().__init__(family.reduction, round_channels(STEM, scale.width), filters, rngs=rngs)
        normal = [(family.normal, 1)] * round_layers(family.layers, scale.depth)
        stages = [normal] + [[(family.reduction, 2), *normal]] * (STAGES - 1)
        middle, last = self._add_cells(stages, filters, rngs=rngs)
        self._add_heads(middle, last, AUXILIARY * scale.width, num_classes, family.auxiliary, rngs=rngs)


@dataclass(frozen=True)
class AmoebaNetFamily:
    """An AmoebaNet as a family: `depth` multiplies the normal cells of each of its three stages, `width` all channels.

    Every stage but the first keeps its one reduction cell. Channels of the stem's cells follow the first stage's: they
    are a quarter and half of them, rounded down.
    """

    name: str
    normal: Genotype
    reduction: Genotype
    layers: int
    filters: int
    """Channels of the first stage's operations; the second stage has twice as many, the last four times."""
    published: Published
    resolution: int = 331
    auxiliary: bool = False

    def build(self, scale: Scale, num_classes: int, *, rngs: nnx.Rngs) -> AmoebaNet:
        """The network at `scale`: cells of each stage rounded up, filters to even numbers, the stem's to 8."""
        return AmoebaNet(self, scale, num_classes, rngs=rngs)


AMOEBANET_A = AmoebaNetFamily(
    "amoebanet_a",
    NORMAL_A,
    REDUCTION_A,
    layers=6,
    filters=190,
    published=Published(
        source='Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019',
        parameters=86.7e6,
        multiply_adds=23.1e9,
        resolution=331,
        reference=REFERENCE,
    ),
)
AMOEBANET_C = AmoebaNetFamily(
    "amoebanet_c",
    NORMAL_C,
    REDUCTION_C,
    layers=6,
    filters=228,
    published=Published(
        source='Real et al., "Regularized Evolution for Image Classifier Architecture Search", arXiv:1802.01548, 2018',
        parameters=155.3e6,
        multiply_adds=41.1e9,
        resolution=331,
        reference=REFERENCE,
    ),
)
GPIPE_AMOEBANET_B = AmoebaNetFamily(
    "gpipe_amoebanet_b",
    NORMAL_B,
    REDUCTION_B,
    layers=6,
    filters=512,
    published=Published(
        source='Huang et al., "GPipe: Efficient Training of Giant Neural Networks using Pipeline Parallelism", '
        "NeurIPS 2019",
        parameters=557e6,
        multiply_adds=None,
        resolution=480,
        reference=REFERENCE,
    ),
    resolution=480,
)
