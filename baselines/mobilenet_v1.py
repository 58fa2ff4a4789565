"""MobileNetV1: "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications" (Howard et al.,
2017), Table 1.

The last depthwise convolution has stride 1: the 2 in the paper's table is a misprint, as the 7x7 beside it shows. The
activation is ReLU6, as in the authors' code, where the paper says ReLU.
"""

from dataclasses import dataclass

from flax import nnx
from jax import Array

from scaling_search.baselines.parts import halving_stages, torch_norm
from scaling_search.baselines.published import Published
from scaling_search.family import Naming
from scaling_search.networks import efficientnet_names
from scaling_search.networks.blocks import Conv
from scaling_search.networks.convnet import ConvNet, run_stages
from scaling_search.rule import Scale, round_channels, round_layers

STEM = 32
STAGES = ((64, 1), (128, 2), (256, 2), (512, 6), (1024, 2))
"""Channels and blocks of each stage. All but the first halve the image."""


class SeparableBlock(nnx.Module):
    """A depthwise 3x3 and a 1x1 convolution: (N, H, W, in_channels) -> (N, H', W', out_channels)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, rngs: nnx.Rngs):
        self.filter = Conv(
            in_channels, in_channels, 3, stride=stride, groups=in_channels, padding="SYMMETRIC", rngs=rngs
        )
        self.filter_norm = torch_norm(in_channels, "relu6")
        self.project = Conv(in_channels, out_channels, 1, rngs=rngs)
        self.project_norm = torch_norm(out_channels, "relu6")

    def __call__(self, x: Array) -> Array:
        """Applies the block."""
        x = self.filter_norm(self.filter(x))
        return self.project_norm(self.project(x))


class MobileNetV1(ConvNet):
    """Images (N, H, W, 3) of any side -> logits (N, num_classes)."""

    def __init__(self, scale: Scale, num_classes: int, *, rngs: nnx.Rngs):
        inputs = round_channels(STEM, scale.width)
        self.stem = Conv(3, inputs, 3, stride=2, padding="SYMMETRIC", rngs=rngs)
        self.stem_norm = torch_norm(inputs, "relu6")
        channels = [round_channels(baseline, scale.width) for baseline, _ in STAGES]

        def block(stage: int, inputs: int, stride: int) -> SeparableBlock:
            return SeparableBlock(inputs, channels[stage], stride, rngs=rngs)

        depths = [round_layers(blocks, scale.depth) for _, blocks in STAGES]
        self.stages = halving_stages(inputs, channels, depths, block)
        self._add_classifier(channels[-1], num_classes, rngs=rngs)

    def features(self, images: Array) -> Array:
        """The last feature map, (N, H', W', C)."""
        return run_stages(self.stages, self.stem_norm(self.stem(images)))


@dataclass(frozen=True)
class MobileNetV1Family:
    """MobileNetV1 as a family.

    Depth multiplies the blocks of each stage, rounded up; width, the paper's width multiplier, every number of
    channels, to multiples of 8.
    """

    name: str
    published: Published
    resolution: int = 224

    def build(self, scale: Scale, num_classes: int, *, rngs: nnx.Rngs) -> MobileNetV1:
        """The network at `scale`."""
        return MobileNetV1(scale, num_classes, rngs=rngs)

    @property
    def namings(self) -> dict[str, Naming]:
        """timm's names."""
        return {"timm": _timm_name}


def _timm_name(path: str) -> str:
    # timm numbers the blocks as ours, and calls what is in each as in EfficientNet's first stage, which has no
    # expansion either.
    if not path.startswith("stages."):
        return efficientnet_names.timm(path)
    _, stage, block, inside = path.split(".")
    first = efficientnet_names.timm(f"stages.0.{block}.{inside}")
    return first.replace("blocks.0", f"blocks.{stage}", 1)


MOBILENET_V1 = MobileNetV1Family(
    "mobilenet_v1",
    Published(
        source='Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", '
        "2017",
        parameters=4.2e6,
        multiply_adds=569e6,
        resolution=224,
        reference="timm mobilenetv1_100",
    ),
)
