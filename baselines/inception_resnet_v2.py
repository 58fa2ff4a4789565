"""Inception-ResNet-v2: "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning".

Szegedy, Ioffe, Vanhoucke and Alemi, AAAI 2017; Figures 15 to 19, in the form that the authors released: it has
Inception-v3's stem and a module like its first before the residual ones, twice as many of these, and other channels.
That is the network of 56 million parameters that Table 2 of "EfficientNet" compares with.
"""

import re
from dataclasses import dataclass

import jax
from flax import nnx
from jax import Array

from scaling_search.baselines.inception import (
    AVERAGE,
    MAX,
    STEM,
    STEM_NAMES,
    Branches,
    ConvNorm,
    Convolution,
    Fork,
    Tower,
    chain,
    halve,
)
from scaling_search.baselines.published import Published
from scaling_search.family import Naming
from scaling_search.networks.blocks import Conv
from scaling_search.networks.convnet import ConvNet, run_stages
from scaling_search.networks.initialise import filled
from scaling_search.rule import Scale, round_channels, round_layers


@dataclass(frozen=True)
class Stage:
    """One size of the grid: the module that leads to it, and the residual blocks on it."""

    first: Fork
    block: tuple[Tower, ...]
    blocks: int
    residual_scale: float
    """What a residual is multiplied by before it is added: section 3.3, which advises 0.1 to 0.3."""


STAGES = (
    Stage(
        first=Fork(
            (
                (Convolution(96),),
                (Convolution(48), Convolution(64, 5)),
                (Convolution(64), Convolution(96, 3), Convolution(96, 3)),
                (AVERAGE, Convolution(64)),
            )
        ),
        block=(
            (Convolution(32),),
            (Convolution(32), Convolution(32, 3)),
            (Convolution(32), Convolution(48, 3), Convolution(64, 3)),
        ),
        blocks=10,
        residual_scale=0.17,
    ),
    Stage(
        first=Fork(((halve(384),), (Convolution(256), Convolution(256, 3), halve(384)), (MAX,))),
        block=((Convolution(192),), (Convolution(128), Convolution(160, (1, 7)), Convolution(192, (7, 1)))),
        blocks=20,
        residual_scale=0.1,
    ),
    Stage(
        first=Fork(
            (
                (Convolution(256), halve(384)),
                (Convolution(256), halve(288)),
                (Convolution(256), Convolution(288, 3), halve(320)),
                (MAX,),
            )
        ),
        block=((Convolution(192),), (Convolution(192), Convolution(224, (1, 3)), Convolution(256, (3, 1)))),
        blocks=10,
        residual_scale=0.2,
    ),
)
LAST_CHANNELS = 1536
DROPOUT = 0.2


class BiasedConv(Conv):
    """A 1x1 convolution with bias: (N, H, W, in_channels) -> (N, H, W, out_channels)."""

    def __init__(self, in_channels: int, out_channels: int, *, rngs: nnx.Rngs):
        super().__init__(in_channels, out_channels, 1, rngs=rngs)
        self.bias = nnx.Param(filled((out_channels,), 0.0))

    def __call__(self, x: Array) -> Array:
        """Convolves x."""
        return super().__call__(x) + self.bias[...].astype(x.dtype)


class Residual(nnx.Module):
    """Towers and a 1x1 convolution around a shortcut: (N, H, W, channels) -> the same shape."""

    def __init__(self, channels: int, stage: Stage, width: float, *, final: bool = False, rngs: nnx.Rngs):
        self.branches = Branches(channels, stage.block, width, rngs=rngs)
        self.expand = BiasedConv(self.branches.out_channels, channels, rngs=rngs)
        # In the code, the last block of all is neither scaled nor followed by an activation.
        self.scale = 1.0 if final else stage.residual_scale
        self.final = final

    def __call__(self, x: Array) -> Array:
        """Applies the block."""
        y = x + self.scale * self.expand(self.branches(x))
        return y if self.final else jax.nn.relu(y)


class InceptionResNetV2(ConvNet):
    """Images (N, H, W, 3) of at least 75 pixels a side -> logits (N, num_classes)."""

    def __init__(self, scale: Scale, num_classes: int, *, rngs: nnx.Rngs):
        self.stem, channels = chain(3, STEM, scale.width, rngs=rngs)
        stages: list[list[Branches | Residual]] = []
        for stage in STAGES:
            first = Branches(channels, stage.first.towers, scale.width, rngs=rngs)
            channels = first.out_channels
            stages.append([first])
            blocks = round_layers(stage.blocks, scale.depth)
            for block in range(blocks):
                final = stage is STAGES[-1] and block == blocks - 1
                stages[-1].append(Residual(channels, stage, scale.width, final=final, rngs=rngs))
        # It has an attribute of its own, as in the code.
        self.last_block = stages[-1].pop()
        self.stages = nnx.List([nnx.List(layers) for layers in stages])
        outputs = round_channels(LAST_CHANNELS, scale.width)
        self.last_conv = ConvNorm(channels, outputs, rngs=rngs)
        self._add_classifier(outputs, num_classes, DROPOUT, rngs=rngs)

    def features(self, images: Array) -> Array:
        """The last feature map, (N, H', W', C)."""
        return self.last_conv(self.last_block(run_stages(self.stages, self.stem(images))))


@dataclass(frozen=True)
class InceptionResNetV2Family:
    """Inception-ResNet-v2 as a family: depth multiplies residual blocks, width the channels of every convolution.

    The module that leads to each grid stays one.
    """

    name: str
    published: Published
    resolution: int = 299

    def build(self, scale: Scale, num_classes: int, *, rngs: nnx.Rngs) -> InceptionResNetV2:
        """The network at `scale`: the residual blocks on each grid rounded up, channels to multiples of 8."""
        return InceptionResNetV2(scale, num_classes, rngs=rngs)

    @property
    def namings(self) -> dict[str, Naming]:
        """What timm calls its modules."""
        return {"timm": _timm_name}


FIRST_NAMES = ("mixed_5b", "mixed_6a", "mixed_7a")
BLOCK_NAMES = ("repeat", "repeat_1", "repeat_2")


def _timm_name(path: str) -> str:
    def block(found: re.Match[str]) -> str:
        stage, position = int(found[1]), int(found[2])
        return f"{BLOCK_NAMES[stage]}.{position - 1}" if position else FIRST_NAMES[stage]

    path = re.sub(r"^stem\.layers\.(\d)", lambda found: f"conv2d_{STEM_NAMES[int(found[1])]}", path)
    path = re.sub(r"^stages\.(\d)\.(\d+)", block, path).replace("last_block", "block8")
    path = path.replace("last_conv", "conv2d_7b").replace("expand", "conv2d").replace("branches.", "")
    path = re.sub(r"towers\.(\d)(\.layers)?", r"branch\1", path)
    return path.replace("norm", "bn").replace("classifier", "classif")


INCEPTION_RESNET_V2 = InceptionResNetV2Family(
    "inception_resnet_v2",
    Published(
        source='Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning", '
        "AAAI 2017",
        parameters=None,
        multiply_adds=None,
        resolution=299,
        reference="timm inception_resnet_v2",
    ),
)
