"""A network of one's own, made scalable: a plain CNN without anything of scaling-search in it but the rounding.

    scaling-search run --quick --family examples.plain_cnn:PlainCNNFamily

A family says how depth, width and resolution change its network; the search, the cost model and the plots do the rest.
"""

from dataclasses import dataclass

import jax
from flax import nnx

from scaling_search.rule import Scale, round_channels, round_layers


class PlainCNN(nnx.Module):
    """Three stages of 3x3 convolutions, each at half the side of the one before."""

    def __init__(self, layers: int, channels: int, num_classes: int, *, rngs: nnx.Rngs):
        self.convs, self.norms = nnx.List(), nnx.List()
        inputs = 3
        for stage in range(3):
            for layer in range(layers):
                outputs = channels * 2**stage
                stride = 2 if layer == 0 and stage > 0 else 1
                self.convs.append(nnx.Conv(inputs, outputs, (3, 3), strides=stride, use_bias=False, rngs=rngs))
                self.norms.append(nnx.BatchNorm(outputs, rngs=rngs))
                inputs = outputs
        self.classifier = nnx.Linear(inputs, num_classes, rngs=rngs)

    def features(self, images: jax.Array) -> jax.Array:
        """The last feature map; with `classify` apart, class activation maps can be drawn."""
        x = images
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = jax.nn.relu(norm(conv(x)))
        return x

    def classify(self, features: jax.Array) -> jax.Array:
        """Logits from the last feature map."""
        return self.classifier(features.mean((1, 2)))

    def __call__(self, images: jax.Array) -> jax.Array:
        """Images (N, H, W, 3) -> logits (N, num_classes)."""
        return self.classify(self.features(images))


@dataclass(frozen=True)
class PlainCNNFamily:
    """The plain CNN as a family. Its fields can be set by --family-options."""

    name: str = "plain_cnn"
    resolution: int = 12
    channels: int = 8

    def build(self, scale: Scale, num_classes: int, *, rngs: nnx.Rngs) -> PlainCNN:
        """The network at `scale`; the resolution is the images' affair."""
        return PlainCNN(
            round_layers(1, scale.depth), round_channels(self.channels, scale.width, 4), num_classes, rngs=rngs
        )
