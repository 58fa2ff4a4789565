"""EfficientNet at any (depth, width, resolution), from Table 1 of "EfficientNet" (Tan and Le, 2019).

`plan` lays the layers out as plain data, which is where depth and width take effect and where costs are counted;
`EfficientNet` builds a Flax network from a plan.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Any, Literal

import numpy as np
from flax import nnx
from jax import Array
from numpy.typing import NDArray

from scaling_search.errors import UserError
from scaling_search.family import Cost, Naming
from scaling_search.networks import efficientnet_names as names
from scaling_search.networks.blocks import Conv, SqueezeExcite, drop_connect
from scaling_search.networks.rounding import round_channels_of_many, round_layers_of_many
from scaling_search.networks.staged import (
    StagedFamily,
    StagedNet,
    StagedPlan,
    Style,
    conv_cost,
    dense_cost,
    staged_cost,
)
from scaling_search.rule import PUBLISHED, PublishedModel, Scale, round_channels, round_layers


@dataclass(frozen=True)
class Stage:
    """A row of Table 1: `layers` MBConv blocks, the first of which has the stride."""

    expansion: int
    kernel_size: int
    stride: int
    channels: int
    layers: int


# With these strides stage 6 takes a 14x14 input; the 28x28 of the paper's Table 1 is a misprint.
B0_STAGES = (
    Stage(expansion=1, kernel_size=3, stride=1, channels=16, layers=1),
    Stage(expansion=6, kernel_size=3, stride=2, channels=24, layers=2),
    Stage(expansion=6, kernel_size=5, stride=2, channels=40, layers=2),
    Stage(expansion=6, kernel_size=3, stride=2, channels=80, layers=3),
    Stage(expansion=6, kernel_size=5, stride=1, channels=112, layers=3),
    Stage(expansion=6, kernel_size=5, stride=2, channels=192, layers=4),
    Stage(expansion=6, kernel_size=3, stride=1, channels=320, layers=1),
)
B0_STEM = 32
B0_HEAD = 1280


@dataclass(frozen=True)
class MBConvPlan:
    """One inverted bottleneck: expand by a 1x1, filter by a depthwise, gate, project by a 1x1."""

    in_channels: int
    out_channels: int
    expansion: int
    kernel_size: int
    stride: int
    drop_connect: float
    """Share of images for which the block is skipped in training."""
    style: "Style"

    @property
    def expanded(self) -> int:
        """Channels between the expansion and the projection."""
        return self.in_channels * self.expansion

    @property
    def squeezed(self) -> int:
        """Channels inside squeeze-and-excitation: a quarter of the block's input channels."""
        # At least one, in a form that counts many networks at once too.
        return self.in_channels // 4 + (self.in_channels < 4)

    @property
    def has_skip(self) -> bool:
        """Whether the block's input is added to its output."""
        return self.stride == 1 and self.in_channels == self.out_channels

    def cost(self, side: int) -> tuple[Cost, int]:
        """The block's cost on an input of `side` pixels, and the side of its output."""
        after = -(-side // self.stride)
        total = conv_cost(after, self.kernel_size, self.expanded, self.expanded, groups=self.expanded)
        if self.style.squeeze_excite:
            total += dense_cost(self.expanded, self.squeezed) + dense_cost(self.squeezed, self.expanded)
        total += conv_cost(after, 1, self.expanded, self.out_channels)
        if self.expansion > 1:
            total += conv_cost(side, 1, self.in_channels, self.expanded)
        return total, after


class MBConv(nnx.Module):
    """The block that an `MBConvPlan` describes: (N, H, W, in_channels) -> (N, H', W', out_channels)."""

    def __init__(self, plan: MBConvPlan, *, residual: bool | None = None, rngs: nnx.Rngs):
        # Whether what it makes is added to something, here or by whoever calls `branch`.
        residual = plan.has_skip if residual is None else residual
        expanded, style = plan.expanded, plan.style
        widens = plan.expansion > 1
        self.expand = Conv(plan.in_channels, expanded, 1, rngs=rngs) if widens else None
        self.expand_norm = style.norm(expanded) if widens else None
        self.filter = Conv(
            expanded, expanded, plan.kernel_size, stride=plan.stride, groups=expanded, padding=style.padding, rngs=rngs
        )
        self.filter_norm = style.norm(expanded)
        self.gate = (
            SqueezeExcite(expanded, plan.squeezed, activation=style.activation, rngs=rngs)
            if style.squeeze_excite
            else None
        )
        self.project = Conv(expanded, plan.out_channels, 1, rngs=rngs)
        self.project_norm = style.last_norm(plan.out_channels, residual=residual)
        self.has_skip = plan.has_skip
        self.drop = drop_connect(plan.drop_connect, rngs) if plan.has_skip and plan.drop_connect > 0 else None

    def branch(self, x: Array) -> Array:
        """What is added to the block's input where it has a skip."""
        if self.expand is not None and self.expand_norm is not None:
            y = self.expand_norm.then(self.filter, self.expand(x))
        else:
            y = self.filter(x)
        y = self.filter_norm(y) if self.gate is None else self.filter_norm.then(self.gate, y)
        y = self.project_norm(self.project(y))
        return y if self.drop is None else self.drop(y)

    def __call__(self, x: Array) -> Array:
        """Applies the block."""
        y = self.branch(x)
        return x + y if self.has_skip else y


@dataclass(frozen=True)
class StagePlan:
    """A stage of `layers` blocks, of which the first has the stride and changes the number of channels."""

    in_channels: int
    out_channels: int
    expansion: int
    kernel_size: int
    stride: int
    layers: int
    style: Style

    def block(self, layer: int, drop_connect: float = 0.0) -> MBConvPlan:
        """The block of this stage with the index `layer`."""
        return MBConvPlan(
            in_channels=self.out_channels if layer else self.in_channels,
            out_channels=self.out_channels,
            expansion=self.expansion,
            kernel_size=self.kernel_size,
            stride=1 if layer else self.stride,
            drop_connect=drop_connect,
            style=self.style,
        )

    def cost(self, side: int) -> tuple[Cost, int]:
        """The stage's cost on an input of `side` pixels, and the side of its output."""
        total, after = self.block(0).cost(side)
        return total + self.block(1).cost(after)[0] * (self.layers - 1), after


@dataclass(frozen=True)
class EfficientNetPlan(StagedPlan):
    """The layers of one EfficientNet."""

    stem: int
    stem_stride: int
    stages: tuple[StagePlan, ...]
    head: int
    num_classes: int
    dropout: float
    drop_connect: float
    """Of a block behind the last; it rises linearly from 0 with the block's index."""
    dtype: str
    style: Style

    @property
    def blocks(self) -> tuple[tuple[MBConvPlan, ...], ...]:
        """The blocks of each stage, in order."""
        index, total = count(), sum(stage.layers for stage in self.stages)
        return tuple(
            tuple(stage.block(layer, self.drop_connect * next(index) / total) for layer in range(stage.layers))
            for stage in self.stages
        )

    def cost(self, resolution: int) -> Cost:
        """Parameters, multiply-adds and activations at an input of `resolution` pixels a side."""
        return self._cost_and_side(resolution)[0]

    def last_map_side(self, resolution: int) -> int:
        """Side in pixels of the last feature map at such an input."""
        return self._cost_and_side(resolution)[1]

    def _cost_and_side(self, resolution: int) -> tuple[Cost, int]:
        return staged_cost(self, self.stages, self.stages[-1].out_channels, resolution)


class EfficientNet(StagedNet):
    """The network of a plan: images (N, H, W, 3) of any side -> logits (N, num_classes) float32."""

    def __init__(self, plan: EfficientNetPlan, *, rngs: nnx.Rngs):
        super().__init__(plan, lambda block: MBConv(block, rngs=rngs), dtype=plan.dtype, rngs=rngs)


@dataclass(frozen=True)
class EfficientNetFamily(StagedFamily):
    """EfficientNet as a family. `depth` and `width` give a baseline that is itself a scaled B0."""

    name: str = "efficientnet"
    dtype: str = "float32"
    """What the network computes in: float32 or bfloat16. Parameters and logits are float32."""
    padding: str = "SAME"
    """SAME as the authors' TensorFlow pads, or SYMMETRIC as PyTorch does."""
    batch_norm_epsilon: float = 1e-3
    """The authors' epsilon; weights trained in PyTorch are for 1e-5."""
    stages: tuple[Stage, ...] = B0_STAGES
    """The rows of the table that is scaled."""
    stem: int = B0_STEM
    """Channels of the stem in that table."""
    head: int = B0_HEAD
    """Channels of the head in that table."""
    lite: bool = False
    """EfficientNet-Lite: ReLU6, no squeeze-and-excitation; stem, head and the layers of both end stages as in B0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dtype not in ("float32", "bfloat16"):
            raise UserError(f"dtype {self.dtype!r} given", "EfficientNet computes in float32 or bfloat16")
        if self.padding not in ("SAME", "SYMMETRIC"):
            raise UserError(f"padding {self.padding!r} given", "EfficientNet pads SAME or SYMMETRIC")
        if not self.batch_norm_epsilon > 0:
            raise UserError(f"batch_norm_epsilon {self.batch_norm_epsilon!r} given", "it must be above 0")

    def plan(self, scale: Scale, num_classes: int) -> EfficientNetPlan:
        """The layers at `scale`: channels to multiples of the divisor, layers rounded up; the head widens too."""
        return self._laid_out(
            self.depth * scale.depth, self.width * scale.width, num_classes, round_channels, round_layers
        )

    def costs(
        self, depths: NDArray[np.float64], widths: NDArray[np.float64], sides: NDArray[np.int64], num_classes: int
    ) -> Cost:
        """What many networks cost at once, each number an array of int64. The arrays are of one length."""
        # The arithmetic of a plan is the same for whole numbers and for arrays of them.
        laid_out: Any = self._laid_out
        plan = laid_out(
            self.depth * depths, self.width * widths, num_classes, round_channels_of_many, round_layers_of_many
        )
        counted: Cost = plan.cost(sides)
        return counted

    def _laid_out(
        self,
        depth: float,
        width: float,
        num_classes: int,
        channels: Callable[[int, float, int], int],
        layers_at: Callable[[int, float], int],
    ) -> EfficientNetPlan:
        style = Style(
            activation="relu6" if self.lite else "silu",
            squeeze_excite=not self.lite,
            padding=self.padding,  # type: ignore[arg-type]
            batch_norm_epsilon=self.batch_norm_epsilon,
            zero_init_residual=self.zero_init_residual,
        )
        ends = 1.0 if self.lite else width
        stem = channels(self.stem, ends, self.divisor)
        widths = [channels(stage.channels, width, self.divisor) for stage in self.stages]
        strides = self.strides([stage.stride for stage in self.stages])
        layers = [layers_at(stage.layers, depth) for stage in self.stages]
        if self.lite:
            layers[0], layers[-1] = self.stages[0].layers, self.stages[-1].layers
        stages = tuple(
            StagePlan(before, after, stage.expansion, stage.kernel_size, stride, number, style)
            for (before, after), stage, stride, number in zip(
                pairwise([stem, *widths]), self.stages, strides, layers, strict=True
            )
        )
        return EfficientNetPlan(
            stem=stem,
            stem_stride=self.stem_stride,
            stages=stages,
            head=channels(self.head, ends, self.divisor),
            num_classes=num_classes,
            dropout=self.dropout,
            drop_connect=self.drop_connect,
            dtype=self.dtype,
            style=style,
        )

    def build(self, scale: Scale, num_classes: int, *, rngs: nnx.Rngs) -> EfficientNet:
        """The network at `scale`."""
        return EfficientNet(self.plan(scale, num_classes), rngs=rngs)

    @property
    def namings(self) -> dict[str, Naming]:
        """timm's names, torchvision's, and those of the package EfficientNet-PyTorch for the network at scale 1."""
        layers = [stage.layers for stage in self.plan(Scale(), 1).stages]
        first = [sum(layers[:stage]) for stage in range(len(layers))]
        return {
            "timm": names.timm,
            "torchvision": names.torchvision,
            "efficientnet_pytorch": lambda path: names.efficientnet_pytorch(path, first),
        }


def efficientnet(
    scale: Scale,
    num_classes: int,
    *,
    stem_stride: int = 2,
    dropout: float = 0.2,
    drop_connect: float = 0.2,
    dtype: Literal["float32", "bfloat16"] = "float32",
    rngs: nnx.Rngs,
) -> EfficientNet:
    """EfficientNet-B0 grown by `scale`: images (N, H, W, 3) -> logits (N, num_classes).

    >>> efficientnet(CompoundRule(1.2, 1.1, 1.15).at(phi=1), num_classes=10, rngs=nnx.Rngs(0))
    """
    family = EfficientNetFamily(stem_stride=stem_stride, dropout=dropout, drop_connect=drop_connect, dtype=dtype)
    return family.build(scale, num_classes, rngs=rngs)


def _published(model: PublishedModel) -> EfficientNetFamily:
    return EfficientNetFamily(
        name=model.name,
        resolution=model.input_resolution,
        depth=model.depth,
        width=model.width,
        dropout=model.dropout,
    )


EFFICIENTNET = EfficientNetFamily()
"""EfficientNet-B0, the paper's baseline."""

EFFICIENTNET_TINY = EfficientNetFamily(
    name="efficientnet_tiny", resolution=16, depth=0.25, width=0.25, stem_stride=1, dropout=0.1, drop_connect=0.0
)
"""A quarter of B0's depth and width at 16 pixels: small enough to search in minutes on a laptop."""

EFFICIENTNET_SMALL = EfficientNetFamily(
    name="efficientnet_small",
    resolution=16,
    stages=(
        Stage(expansion=3, kernel_size=3, stride=1, channels=10, layers=3),
        Stage(expansion=3, kernel_size=3, stride=2, channels=23, layers=4),
    ),
    stem=12,
    head=96,
    divisor=1,
    dropout=0.1,
    drop_connect=0.0,
)
"""Two stages for small images, laid out to be scaled by little: a total stride of 4 leaves 16 pixels a last map of 4x4,
which follows the input without leaps; 3 and 4 layers, rounded up, differ for 2^(1/4), 2^(1/3), 2^(1/2), 2^(2/3) and 2
times the depth; and channels come in steps of 1, so that costs follow the width."""

B0, B1, B2, B3, B4, B5, B6, B7, B8, L2 = map(_published, PUBLISHED)
"""The published models, each a family at whose r = 1 it is just what was published."""

LITE0, LITE1, LITE2, LITE3, LITE4 = (
    EfficientNetFamily(f"efficientnet_lite{number}", resolution, depth, width, dropout=dropout, lite=True)
    for number, (width, depth, resolution, dropout) in enumerate(
        [(1.0, 1.0, 224, 0.2), (1.0, 1.1, 240, 0.2), (1.1, 1.2, 260, 0.3), (1.2, 1.4, 280, 0.3), (1.4, 1.8, 300, 0.3)]
    )
)
"""EfficientNet-Lite, for devices without fast sigmoids, by the coefficients in its authors' code (2020)."""
