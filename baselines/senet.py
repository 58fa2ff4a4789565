"""SENet-154: "Squeeze-and-Excitation Networks" (Hu et al., CVPR 2018), the appendix of its later versions.

A ResNeXt-152 64x4d with squeeze-and-excitation in every block, and by the appendix' list: the first 1x1 convolution of
a block has half its channels, three 3x3 convolutions replace the stem's 7x7, shortcuts with a stride are 3x3, and
dropout precedes the classifier.
"""

import re
from dataclasses import dataclass

import jax
from flax import nnx
from jax import Array

from scaling_search.baselines.parts import halving_stages, torch_norm
from scaling_search.baselines.published import Published
from scaling_search.baselines.resnet import Bottleneck
from scaling_search.family import Naming
from scaling_search.networks.blocks import BatchNorm, Conv, SqueezeExcite
from scaling_search.networks.convnet import ConvNet, run_stages
from scaling_search.networks.pooling import max_pool
from scaling_search.rule import Scale, round_channels, round_layers

STEM = (64, 64, 128)
STAGE_CHANNELS = (256, 512, 1024, 2048)
"""Channels of the grouped 3x3 convolutions of a stage, and of its output."""
GROUPS = 64
REDUCTION = 16
DROPOUT = 0.2


class SEBottleneck(Bottleneck):
    """ResNeXt's block with a gate behind its branch: (N, H, W, in_channels) -> (N, H', W', out_channels).

    `reduced` are the channels of the first convolution, `channels` those of the grouped one.
    """

    def __init__(
        self,
        in_channels: int,
        reduced: int,
        channels: int,
        out_channels: int,
        stride: int,
        *,
        zero_init: bool = False,
        rngs: nnx.Rngs,
    ):
        super().__init__(
            in_channels,
            channels,
            out_channels,
            stride,
            reduced=reduced,
            groups=GROUPS,
            window=3,
            zero_init=zero_init,
            rngs=rngs,
        )
        self.squeeze_excite = SqueezeExcite(out_channels, out_channels // REDUCTION, activation="relu", rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """Applies the block."""
        return jax.nn.relu(self._run_shortcut(x) + self.squeeze_excite(self.norm3(self._run_convolutions(x))))


class SENet(ConvNet):
    """Images (N, H, W, 3) of any side -> logits (N, num_classes)."""

    def __init__(
        self,
        layers: tuple[int, ...],
        scale: Scale,
        num_classes: int,
        *,
        zero_init_residual: bool = False,
        rngs: nnx.Rngs,
    ):
        inputs = 3
        self.stem: nnx.List[Conv] = nnx.List()
        self.stem_norms: nnx.List[BatchNorm] = nnx.List()
        for layer, baseline in enumerate(STEM):
            channels = round_channels(baseline, scale.width)
            stride = 2 if layer == 0 else 1
            self.stem.append(Conv(inputs, channels, 3, stride=stride, padding="SYMMETRIC", rngs=rngs))
            self.stem_norms.append(torch_norm(channels, "relu"))
            inputs = channels
        reduced = [round_channels(baseline // 2, scale.width, GROUPS) for baseline in STAGE_CHANNELS]
        grouped = [round_channels(baseline, scale.width, GROUPS) for baseline in STAGE_CHANNELS]
        outputs = [round_channels(baseline, scale.width, 2 * REDUCTION) for baseline in STAGE_CHANNELS]

        def block(stage: int, inputs: int, stride: int) -> SEBottleneck:
            sizes = inputs, reduced[stage], grouped[stage], outputs[stage], stride
            return SEBottleneck(*sizes, zero_init=zero_init_residual, rngs=rngs)

        depths = [round_layers(blocks, scale.depth) for blocks in layers]
        self.stages = halving_stages(inputs, outputs, depths, block)
        self._add_classifier(outputs[-1], num_classes, DROPOUT, rngs=rngs)

    def features(self, images: Array) -> Array:
        """The last feature map, (N, H', W', C)."""
        x = images
        for conv, norm in zip(self.stem, self.stem_norms, strict=True):
            x = norm(conv(x))
        return run_stages(self.stages, max_pool(x, 3, 2, ceil=True))


@dataclass(frozen=True)
class SENetFamily:
    """SENet as a family; the number of blocks in its four stages says which.

    Depth multiplies the blocks of each stage, rounded up. Width multiplies the channels of each of the 64 groups, to
    whole channels, and every other number of channels, to multiples of 8; the number of groups, which ResNeXt holds to
    be another dimension, stays. A gate's inner channels are a 16th of its outer ones.
    """

    name: str
    layers: tuple[int, ...]
    published: Published
    resolution: int
    zero_init_residual: bool = False
    """Whether each residual branch starts as zeros (Goyal et al., 2017), which helps deep networks start to train."""

    def build(self, scale: Scale, num_classes: int, *, rngs: nnx.Rngs) -> SENet:
        """The network at `scale`."""
        return SENet(self.layers, scale, num_classes, zero_init_residual=self.zero_init_residual, rngs=rngs)

    @property
    def namings(self) -> dict[str, Naming]:
        """timm calls its modules much as ResNet's."""
        return {"timm": _timm_name}


def _timm_name(path: str) -> str:
    path = re.sub(r"^stem\.(\d+)", lambda found: f"layer0.conv{int(found[1]) + 1}", path)
    path = re.sub(r"^stem_norms\.(\d+)", lambda found: f"layer0.bn{int(found[1]) + 1}", path)
    path = re.sub(r"^stages\.(\d+)", lambda found: f"layer{int(found[1]) + 1}", path)
    path = path.replace("norm", "bn").replace("shortcut_bn", "downsample.1").replace("shortcut", "downsample.0")
    path = path.replace("squeeze_excite.squeeze", "se_module.fc1").replace("squeeze_excite.excite", "se_module.fc2")
    return path.replace("classifier", "last_linear")


SENET154 = SENetFamily(
    "senet154",
    (3, 8, 36, 3),
    Published(
        source='Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018',
        parameters=None,
        multiply_adds=None,
        resolution=320,
        reference="timm legacy_senet154",
        note="Table 2's 42B is SENet-154's at 320 pixels, but its 146M parameters are not: SENet-154 has 115M.",
    ),
    resolution=320,
)
