"""Xception: "Xception: Deep Learning with Depthwise Separable Convolutions" (Chollet, CVPR 2017), Figure 5."""

import re
from dataclasses import dataclass

import jax
from flax import nnx
from jax import Array

from scaling_search.baselines.parts import Shortcut, branch_norm, torch_norm
from scaling_search.baselines.published import Published
from scaling_search.family import Naming
from scaling_search.networks.blocks import Conv
from scaling_search.networks.convnet import ConvNet
from scaling_search.networks.pooling import max_pool
from scaling_search.rule import Scale, round_channels, round_layers

STEM = (32, 64)
ENTRY = (128, 256, 728)
"""Channels of the entry flow's blocks, each of which halves the image and has two convolutions."""
MIDDLE = 8
"""Blocks of the middle flow: three convolutions each, in as many channels as the entry flow ends with."""
EXIT = 1024
"""Channels of the exit flow's block, which halves the image again."""
TOP = (1536, 2048)
"""Channels of the last two convolutions."""


class SeparableConv(nnx.Module):
    """A depthwise 3x3 and a 1x1 convolution with nothing between, and batch norm behind.

    With `zero_init` the batch norm of one without ReLU starts as zeros.
    """

    def __init__(self, in_channels: int, out_channels: int, *, relu: bool, zero_init: bool = False, rngs: nnx.Rngs):
        self.filter = Conv(in_channels, in_channels, 3, groups=in_channels, padding="SYMMETRIC", rngs=rngs)
        self.project = Conv(in_channels, out_channels, 1, rngs=rngs)
        self.norm = torch_norm(out_channels, "relu") if relu else branch_norm(out_channels, zero_init=zero_init)

    def __call__(self, x: Array) -> Array:
        """(N, H, W, in_channels) -> (N, H, W, out_channels)."""
        return self.norm(self.project(self.filter(x)))


class XceptionBlock(Shortcut):
    """Separable convolutions around a shortcut, a ReLU before each: (N, H, W, C) -> (N, H', W', channels[-1]).

    `channels` are those of the input and of each convolution's output. A stride of 2 is a max pool at the end.
    """

    def __init__(
        self, channels: list[int], stride: int, *, first_relu: bool = True, zero_init: bool = False, rngs: nnx.Rngs
    ):
        inputs, outputs, convolutions = channels[0], channels[-1], len(channels) - 1
        # The ReLU before a convolution is part of the batch norm of the one before it.
        self.layers = nnx.List(
            [
                SeparableConv(
                    channels[layer],
                    channels[layer + 1],
                    relu=layer + 1 < convolutions,
                    zero_init=zero_init,
                    rngs=rngs,
                )
                for layer in range(convolutions)
            ]
        )
        self._add_shortcut(inputs, outputs, stride, rngs=rngs)
        self.stride = stride
        self.first_relu = first_relu

    def __call__(self, x: Array) -> Array:
        """Applies the block."""
        y = jax.nn.relu(x) if self.first_relu else x
        for layer in self.layers:
            y = layer(y)
        if self.stride > 1:
            y = max_pool(y, 3, self.stride, "SYMMETRIC")
        return self._run_shortcut(x) + y


class Xception(ConvNet):
    """Images (N, H, W, 3) of at least 7 pixels a side -> logits (N, num_classes)."""

    def __init__(
        self, scale: Scale, num_classes: int, dropout: float, *, zero_init_residual: bool = False, rngs: nnx.Rngs
    ):
        def block(channels: list[int], stride: int, *, first_relu: bool = True) -> XceptionBlock:
            return XceptionBlock(channels, stride, first_relu=first_relu, zero_init=zero_init_residual, rngs=rngs)

        def scaled(channels: int) -> int:
            return round_channels(channels, scale.width)

        first, inputs = map(scaled, STEM)
        self.stem1 = Conv(3, first, 3, stride=2, padding="VALID", rngs=rngs)
        self.stem1_norm = torch_norm(first, "relu")
        self.stem2 = Conv(first, inputs, 3, padding="VALID", rngs=rngs)
        self.stem2_norm = torch_norm(inputs, "relu")

        # The stem ends with a ReLU already.
        convolutions = round_layers(2, scale.depth)
        self.blocks: nnx.List[XceptionBlock] = nnx.List()
        for index, channels in enumerate(map(scaled, ENTRY)):
            self.blocks.append(block([inputs, *[channels] * convolutions], 2, first_relu=index > 0))
            inputs = channels
        for _ in range(round_layers(MIDDLE, scale.depth)):
            self.blocks.append(block([inputs] * 4, 1))
        # Unlike the entry flow's, this block widens in its last convolution rather than the first.
        channels = scaled(EXIT)
        self.blocks.append(block([*[inputs] * convolutions, channels], 2))

        wider, widest = map(scaled, TOP)
        self.top1 = SeparableConv(channels, wider, relu=True, rngs=rngs)
        self.top2 = SeparableConv(wider, widest, relu=True, rngs=rngs)
        self._add_classifier(widest, num_classes, dropout, rngs=rngs)

    def features(self, images: Array) -> Array:
        """The last feature map, (N, H', W', C)."""
        x = self.stem1_norm(self.stem1(images))
        x = self.stem2_norm(self.stem2(x))
        for block in self.blocks:
            x = block(x)
        return self.top2(self.top1(x))


@dataclass(frozen=True)
class XceptionFamily:
    """Xception as a family.

    Depth multiplies the blocks of the middle flow and the two convolutions in each block of the others, rounded up;
    the two convolutions of the stem and the last two stay. Width multiplies every number of channels, to multiples
    of 8.
    """

    name: str
    published: Published
    resolution: int = 299
    dropout: float = 0.5
    """Dropout before the classifier, the paper's for ImageNet."""
    zero_init_residual: bool = False
    """Whether each residual branch starts as zeros (Goyal et al., 2017), which helps deep networks start to train."""

    def build(self, scale: Scale, num_classes: int, *, rngs: nnx.Rngs) -> Xception:
        """The network at `scale`."""
        return Xception(scale, num_classes, self.dropout, zero_init_residual=self.zero_init_residual, rngs=rngs)

    @property
    def namings(self) -> dict[str, Naming]:
        """timm's names."""
        return {"timm": _timm_name}


_TIMM = {
    "stem1": "conv1",
    "stem1_norm": "bn1",
    "stem2": "conv2",
    "stem2_norm": "bn2",
    "top1.filter": "conv3.conv1",
    "top1.project": "conv3.pointwise",
    "top1.norm": "bn3",
    "top2.filter": "conv4.conv1",
    "top2.project": "conv4.pointwise",
    "top2.norm": "bn4",
    "shortcut": "skip",
    "shortcut_norm": "skipbn",
    "classifier": "fc",
}


def _timm_name(path: str) -> str:
    found = re.fullmatch(r"blocks\.(\d+)\.(?:layers\.(\d+)\.)?(\w+)", path)
    if found is None:
        return _TIMM[path]
    block, layer, inside = found.groups()
    if layer is None:
        return f"block{int(block) + 1}.{_TIMM[inside]}"
    # A block is a list of ReLU, convolution and norm in turn; the first block has no ReLU at its beginning.
    number = 3 * int(layer) + (0 if block == "0" else 1)
    inside = {"filter": f"{number}.conv1", "project": f"{number}.pointwise", "norm": f"{number + 1}"}[inside]
    return f"block{int(block) + 1}.rep.{inside}"


XCEPTION = XceptionFamily(
    "xception",
    Published(
        source='Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", CVPR 2017',
        parameters=22_855_952,
        multiply_adds=None,
        resolution=299,
        reference="timm legacy_xception",
    ),
)
