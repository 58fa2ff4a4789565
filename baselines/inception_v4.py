"""Inception-v4: "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning".

Szegedy, Ioffe, Vanhoucke and Alemi, AAAI 2017; Figure 9, whose parts are Figures 3 to 8.
"""

import re
from dataclasses import dataclass

from flax import nnx
from jax import Array

from scaling_search.baselines.inception import AVERAGE, MAX, Convolution, Fork, chain, forked_stem, halve
from scaling_search.baselines.published import Published
from scaling_search.family import Naming
from scaling_search.networks.convnet import ConvNet
from scaling_search.rule import Scale, round_layers

STEM = forked_stem(((1, 7), (7, 1)), last=Fork(((halve(192),), (MAX,))))
"""Figure 3, down to 35x35 pixels."""
MODULE_A = Fork(
    (
        (Convolution(96),),
        (Convolution(64), Convolution(96, 3)),
        (Convolution(64), Convolution(96, 3), Convolution(96, 3)),
        (AVERAGE, Convolution(96)),
    )
)
"""Figure 4, on 35x35 pixels."""
REDUCTION_A = Fork(((halve(384),), (Convolution(192), Convolution(224, 3), halve(256)), (MAX,)))
"""Figure 7, with the channels of Table 1."""
MODULE_B = Fork(
    (
        (Convolution(384),),
        (Convolution(192), Convolution(224, (1, 7)), Convolution(256, (7, 1))),
        (
            Convolution(192),
            Convolution(192, (7, 1)),
            Convolution(224, (1, 7)),
            Convolution(224, (7, 1)),
            Convolution(256, (1, 7)),
        ),
        (AVERAGE, Convolution(128)),
    )
)
"""Figure 5, on 17x17 pixels."""
REDUCTION_B = Fork(
    (
        (Convolution(192), halve(192)),
        (Convolution(256), Convolution(256, (1, 7)), Convolution(320, (7, 1)), halve(320)),
        (MAX,),
    )
)
"""Figure 8."""
BOTH = Fork(((Convolution(256, (1, 3)),), (Convolution(256, (3, 1)),)))
MODULE_C = Fork(
    (
        (Convolution(256),),
        (Convolution(384), BOTH),
        (Convolution(384), Convolution(448, (3, 1)), Convolution(512, (1, 3)), BOTH),
        (AVERAGE, Convolution(256)),
    )
)
"""Figure 6, on 8x8 pixels."""
REPEATS = (4, 7, 3)
"""Modules A, B and C."""
DROPOUT = 0.2


class InceptionV4(ConvNet):
    """Images (N, H, W, 3) of at least 75 pixels a side -> logits (N, num_classes)."""

    def __init__(self, scale: Scale, num_classes: int, *, rngs: nnx.Rngs):
        a, b, c = (round_layers(modules, scale.depth) for modules in REPEATS)
        steps = STEM + (MODULE_A,) * a + (REDUCTION_A,) + (MODULE_B,) * b + (REDUCTION_B,) + (MODULE_C,) * c
        self.body, channels = chain(3, steps, scale.width, rngs=rngs)
        self._add_classifier(channels, num_classes, DROPOUT, rngs=rngs)

    def features(self, images: Array) -> Array:
        """The last feature map, (N, H', W', C)."""
        return self.body(images)


@dataclass(frozen=True)
class InceptionV4Family:
    """Inception-v4 as a family: depth multiplies modules A, B and C, width the channels of every convolution.

    The stem and the two reductions stay one each.
    """

    name: str
    published: Published
    resolution: int = 299

    def build(self, scale: Scale, num_classes: int, *, rngs: nnx.Rngs) -> InceptionV4:
        """The network at `scale`: the modules of each kind rounded up, channels to multiples of 8."""
        return InceptionV4(scale, num_classes, rngs=rngs)

    @property
    def namings(self) -> dict[str, Naming]:
        """What timm calls its modules."""
        return {"timm": _timm_name}


FIRST_C = 19
"""Where module C comes first in the published network, which timm names otherwise."""


def _timm_name(path: str) -> str:
    path = path.replace("norm", "bn").replace("classifier", "last_linear").replace("body.layers", "features")
    path = re.sub(r"^features\.[35]\.towers\.\d", lambda found: f"{found[0][:10]}.conv", path)
    path = re.sub(r"\.layers\.(\d)\.towers\.(\d)", lambda found: f".{found[1]}{'ab'[int(found[2])]}", path)
    path = re.sub(r"\.towers\.(\d)", r".branch\1", path).replace(".layers", "")
    found = re.match(r"features\.(\d+)\.branch[12]\.", path)
    return f"{found[0][:-1]}_{path[found.end() :]}" if found and int(found[1]) >= FIRST_C else path


INCEPTION_V4 = InceptionV4Family(
    "inception_v4",
    Published(
        source='Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning", '
        "AAAI 2017",
        parameters=None,
        multiply_adds=None,
        resolution=299,
        reference="timm inception_v4",
        note="Table 2 has 48M and 13B for what in the paper's figures makes 42.7M and 12.3B, or 46.0M with an "
        "auxiliary head like Inception-v3's; where the rest comes from is not known.",
    ),
)
