"""DenseNet-169 and DenseNet-264: "Densely Connected Convolutional Networks" (Huang et al., CVPR 2017), Table 1.

They are what the paper calls DenseNet-BC: each layer has a 1x1 convolution before its 3x3, and each transition halves
the channels.
"""

import re
from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx
from jax import Array

from scaling_search.baselines.published import Published
from scaling_search.family import Naming
from scaling_search.networks.blocks import BatchNorm, Conv, dense
from scaling_search.networks.pooling import average_pool, max_pool
from scaling_search.rule import Scale, round_channels, round_layers

BOTTLENECK = 4
"""Channels of a layer's 1x1 convolution for each that the layer adds."""


class DenseLayer(nnx.Module):
    """Adds `growth` channels to those it is given: (N, H, W, channels) -> (N, H, W, channels + growth)."""

    def __init__(self, channels: int, growth: int, *, rngs: nnx.Rngs):
        self.norm1 = BatchNorm(channels, activation="relu", epsilon=1e-5)
        self.conv1 = Conv(channels, BOTTLENECK * growth, 1, rngs=rngs)
        self.norm2 = BatchNorm(BOTTLENECK * growth, activation="relu", epsilon=1e-5)
        self.conv2 = Conv(BOTTLENECK * growth, growth, 3, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """Applies the layer."""
        y = self.conv1(self.norm1(x))
        return jnp.concatenate([x, self.conv2(self.norm2(y))], -1)


class Transition(nnx.Module):
    """Halves the channels and the sides: (N, H, W, channels) -> (N, H // 2, W // 2, channels // 2)."""

    def __init__(self, channels: int, *, rngs: nnx.Rngs):
        self.norm = BatchNorm(channels, activation="relu", epsilon=1e-5)
        self.conv = Conv(channels, channels // 2, 1, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """Applies the transition."""
        return average_pool(self.conv(self.norm(x)), 2, 2)


class DenseNet(nnx.Module):
    """Images (N, H, W, 3) of 32 pixels a side or more -> logits (N, num_classes)."""

    def __init__(self, layers: tuple[int, ...], growth: int, num_classes: int, *, rngs: nnx.Rngs):
        channels = 2 * growth
        self.stem = Conv(3, channels, 7, stride=2, padding="SYMMETRIC", rngs=rngs)
        self.stem_norm = BatchNorm(channels, activation="relu", epsilon=1e-5)
        self.blocks: nnx.List[nnx.List[DenseLayer]] = nnx.List()
        self.transitions: nnx.List[Transition] = nnx.List()
        for block, count in enumerate(layers):
            if block > 0:
                self.transitions.append(Transition(channels, rngs=rngs))
                channels //= 2
            self.blocks.append(nnx.List(DenseLayer(channels + i * growth, growth, rngs=rngs) for i in range(count)))
            channels += count * growth
        self.last_norm = BatchNorm(channels, activation="relu", epsilon=1e-5)
        self.classifier = dense(channels, num_classes, rngs=rngs)

    def features(self, images: Array) -> Array:
        """The last feature map, (N, H', W', C)."""
        x = max_pool(self.stem_norm(self.stem(images)), 3, 2, "SYMMETRIC")
        for block, layers in enumerate(self.blocks):
            if block > 0:
                x = self.transitions[block - 1](x)
            for layer in layers:
                x = layer(x)
        return self.last_norm(x)

    def classify(self, features: Array) -> Array:
        """Logits from the last feature map."""
        return self.classifier(features.mean((1, 2)))

    def __call__(self, images: Array) -> Array:
        """Classifies images."""
        return self.classify(self.features(images))


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
