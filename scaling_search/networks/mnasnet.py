"""Networks of MnasNet's factorised hierarchical space, from which EfficientNet-B0 came.

"MnasNet: Platform-Aware Neural Architecture Search for Mobile" (Tan et al., CVPR 2019), sections 4 and 5: seven
blocks, each of layers that are alike, between a 3x3 convolution and a head. Strides, stem and head are MobileNetV2's
and are not searched. An `Architecture` says what the blocks are; `MnasNetFamily` builds it at any (depth, width,
resolution).
"""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import chain, count, pairwise
from typing import Any, Literal, Self, get_args

import jax.numpy as jnp
from flax import nnx
from jax import Array

from scaling_search.errors import UserError, first_line
from scaling_search.family import Cost
from scaling_search.networks.blocks import Conv, SqueezeExcite, drop_connect
from scaling_search.networks.efficientnet import MBConv, MBConvPlan
from scaling_search.networks.ops import Activation
from scaling_search.networks.pooling import average_pool
from scaling_search.networks.staged import (
    StagedFamily,
    StagedNet,
    StagedPlan,
    Style,
    conv_cost,
    dense_cost,
    staged_cost,
)
from scaling_search.plain import check_kinds
from scaling_search.rule import Scale, round_layers

Operation = Literal["conv", "sep", "mb3", "mb6"]
"""A convolution, a depthwise-separable one, or an inverted bottleneck (MBConv) that expands 3 or 6 times."""
Skip = Literal["pool", "identity", "none"]

STEM = 32
STRIDES = (1, 2, 2, 2, 1, 2, 1)
HEAD = 1280

_EXPANSIONS: dict[str, int] = {"sep": 1, "mb3": 3, "mb6": 6}
_SKIPS: dict[str, Skip] = {"p": "pool", "i": "identity", "n": "none"}
_BLOCK = re.compile(r"(conv|sep|mb3|mb6)k([0-9]{1,9})(se)?([pin])([0-9]{1,9})x([0-9]{1,9})")
MOST_FILTERS, MOST_LAYERS = 100_000, 1_000
"""Of a block, so that counting a network of any text ends soon."""


@dataclass(frozen=True)
class Block:
    """What each layer of a block is; the first has the block's stride and changes the number of channels.

    Filters and layers may be any: the space that MnasNet searched has three of each around MobileNetV2's, and B0 and
    MnasNet-A1 have others. As text a block is, for example, mb3k5sei40x3: MBConv3, 5x5, squeeze-and-excitation,
    identity skip, 40 filters, 3 layers.
    """

    operation: Operation
    kernel_size: int
    squeeze_excite: bool
    """Whether a layer's output is gated, by a quarter of its input's channels (ratio 0.25; else 0)."""
    skip: Skip
    """"identity" adds a layer's input to its output where both have one shape. "pool" adds its mean over 3x3 windows,
    at the layer's stride, to as many channels as both have: MnasNet's paper does not say what its pooling skip does."""
    filters: int
    layers: int

    def __post_init__(self) -> None:
        if self.operation not in get_args(Operation) or self.skip not in get_args(Skip):
            raise UserError(
                f"a block of {self.operation!r} with skip {self.skip!r} given",
                f"operations are {', '.join(get_args(Operation))}, skips {', '.join(get_args(Skip))}",
            )
        check_kinds(self)
        if not 1 <= self.kernel_size <= MOST_FILTERS or self.kernel_size % 2 == 0:
            raise UserError(f"a block of kernel size {self.kernel_size} given", "it is odd, as 3 or 5")
        if not (1 <= self.filters <= MOST_FILTERS and 1 <= self.layers <= MOST_LAYERS):
            raise UserError(
                f"a block of {self.filters} filters and {self.layers} layers given",
                f"1 to {MOST_FILTERS:,} filters and 1 to {MOST_LAYERS:,} layers are allowed",
            )

    def __str__(self) -> str:
        gate = "se" if self.squeeze_excite else ""
        return f"{self.operation}k{self.kernel_size}{gate}{self.skip[0]}{self.filters}x{self.layers}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of `str`. Raises UserError."""
        found = _BLOCK.fullmatch(text)
        if found is None:
            raise UserError(f"block {text!r} given", "a block is written as mb3k5sei40x3 or sepk3n16x1")
        operation, kernel_size, gate, skip, filters, layers = found.groups()
        return cls(operation, int(kernel_size), gate is not None, _SKIPS[skip], int(filters), int(layers))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Architecture:
    """Seven blocks: a network of the space as plain data. As text, its blocks joined by hyphens."""

    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        if len(self.blocks) != len(STRIDES):
            raise UserError(f"an architecture of {len(self.blocks)} blocks given", f"it has {len(STRIDES)}")

    def __str__(self) -> str:
        return "-".join(map(str, self.blocks))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of `str`. Raises UserError."""
        return cls(tuple(map(Block.parse, text.split("-"))))

    def to_json(self) -> list[dict[str, Any]]:
        """As JSON holds it: an object a block."""
        return [asdict(block) for block in self.blocks]

    @classmethod
    def from_json(cls, tree: Iterable[dict[str, Any]]) -> Self:
        """The inverse of `to_json`. Raises UserError where it is none."""
        try:
            return cls(tuple(Block(**block) for block in tree))
        except TypeError as error:
            raise UserError(f"the architecture cannot be read: {first_line(error)}") from None


MOBILENET_V2 = Architecture.parse("sepk3n16x1-mb6k3i24x2-mb6k3i32x3-mb6k3i64x4-mb6k3i96x3-mb6k3i160x3-mb6k3i320x1")
"""MobileNetV2 (Sandler et al., 2018, Table 2), around which filters and layers are searched."""
MNASNET_A1 = Architecture.parse("sepk3n16x1-mb6k3i24x2-mb3k5sei40x3-mb6k3i80x4-mb6k3sei112x2-mb6k5sei160x3-mb6k3i320x1")
"""What MnasNet's search found (its Figure 7a). The 112 filters of its fifth block are 7/6 of MobileNetV2's."""
EFFICIENTNET_B0 = Architecture.parse(
    "sepk3sei16x1-mb6k3sei24x2-mb6k5sei40x2-mb6k3sei80x3-mb6k5sei112x3-mb6k5sei192x4-mb6k3sei320x1"
)
"""EfficientNet's Table 1. The filters of its fifth and sixth block are 7/6 and 6/5 of MobileNetV2's."""


@dataclass(frozen=True)
class LayerPlan:
    """One layer with its sizes."""

    operation: Operation
    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int
    skip: Skip
    """What is actually added: "none" where an identity would not fit."""
    drop_connect: float
    """Share of images for which the layer is skipped in training; 0 without a skip."""
    style: Style

    @property
    def bottleneck(self) -> MBConvPlan:
        """The layer as an MBConv, for every operation but "conv"."""
        expansion = _EXPANSIONS[self.operation]
        return MBConvPlan(
            self.in_channels, self.out_channels, expansion, self.kernel_size, self.stride, 0.0, self.style
        )

    @property
    def squeezed(self) -> int:
        """Channels inside squeeze-and-excitation."""
        return max(1, self.in_channels // 4)

    def cost(self, side: int) -> tuple[Cost, int]:
        """The layer's cost on an input of `side` pixels, and the side of its output."""
        if self.operation != "conv":
            return self.bottleneck.cost(side)
        after = -(-side // self.stride)
        total = conv_cost(after, self.kernel_size, self.in_channels, self.out_channels)
        if self.style.squeeze_excite:
            total += dense_cost(self.out_channels, self.squeezed) + dense_cost(self.squeezed, self.out_channels)
        return total, after


def layer_plan(
    block: Block,
    before: int,
    filters: int,
    stride: int,
    drop_connect: float,
    activation: Activation,
    zero_init_residual: bool = False,
) -> LayerPlan:
    """A layer of `block` from `before` to `filters` channels."""
    skip = "none" if block.skip == "identity" and (stride > 1 or before != filters) else block.skip
    return LayerPlan(
        operation=block.operation,
        in_channels=before,
        out_channels=filters,
        kernel_size=block.kernel_size,
        stride=stride,
        skip=skip,
        drop_connect=0.0 if skip == "none" else drop_connect,
        style=Style(activation=activation, squeeze_excite=block.squeeze_excite, zero_init_residual=zero_init_residual),
    )


class _Skip(nnx.Module):
    """Adds a layer's input, as its plan says, to what the layer made of it."""

    def __init__(self, plan: LayerPlan, *, rngs: nnx.Rngs):
        self.kind = plan.skip
        self.stride = plan.stride
        self.padding = plan.style.padding
        self.drop = drop_connect(plan.drop_connect, rngs) if plan.drop_connect > 0 else None

    def __call__(self, x: Array, y: Array) -> Array:
        """(N, H, W, in_channels) and (N, H', W', out_channels) -> (N, H', W', out_channels)."""
        if self.kind == "none":
            return y
        y = y if self.drop is None else self.drop(y)
        if self.kind == "identity":
            return x + y
        pooled = average_pool(x, 3, self.stride, self.padding)[..., : y.shape[-1]]
        return y + jnp.pad(pooled, ((0, 0), (0, 0), (0, 0), (0, y.shape[-1] - pooled.shape[-1])))


class Bottleneck(MBConv):
    """An MBConv or depthwise-separable layer: (N, H, W, in_channels) -> (N, H', W', out_channels)."""

    def __init__(self, plan: LayerPlan, *, rngs: nnx.Rngs):
        super().__init__(plan.bottleneck, residual=plan.skip != "none", rngs=rngs)
        self.skip = _Skip(plan, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """Applies the layer."""
        return self.skip(x, self.branch(x))


class ConvLayer(nnx.Module):
    """A convolution, batch norm, activation and gate: (N, H, W, in_channels) -> (N, H', W', out_channels).

    Its batch norm never starts at scale 0: a ReLU behind it would have no gradient.
    """

    def __init__(self, plan: LayerPlan, *, rngs: nnx.Rngs):
        style, channels = plan.style, plan.out_channels
        self.conv = Conv(
            plan.in_channels, channels, plan.kernel_size, stride=plan.stride, padding=style.padding, rngs=rngs
        )
        self.norm = style.norm(channels)
        self.gate = (
            SqueezeExcite(channels, plan.squeezed, activation=style.activation, rngs=rngs)
            if style.squeeze_excite
            else None
        )
        self.skip = _Skip(plan, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """Applies the layer."""
        y = self.norm(self.conv(x))
        return self.skip(x, y if self.gate is None else self.gate(y))


def layer(plan: LayerPlan, *, rngs: nnx.Rngs) -> Bottleneck | ConvLayer:
    """The layer of a plan."""
    return ConvLayer(plan, rngs=rngs) if plan.operation == "conv" else Bottleneck(plan, rngs=rngs)


@dataclass(frozen=True)
class MnasNetPlan(StagedPlan):
    """The layers of one network. Architectures that come to the same layers have equal plans."""

    stem: int
    stem_stride: int
    stages: tuple[tuple[LayerPlan, ...], ...]
    head: int
    num_classes: int
    dropout: float
    style: Style

    @property
    def blocks(self) -> tuple[tuple[LayerPlan, ...], ...]:
        """The layers of each block of the architecture."""
        return self.stages

    def cost(self, resolution: int) -> Cost:
        """Parameters, multiply-adds and activations at an input of `resolution` pixels a side."""
        return self._cost_and_side(resolution)[0]

    def last_map_side(self, resolution: int) -> int:
        """Side in pixels of the last feature map at such an input."""
        return self._cost_and_side(resolution)[1]

    def _cost_and_side(self, resolution: int) -> tuple[Cost, int]:
        return staged_cost(self, chain.from_iterable(self.stages), self.stages[-1][-1].out_channels, resolution)


class MnasNet(StagedNet):
    """The network of a plan: images (N, H, W, 3) of any side -> logits (N, num_classes)."""

    def __init__(self, plan: MnasNetPlan, *, rngs: nnx.Rngs):
        super().__init__(plan, lambda one: layer(one, rngs=rngs), rngs=rngs)


@dataclass(frozen=True)
class MnasNetFamily(StagedFamily):
    """An architecture as a family: depth multiplies each block's layers, width all channels, as in EfficientNet."""

    name: str = "mnasnet"
    architecture: str = str(MOBILENET_V2)
    """An `Architecture` as text."""
    activation: str = "silu"
    """silu as in EfficientNet, relu as in MnasNet, or relu6 as in MobileNetV2."""

    def __post_init__(self) -> None:
        super().__post_init__()
        Architecture.parse(self.architecture)
        if self.activation not in ("silu", "relu", "relu6"):
            raise UserError(f"activation {self.activation!r} given", "it is silu, relu or relu6")

    def plan(self, scale: Scale, num_classes: int) -> MnasNetPlan:
        """The layers at `scale`: channels to multiples of the divisor, layers rounded up; the head widens too."""
        blocks = Architecture.parse(self.architecture).blocks
        depth, width = self.depth * scale.depth, self.width * scale.width
        activation: Any = self.activation
        stem = self.channels(STEM, width)
        filters = [stem, *(self.channels(block.filters, width) for block in blocks)]
        layers = [round_layers(block.layers, depth) for block in blocks]
        index, total = count(), sum(layers)
        stages = tuple(
            tuple(
                layer_plan(
                    block,
                    after if number else before,
                    after,
                    1 if number else stride,
                    self.drop_connect * next(index) / total,
                    activation,
                    self.zero_init_residual,
                )
                for number in range(repeats)
            )
            for block, (before, after), stride, repeats in zip(
                blocks, pairwise(filters), self.strides(STRIDES), layers, strict=True
            )
        )
        return MnasNetPlan(
            stem=stem,
            stem_stride=self.stem_stride,
            stages=stages,
            head=self.channels(HEAD, width),
            num_classes=num_classes,
            dropout=self.dropout,
            style=Style(activation=activation),
        )

    def build(self, scale: Scale, num_classes: int, *, rngs: nnx.Rngs) -> MnasNet:
        """The network at `scale`."""
        return MnasNet(self.plan(scale, num_classes), rngs=rngs)


MNASNET = MnasNetFamily()
"""Any architecture of the space, MobileNetV2's by default, at the size of the paper's."""

MNASNET_A1_FAMILY = MnasNetFamily("mnasnet_a1", architecture=str(MNASNET_A1), drop_connect=0.0, activation="relu")
"""MnasNet-A1."""

MNASNET_TINY = MnasNetFamily(
    "mnasnet_tiny", resolution=16, depth=0.5, width=0.25, stem_stride=1, dropout=0.1, drop_connect=0.0
)
"""Half the layers and a quarter of the channels at 16 pixels: small enough to search in minutes on a laptop."""
