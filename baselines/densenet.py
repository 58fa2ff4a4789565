"""DenseNet-169 and DenseNet-264: "Densely Connected Convolutional Networks" (Huang et al., CVPR 2017), Table 1.

They are what the paper calls DenseNet-BC: each layer has a 1x1 convolution before its 3x3, and each transition halves
the channels.
"""

import re
from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx
from jax import Array

from scaling_search.baselines.parts import PooledStem, torch_norm
from scaling_search.baselines.published import Published
from scaling_search.family import Naming
from scaling_search.networks.blocks import Conv
from scaling_search.networks.convnet import run_stages
from scaling_search.networks.pooling import average_pool
from scaling_search.rule import Scale, round_channels, round_layers

BOTTLENECK = 4
"""Channels of a layer's 1x1 convolution for each that the layer adds."""


class DenseLayer(nnx.Module):
    """Adds `growth` channels to those it is given: (N, H, W, channels) -> (N, H, W, channels + growth)."""

    def __init__(self, channels: int, growth: int, *, rngs: nnx.Rngs):
        self.norm1 = torch_norm(channels, "relu")
        self.conv1 = Conv(channels, BOTTLENECK * growth, 1, rngs=rngs)
        self.norm2 = torch_norm(BOTTLENECK * growth, "relu")
        self.conv2 = Conv(BOTTLENECK * growth, growth, 3, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """Applies the layer."""
        y = self.conv1(self.norm1(x))
        return jnp.concatenate([x, self.conv2(self.norm2(y))], -1)


class Transition(nnx.Module):
    """Halves the channels and the sides: (N, H, W, channels) -> (N, H // 2, W // 2, channels // 2)."""

    def __init__(self, channels: int, *, rngs: nnx.Rngs):
        self.norm = torch_norm(channels, "relu")
        self.conv = Conv(channels, channels // 2, 1, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """Applies the transition."""
        return average_pool(self.conv(self.norm(x)), 2, 2)


class DenseNet(PooledStem):
    """Images (N, H, W, 3) of 32 pixels a side or more -> logits (N, num_classes)."""

    def __init__(self, layers: tuple[int, ...], growth: int, num_classes: int, *, rngs: nnx.Rngs):
        channels = 2 * growth
        self._add_stem(channels, rngs=rngs)
        self.blocks: nnx.List[nnx.List[DenseLayer]] = nnx.List()
        self.transitions: nnx.List[Transition] = nnx.List()
        for block, count in enumerate(layers):
            if block > 0:
                self.transitions.append(Transition(channels, rngs=rngs))
                channels //= 2
            self.blocks.append(nnx.List(DenseLayer(channels + i * growth, growth, rngs=rngs) for i in range(count)))
            channels += count * growth
        self.last_norm = torch_norm(channels, "relu")
        self._add_classifier(channels, num_classes, rngs=rngs)

    def features(self, images: Array) -> Array:
        """The last feature map, (N, H', W', C)."""
        x = run_stages(self.blocks[:1], self._run_stem(images))
        for transition, layers in zip(self.transitions, self.blocks[1:], strict=True):
            x = run_stages([layers], transition(x))
        return self.last_norm(x)


@dataclass(frozen=True)
class DenseNetFamily:
    """DenseNet as a family; the number of layers in its four dense blocks says which.

    Depth multiplies the layers of each dense block, rounded up. Width multiplies the growth rate, the channels that a
    layer adds, to a multiple of 8; every other number of channels follows from it, as in the paper.
    """

    name: str
    layers: tuple[int, ...]
    published: Published
    resolution: int = 224
    growth: int = 32

    def build(self, scale: Scale, num_classes: int, *, rngs: nnx.Rngs) -> DenseNet:
        """The network at `scale`."""
        layers = tuple(round_layers(count, scale.depth) for count in self.layers)
        return DenseNet(layers, round_channels(self.growth, scale.width), num_classes, rngs=rngs)

    @property
    def namings(self) -> dict[str, Naming]:
        """torchvision and timm call its modules alike."""
        return {"torchvision": _torch_name, "timm": _torch_name}


def _torch_name(path: str) -> str:
    def numbered(found: re.Match[str]) -> str:
        return f"features.denseblock{int(found[1]) + 1}.denselayer{int(found[2]) + 1}"

    path = re.sub(r"^blocks\.(\d+)\.(\d+)", numbered, path)
    path = re.sub(r"^transitions\.(\d+)", lambda found: f"features.transition{int(found[1]) + 1}", path)
    path = re.sub(r"^stem_norm$", "features.norm0", path)
    path = re.sub(r"^stem$", "features.conv0", path)
    return re.sub(r"^last_norm$", "features.norm5", path)


PAPER = 'Huang et al., "Densely Connected Convolutional Networks", CVPR 2017'

DENSENET169 = DenseNetFamily(
    "densenet169",
    (6, 12, 32, 32),
    Published(
        source=PAPER,
        parameters=None,
        multiply_adds=None,
        resolution=224,
        reference="torchvision and timm densenet169",
        note="As built: 3.36B multiply-adds, 4 % below Table 2's 3.5B; why is not known.",
    ),
)
DENSENET264 = DenseNetFamily(
    "densenet264",
    (6, 12, 64, 48),
    Published(
        source=PAPER,
        parameters=None,
        multiply_adds=None,
        resolution=224,
        reference="torchvision DenseNet with the layers of DenseNet-264",
        note="As built: 33.3M and 5.75B, 2 % and 4 % below Table 2's 34M and 6.0B; why is not known.",
    ),
)
