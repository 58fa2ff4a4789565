"""What networks for images share: a last feature map, the classifier behind it, and blocks in stages before it."""

from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import Array

from scaling_search.networks.blocks import Dropout, dense


class ConvNet(nnx.Module):
    """Images (N, H, W, 3) -> logits (N, num_classes): features, their mean over pixels, dropout and a dense layer.

    A subclass defines `features`, and calls `_add_classifier` where its classifier comes in the order of its parts.
    """

    def _add_classifier(self, channels: int, num_classes: int, dropout: float = 0.0, *, rngs: nnx.Rngs) -> None:
        self.dropout = Dropout(dropout, rngs=rngs) if dropout > 0 else None
        self.classifier = dense(channels, num_classes, rngs=rngs)

    def features(self, images: Array) -> Array:
        """The last feature map, (N, H', W', C), before pooling."""
        raise NotImplementedError

    def classify(self, features: Array) -> Array:
        """Logits (N, num_classes) float32 from the last feature map."""
        x = features.mean((1, 2)).astype(jnp.promote_types(features.dtype, jnp.float32))
        return self.classifier(x if self.dropout is None else self.dropout(x))

    def __call__(self, images: Array) -> Any:
        """Classifies images."""
        return self.classify(self.features(images))


def run_stages(stages: Iterable[Iterable[Any]], x: Array) -> Array:
    """Applies each block of each stage in turn."""
    for stage in stages:
        for block in stage:
            x = block(x)
    return x
