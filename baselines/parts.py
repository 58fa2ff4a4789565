"""Parts that several of the baselines have: stem, shortcut, stages that halve the image, and the auxiliary head."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import jax.numpy as jnp
from flax import nnx
from jax import Array

from scaling_search.networks.blocks import BatchNorm, Conv, dense
from scaling_search.networks.convnet import ConvNet
from scaling_search.networks.ops import Activation
from scaling_search.networks.pooling import average_pool, max_pool
from scaling_search.rule import round_channels

B = TypeVar("B", bound=nnx.Module)


def torch_norm(channels: int, activation: Activation = "none") -> BatchNorm:
    """A batch norm with PyTorch's epsilon, and the activation behind it."""
    return BatchNorm(channels, activation=activation, epsilon=1e-5)


def branch_norm(channels: int, *, zero_init: bool) -> BatchNorm:
    """The batch norm that ends a residual branch, which with `zero_init` starts as zeros (Goyal et al., 2017)."""
    return BatchNorm(channels, epsilon=1e-5, initial_scale=0.0 if zero_init else 1.0)


class PooledStem(ConvNet):
    """A network that begins as ResNet does: a 7x7 convolution and a max pool over 3x3 pixels, each of stride 2."""

    def _add_stem(self, channels: int, *, rngs: nnx.Rngs) -> None:
        self.stem = Conv(3, channels, 7, stride=2, padding="SYMMETRIC", rngs=rngs)
        self.stem_norm = torch_norm(channels, "relu")

    def _run_stem(self, images: Array) -> Array:
        """(N, H, W, 3) -> (N, H / 4, W / 4, channels), sides rounded up."""
        return max_pool(self.stem_norm(self.stem(images)), 3, 2, "SYMMETRIC")


class Shortcut(nnx.Module):
    """A block with a shortcut: a convolution with batch norm where the shape changes, else the input itself."""

    def _add_shortcut(self, inputs: int, outputs: int, stride: int, window: int = 1, *, rngs: nnx.Rngs) -> None:
        projects = stride > 1 or inputs != outputs
        self.shortcut = (
            Conv(inputs, outputs, window, stride=stride, padding="SYMMETRIC", rngs=rngs) if projects else None
        )
        self.shortcut_norm = torch_norm(outputs) if projects else None

    def _run_shortcut(self, x: Array) -> Array:
        """(N, H, W, inputs) -> (N, H', W', outputs)."""
        if self.shortcut is None or self.shortcut_norm is None:
            return x
        return self.shortcut_norm(self.shortcut(x))


def halving_stages(
    inputs: int, channels: Sequence[int], layers: Sequence[int], block: Callable[[int, int, int], B]
) -> nnx.List[nnx.List[B]]:
    """Stages of `layers` blocks, in order; the first block of every stage but the first halves the image.

    `block` makes one from the stage's index, its input channels and its stride; its output has the stage's `channels`.
    """
    stages: nnx.List[nnx.List[B]] = nnx.List()
    for stage, (outputs, count) in enumerate(zip(channels, layers, strict=True)):
        stages.append(nnx.List())
        for index in range(count):
            stages[-1].append(block(stage, inputs, 2 if stage > 0 and index == 0 else 1))
            inputs = outputs
    return stages


class AuxiliaryHead(nnx.Module):
    """Logits from a feature map in the middle, (N, H, W, inputs) -> (N, num_classes): a second loss for training.

    Means of 5x5 pixels at stride 3, a 1x1 convolution, one that covers `window` x `window` of these means, and a dense
    layer ("Rethinking the Inception Architecture", Szegedy et al., CVPR 2016, Figure 8; NASNet's is alike). A smaller
    map gets zeros around it until the window fits; of a larger one, what the windows make is averaged.
    """

    def __init__(self, inputs: int, width: float, num_classes: int, *, window: int, rngs: nnx.Rngs):
        few, many = round_channels(128, width), round_channels(768, width)
        self.smallest = 5 + 3 * (window - 1)
        self.conv1 = Conv(inputs, few, 1, rngs=rngs)
        self.norm1 = BatchNorm(few, activation="relu")
        self.conv2 = Conv(few, many, window, padding="VALID", rngs=rngs)
        self.norm2 = BatchNorm(many, activation="relu")
        self.classifier = dense(many, num_classes, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """Classifies a feature map."""
        missing = [max(0, self.smallest - side) for side in x.shape[1:3]]
        x = jnp.pad(x, [(0, 0), *((pixels // 2, pixels - pixels // 2) for pixels in missing), (0, 0)])
        x = self.norm1(self.conv1(average_pool(x, 5, 3)))
        return self.classifier(self.norm2(self.conv2(x)).mean((1, 2)))


class AuxiliaryNet(ConvNet):
    """A ConvNet that, with an auxiliary head and in training, answers with a second pair of logits.

    A subclass sets `auxiliary` and defines `maps` in place of `features`.
    """

    def _add_auxiliary(
        self, channels: int, width: float, num_classes: int, *, window: int, present: bool, rngs: nnx.Rngs
    ) -> None:
        self.auxiliary = AuxiliaryHead(channels, width, num_classes, window=window, rngs=rngs) if present else None
        self.use_running_average = False

    def maps(self, images: Array) -> tuple[Array, Array]:
        """The feature map that the auxiliary head sees, and the last one."""
        raise NotImplementedError

    def features(self, images: Array) -> Array:
        """The last feature map, (N, H', W', C)."""
        return self.maps(images)[1]

    def __call__(self, images: Array) -> Array | tuple[Array, Array]:
        """Classifies images: logits (N, num_classes), or two of them."""
        middle, last = self.maps(images)
        logits = self.classify(last)
        if self.auxiliary is None or self.use_running_average:
            return logits
        return logits, self.auxiliary(middle)
