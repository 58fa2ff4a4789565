"""What MobileNetV2, MnasNet and EfficientNet share: a 3x3 stem, blocks in stages, a 1x1 convolution as the head.

Their layers are laid out as plain data first, a plan, where depth and width take effect and costs are counted.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Protocol

import jax.numpy as jnp
from flax import nnx
from jax import Array

from scaling_search.errors import UserError
from scaling_search.family import Cost
from scaling_search.networks.blocks import BatchNorm, Conv
from scaling_search.networks.convnet import ConvNet, run_stages
from scaling_search.networks.ops import Activation
from scaling_search.rule import Scale, round_channels


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
    zero_init_residual: bool = field(default=False, repr=False)
    """Whether what is added to a skip starts as zeros: the scale of its last batch norm does (Goyal et al., 2017)."""

    def __repr__(self) -> str:
        # A plan's text names its network's trials: an option that came later is named only where it is on.
        options = (one for one in fields(self) if one.repr or getattr(self, one.name) != one.default)
        return f"Style({', '.join(f'{one.name}={getattr(self, one.name)!r}' for one in options)})"

    def norm(self, channels: int, activation: Activation | None = None) -> BatchNorm:
        """A batch norm and the activation behind it, the style's own unless another is given."""
        return BatchNorm(channels, activation=activation or self.activation, epsilon=self.batch_norm_epsilon)

    def last_norm(self, channels: int, *, residual: bool) -> BatchNorm:
        """The batch norm that ends a block, without activation; `residual` where its output is added to a skip."""
        scale = 0.0 if residual and self.zero_init_residual else 1.0
        return BatchNorm(channels, epsilon=self.batch_norm_epsilon, initial_scale=scale)


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


def staged_cost(plan: Outline, parts: Iterable[Costed], last_channels: int, resolution: int) -> tuple[Cost, int]:
    """What stem, `parts`, head and classifier cost at an input of `resolution` pixels, and the last map's side."""
    side = -(-resolution // plan.stem_stride)
    total = conv_cost(side, 3, 3, plan.stem)
    for part in parts:
        added, side = part.cost(side)
        total += added
    total += conv_cost(side, 1, last_channels, plan.head)
    return total + dense_cost(plan.head, plan.num_classes), side


class StagedPlan:
    """What every plan of a staged network says of its size."""

    @property
    def layers(self: Outline) -> int:
        """Blocks of all stages."""
        return sum(map(len, self.blocks))

    @property
    def channels(self: Outline) -> int:
        """Channels of stem, stages and head together."""
        return self.stem + sum(stage[-1].out_channels for stage in self.blocks) + self.head


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
        # Images that come in bfloat16 stay so, and those in float64, which a score of networks needs.
        given = images.dtype in (jnp.bfloat16, jnp.float64)
        x = self.stem_norm(self.stem(images if given else images.astype(self.dtype)))
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
    divisor: int = 8
    """Channels are multiples of this. In small networks multiples of 8 are coarse: costs follow the width in steps."""
    strided_stages: int = 4
    """How many of the four stages that halve the image do, the last ones; the others keep its side. Fewer suit small
    images: 2 leave 24 pixels, with a stem_stride of 1, a last map of 6x6."""
    zero_init_residual: bool = False
    """Whether each residual branch starts as zeros (Goyal et al., 2017), which helps deep networks start to train."""

    def __post_init__(self) -> None:
        if self.resolution < 1 or self.stem_stride < 1:
            raise UserError(
                f"resolution {self.resolution} and stem_stride {self.stem_stride} given", "both must be at least 1"
            )
        for name in ("dropout", "drop_connect"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{name} {getattr(self, name)!r} given", "it must be at least 0 and below 1")
        Scale(self.depth, self.width)
        if self.divisor < 1:
            raise UserError(f"divisor {self.divisor} given", "it must be at least 1", "try divisor=8")
        if not 0 <= self.strided_stages <= 4:
            raise UserError(f"strided_stages {self.strided_stages} given", "it is 0 to 4", "try strided_stages=4")

    def channels(self, published: int, width: float) -> int:
        """So many channels times `width`, to a multiple of the divisor."""
        return round_channels(published, width, self.divisor)

    def strides(self, published: Sequence[int]) -> list[int]:
        """The strides of the stages: those published, of which only the last `strided_stages` above 1 are kept."""
        halving = [stage for stage, stride in enumerate(published) if stride > 1]
        kept = halving[len(halving) - self.strided_stages :]
        return [stride if stage in kept else 1 for stage, stride in enumerate(published)]
