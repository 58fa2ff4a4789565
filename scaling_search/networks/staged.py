"""What MobileNetV2, MnasNet and EfficientNet share: a 3x3 stem, blocks in stages, a 1x1 convolution as the head.

Their layers are laid out as plain data first, a plan, where depth and width take effect and costs are counted.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import jax.numpy as jnp
from flax import nnx
from jax import Array

from scaling_search.errors import UserError
from scaling_search.family import Cost
from scaling_search.networks.blocks import BatchNorm, Conv
from scaling_search.networks.convnet import ConvNet, run_stages
from scaling_search.networks.ops import Activation
from scaling_search.rule import Scale


def conv_cost(side: int, kernel_size: int, in_channels: int, out_channels: int, groups: int = 1) -> Cost:
    """A convolution without bias and the scale and offset of its batch norm, on an output of `side` pixels."""
    weights = kernel_size**2 * in_channels * out_channels // groups
    return Cost(weights + 2 * out_channels, weights * side**2, out_channels * side**2)


def dense_cost(inputs: int, outputs: int) -> Cost:
    """A dense layer with bias."""
    return Cost((inputs + 1) * outputs, inputs * outputs, outputs)


@dataclass(frozen=True)
class Style:
    """What every block of a network shares."""

    activation: Activation = "silu"
    squeeze_excite: bool = True
    padding: Literal["SAME", "SYMMETRIC"] = "SAME"
    batch_norm_epsilon: float = 1e-3

    def norm(self, channels: int, activation: Activation | None = None) -> BatchNorm:
        """A batch norm and the activation behind it, the style's own unless another is given."""
        return BatchNorm(channels, activation=activation or self.activation, epsilon=self.batch_norm_epsilon)


class Costed(Protocol):
    """A part of a network that can be counted."""

    def cost(self, side: int) -> tuple[Cost, int]:
        """The part's cost on an input of `side` pixels, and the side of its output."""
        ...


class Outline(Protocol):
    """The ends of a plan."""

    @property
    def stem(self) -> int: ...  # noqa: D102
    @property
    def stem_stride(self) -> int: ...  # noqa: D102
    @property
    def head(self) -> int: ...  # noqa: D102
    @property
    def num_classes(self) -> int: ...  # noqa: D102
    @property
    def dropout(self) -> float: ...  # noqa: D102
    @property
    def style(self) -> Style: ...  # noqa: D102
    @property
    def blocks(self) -> Sequence[Sequence[Any]]:
        """The blocks of each stage, in order; each has `in_channels` and `out_channels`."""
        ...


def staged_cost(plan: Outline, parts: Iterable[Costed], last_channels: int, resolution: int) -> Cost:
    """Parameters, multiply-adds and activations of stem, `parts`, head and classifier at `resolution` pixels a side."""
    side = -(-resolution // plan.stem_stride)
    total = conv_cost(side, 3, 3, plan.stem)
    for part in parts:
        added, side = part.cost(side)
        total += added
    total += conv_cost(side, 1, last_channels, plan.head)
    return total + dense_cost(plan.head, plan.num_classes)


class StagedNet(ConvNet):
    """The network of a plan: images (N, H, W, 3) of any side -> logits (N, num_classes) float32.

    `block` makes each block from its plan. The network computes in `dtype`.
    """

    def __init__(self, plan: Outline, block: Callable[[Any], nnx.Module], *, dtype: str = "float32", rngs: nnx.Rngs):
        style, stages = plan.style, plan.blocks
        self.stem = Conv(3, plan.stem, 3, stride=plan.stem_stride, padding=style.padding, rngs=rngs)
        self.stem_norm = style.norm(plan.stem)
        self.stages = nnx.List([nnx.List([block(one) for one in stage]) for stage in stages])
        self.head = Conv(stages[-1][-1].out_channels, plan.head, 1, rngs=rngs)
        self.head_norm = style.norm(plan.head)
        self._add_classifier(plan.head, plan.num_classes, plan.dropout, rngs=rngs)
        self.dtype = dtype

    def features(self, images: Array) -> Array:
        """The last feature map, (N, H', W', head channels), before pooling."""
        # Images that come in bfloat16 stay so.
        x = self.stem_norm(self.stem(images if images.dtype == jnp.bfloat16 else images.astype(self.dtype)))
        return self.head_norm(self.head(run_stages(self.stages, x)))


@dataclass(frozen=True)
class StagedFamily:
    """The options that families of staged networks share. `depth` and `width` give a baseline that is itself scaled."""

    name: str
    resolution: int = 224
    """Input side in pixels at r = 1."""
    depth: float = 1.0
    """Depth of the baseline relative to the network as published."""
    width: float = 1.0
    """Width of the baseline relative to the network as published."""
    stem_stride: int = 2
    """1 keeps more pixels of a small image."""
    dropout: float = 0.2
    """Dropout before the classifier."""
    drop_connect: float = 0.2
    """Drop-connect of a block behind the last; it rises linearly from 0 with the block's index."""

    def __post_init__(self) -> None:
        if self.resolution < 1 or self.stem_stride < 1:
            raise UserError(
                f"resolution {self.resolution} and stem_stride {self.stem_stride} given", "both must be at least 1"
            )
        for name in ("dropout", "drop_connect"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{name} {getattr(self, name)!r} given", "it must be at least 0 and below 1")
        Scale(self.depth, self.width)
