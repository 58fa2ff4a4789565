"""ResNet-50 and ResNet-152: "Deep Residual Learning for Image Recognition" (He et al., CVPR 2016), Table 1.

The stride of a stage lies in its first 3x3 convolution rather than the 1x1 before it, as in every implementation since
(Goyal et al., 2017): that is the network of 4.1 billion multiply-adds that Table 2 of "EfficientNet" compares with.
"""

import math
import re
from dataclasses import dataclass

import jax
from flax import nnx
from jax import Array

from scaling_search.baselines.published import Published
from scaling_search.family import Naming
from scaling_search.networks.blocks import BatchNorm, Conv, dense
from scaling_search.networks.pooling import max_pool
from scaling_search.rule import Scale, round_channels, round_layers

STEM = 64
STAGE_CHANNELS = (64, 128, 256, 512)
EXPANSION = 4
"""Output channels of a block for each channel of its 3x3 convolution."""


class Bottleneck(nnx.Module):
    """1x1, 3x3 and 1x1 convolutions around a shortcut: (N, H, W, in_channels) -> (N, H', W', out_channels).

    The 3x3 convolution has `groups` groups, which divide `channels`.
    """

    def __init__(
        self, in_channels: int, channels: int, out_channels: int, stride: int, *, groups: int = 1, rngs: nnx.Rngs
    ):
        self.conv1 = Conv(in_channels, channels, 1, rngs=rngs)
        self.norm1 = BatchNorm(channels, activation="relu", epsilon=1e-5)
        self.conv2 = Conv(channels, channels, 3, stride=stride, groups=groups, padding="SYMMETRIC", rngs=rngs)
        self.norm2 = BatchNorm(channels, activation="relu", epsilon=1e-5)
        self.conv3 = Conv(channels, out_channels, 1, rngs=rngs)
        self.norm3 = BatchNorm(out_channels, epsilon=1e-5)
        projects = stride > 1 or in_channels != out_channels
        self.shortcut = Conv(in_channels, out_channels, 1, stride=stride, rngs=rngs) if projects else None
        self.shortcut_norm = BatchNorm(out_channels, epsilon=1e-5) if projects else None

    def __call__(self, x: Array) -> Array:
        """Applies the block."""
        y = self.norm1(self.conv1(x))
        y = self.norm2(self.conv2(y))
        y = self.norm3(self.conv3(y))
        if self.shortcut is not None and self.shortcut_norm is not None:
            x = self.shortcut_norm(self.shortcut(x))
        return jax.nn.relu(x + y)


class ResNet(nnx.Module):
    """Images (N, H, W, 3) of any side -> logits (N, num_classes).

    The 3x3 convolutions have `groups` groups, of `group_width` channels each in the first stage and twice as many in
    each that follows; `scale` widens the groups.
    """

    def __init__(
        self,
        layers: tuple[int, ...],
        scale: Scale,
        num_classes: int,
        *,
        groups: int = 1,
        group_width: int = STAGE_CHANNELS[0],
        rngs: nnx.Rngs,
    ):
        inputs = round_channels(STEM, scale.width)
        self.stem = Conv(3, inputs, 7, stride=2, padding="SYMMETRIC", rngs=rngs)
        self.stem_norm = BatchNorm(inputs, activation="relu", epsilon=1e-5)
        self.stages: nnx.List[nnx.List[Bottleneck]] = nnx.List()
        for stage, (blocks, baseline) in enumerate(zip(layers, STAGE_CHANNELS, strict=True)):
            grouped = groups * group_width * baseline // STAGE_CHANNELS[0]
            channels = round_channels(grouped, scale.width, math.lcm(8, groups))
            outputs = EXPANSION * round_channels(baseline, scale.width)
            self.stages.append(nnx.List())
            for block in range(round_layers(blocks, scale.depth)):
                stride = 2 if stage > 0 and block == 0 else 1
                self.stages[-1].append(Bottleneck(inputs, channels, outputs, stride, groups=groups, rngs=rngs))
                inputs = outputs
        self.classifier = dense(inputs, num_classes, rngs=rngs)

    def features(self, images: Array) -> Array:
        """The last feature map, (N, H', W', C)."""
        x = max_pool(self.stem_norm(self.stem(images)), 3, 2, "SYMMETRIC")
        for stage in self.stages:
            for block in stage:
                x = block(x)
        return x

    def classify(self, features: Array) -> Array:
        """Logits from the last feature map."""
        return self.classifier(features.mean((1, 2)))

    def __call__(self, images: Array) -> Array:
        """Classifies images."""
        return self.classify(self.features(images))


@dataclass(frozen=True)
class ResNetFamily:
    """ResNet as a family; the number of blocks in its four stages says which."""

    name: str
    layers: tuple[int, ...]
    published: Published
    resolution: int = 224

    def build(self, scale: Scale, num_classes: int, *, rngs: nnx.Rngs) -> ResNet:
        """The network at `scale`: the blocks of each stage rounded up, channels to multiples of 8."""
        return ResNet(self.layers, scale, num_classes, rngs=rngs)

    @property
    def namings(self) -> dict[str, Naming]:
        """torchvision and timm call its modules alike."""
        return {"torchvision": _torch_name, "timm": _torch_name}


def _torch_name(path: str) -> str:
    path = re.sub(r"^stem$", "conv1", path)
    path = re.sub(r"^stem_norm$", "bn1", path)
    path = re.sub(r"^stages\.(\d+)", lambda found: f"layer{int(found[1]) + 1}", path)
    path = path.replace("norm", "bn").replace("shortcut_bn", "downsample.1").replace("shortcut", "downsample.0")
    return path.replace("classifier", "fc")


PAPER = 'He et al., "Deep Residual Learning for Image Recognition", CVPR 2016'

RESNET50 = ResNetFamily(
    "resnet50",
    (3, 4, 6, 3),
    Published(
        source=PAPER,
        parameters=None,
        multiply_adds=3.8e9,
        resolution=224,
        reference="torchvision and timm resnet50",
        note="The paper's 3.8B is with strides in the 1x1 convolutions; in the 3x3 they make 4.1B, as in Table 2.",
    ),
)
RESNET152 = ResNetFamily(
    "resnet152",
    (3, 8, 36, 3),
    Published(
        source=PAPER,
        parameters=None,
        multiply_adds=11.3e9,
        resolution=224,
        reference="torchvision and timm resnet152",
    ),
)
