"""ResNet-50 and ResNet-152: "Deep Residual Learning for Image Recognition" (He et al., CVPR 2016), Table 1.

The stride of a stage lies in its first 3x3 convolution rather than the 1x1 before it, as in every implementation since
(Goyal et al., 2017): that is the network of 4.1 billion multiply-adds that Table 2 of "EfficientNet" compares with.
"""

import math
import re
from dataclasses import dataclass

from flax import nnx
from jax import Array

from scaling_search.baselines.parts import PooledStem, Shortcut, branch_norm, halving_stages, torch_norm
from scaling_search.baselines.published import Published
from scaling_search.family import Naming
from scaling_search.networks.blocks import Conv
from scaling_search.networks.convnet import run_stages
from scaling_search.networks.ops import relu
from scaling_search.rule import Scale, round_channels, round_layers

STEM = 64
STAGE_CHANNELS = (64, 128, 256, 512)
EXPANSION = 4
"""Output channels of a block for each channel of its 3x3 convolution."""


class Bottleneck(Shortcut):
    """1x1, 3x3 and 1x1 convolutions around a shortcut: (N, H, W, in_channels) -> (N, H', W', out_channels).

    The first has `reduced` channels, or as many as the 3x3 convolution: `channels`, in `groups` groups. A shortcut
    that halves the image is a convolution of `window` pixels. With `zero_init` what is added to it starts as zeros.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        out_channels: int,
        stride: int,
        *,
        reduced: int | None = None,
        groups: int = 1,
        window: int = 1,
        zero_init: bool = False,
        rngs: nnx.Rngs,
    ):
        reduced = reduced or channels
        self.conv1 = Conv(in_channels, reduced, 1, rngs=rngs)
        self.norm1 = torch_norm(reduced, "relu")
        self.conv2 = Conv(reduced, channels, 3, stride=stride, groups=groups, padding="SYMMETRIC", rngs=rngs)
        self.norm2 = torch_norm(channels, "relu")
        self.conv3 = Conv(channels, out_channels, 1, rngs=rngs)
        self.norm3 = branch_norm(out_channels, zero_init=zero_init)
        self._add_shortcut(in_channels, out_channels, stride, window if stride > 1 else 1, rngs=rngs)

    def branch(self, x: Array) -> Array:
        """What is added to the shortcut."""
        y = self.norm1(self.conv1(x))
        y = self.norm2(self.conv2(y))
        return self.norm3(self.conv3(y))

    def __call__(self, x: Array) -> Array:
        """Applies the block."""
        return relu(self._run_shortcut(x) + self.branch(x))


class ResNet(PooledStem):
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
        zero_init_residual: bool = False,
        rngs: nnx.Rngs,
    ):
        inputs = round_channels(STEM, scale.width)
        self._add_stem(inputs, rngs=rngs)
        grouped = [groups * group_width * baseline // STAGE_CHANNELS[0] for baseline in STAGE_CHANNELS]
        channels = [round_channels(baseline, scale.width, math.lcm(8, groups)) for baseline in grouped]
        outputs = [EXPANSION * round_channels(baseline, scale.width) for baseline in STAGE_CHANNELS]

        def block(stage: int, inputs: int, stride: int) -> Bottleneck:
            sizes = inputs, channels[stage], outputs[stage], stride
            return Bottleneck(*sizes, groups=groups, zero_init=zero_init_residual, rngs=rngs)

        depths = [round_layers(blocks, scale.depth) for blocks in layers]
        self.stages = halving_stages(inputs, outputs, depths, block)
        self._add_classifier(outputs[-1], num_classes, rngs=rngs)

    def features(self, images: Array) -> Array:
        """The last feature map, (N, H', W', C)."""
        return run_stages(self.stages, self._run_stem(images))


@dataclass(frozen=True)
class ResNetFamily:
    """ResNet as a family; the number of blocks in its four stages says which."""

    name: str
    layers: tuple[int, ...]
    published: Published
    resolution: int = 224
    zero_init_residual: bool = False
    """Whether each residual branch starts as zeros (Goyal et al., 2017), which helps deep networks start to train."""

    def build(self, scale: Scale, num_classes: int, *, rngs: nnx.Rngs) -> ResNet:
        """The network at `scale`: the blocks of each stage rounded up, channels to multiples of 8."""
        return ResNet(self.layers, scale, num_classes, zero_init_residual=self.zero_init_residual, rngs=rngs)

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
