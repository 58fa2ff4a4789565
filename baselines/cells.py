"""Cells of searched networks: operations on pairs of earlier states, after "Learning Transferable Architectures for
Scalable Image Recognition" (Zoph et al., CVPR 2018), Figures 2 to 4; PNASNet and AmoebaNet are made of them as well.

An operation takes (N, H, W, inputs) to (N, H', W', channels), where H' is H over the stride, rounded up. ReLU comes
before its convolutions, and batch norm (epsilon 1e-3) after each. Padding is TensorFlow's SAME throughout.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array, lax

from scaling_search.networks.blocks import BatchNorm, Conv
from scaling_search.networks.pooling import average_pool, max_pool


class SpreadConv(Conv):
    """A convolution with a stride of its own for rows and for columns, or with its taps `dilation` pixels apart."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        *,
        strides: tuple[int, int] = (1, 1),
        dilation: int = 1,
        groups: int = 1,
        rngs: nnx.Rngs,
    ):
        super().__init__(in_channels, out_channels, kernel_size, groups=groups, rngs=rngs)
        self.strides = strides
        self.dilation = dilation

    def __call__(self, x: Array) -> Array:
        """Convolves x."""
        return lax.conv_general_dilated(
            x,
            self.kernel[...].astype(x.dtype),
            self.strides,
            "SAME",
            rhs_dilation=(self.dilation, self.dilation),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=self.groups,
        )


class ReluConvNorm(nnx.Module):
    """ReLU, convolution, batch norm."""

    def __init__(
        self,
        inputs: int,
        channels: int,
        window: int | tuple[int, int] = 1,
        strides: tuple[int, int] = (1, 1),
        *,
        rngs: nnx.Rngs,
    ):
        if strides[0] == strides[1]:
            self.conv = Conv(inputs, channels, window, stride=strides[0], rngs=rngs)
        else:
            self.conv = SpreadConv(inputs, channels, window, strides=strides, rngs=rngs)
        self.norm = BatchNorm(channels)

    def __call__(self, x: Array) -> Array:
        """Applies the three."""
        return self.norm(self.conv(jax.nn.relu(x)))


class Convolutions(nnx.Module):
    """Convolutions with these windows, one after the other: a 1x7 takes the stride along rows, a 7x1 along columns.

    With `bottleneck`, they have a quarter of the channels, between two 1x1 convolutions.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        stride: int,
        windows: tuple[tuple[int, int], ...],
        *,
        bottleneck: bool = False,
        rngs: nnx.Rngs,
    ):
        inner = max(1, channels // 4) if bottleneck else channels
        self.layers: nnx.List[ReluConvNorm] = nnx.List()
        if bottleneck:
            self.layers.append(ReluConvNorm(inputs, inner, rngs=rngs))
            inputs = inner
        for rows, columns in windows:
            strides = (stride if rows > 1 else 1, stride if columns > 1 else 1)
            self.layers.append(ReluConvNorm(inputs, inner, (rows, columns), strides, rngs=rngs))
            inputs = inner
        if bottleneck:
            self.layers.append(ReluConvNorm(inner, channels, rngs=rngs))

    def __call__(self, x: Array) -> Array:
        """Applies them in turn."""
        for layer in self.layers:
            x = layer(x)
        return x


class Separable(nnx.Module):
    """A depthwise and a 1x1 convolution, twice; the stride lies in the first, and so does the change of channels.

    With `dilation` above 1, the taps of both depthwise convolutions lie so many pixels apart.
    """

    def __init__(self, inputs: int, channels: int, stride: int, window: int, *, dilation: int = 1, rngs: nnx.Rngs):
        def depthwise(width: int, stride: int) -> Conv:
            if dilation == 1:
                return Conv(width, width, window, stride=stride, groups=width, rngs=rngs)
            return SpreadConv(
                width, width, window, strides=(stride, stride), dilation=dilation, groups=width, rngs=rngs
            )

        self.depthwise1 = depthwise(inputs, stride)
        self.pointwise1 = Conv(inputs, channels, 1, rngs=rngs)
        self.norm1 = BatchNorm(channels, activation="relu")
        self.depthwise2 = depthwise(channels, 1)
        self.pointwise2 = Conv(channels, channels, 1, rngs=rngs)
        self.norm2 = BatchNorm(channels)

    def __call__(self, x: Array) -> Array:
        """Applies both."""
        x = self.norm1(self.pointwise1(self.depthwise1(jax.nn.relu(x))))
        return self.norm2(self.pointwise2(self.depthwise2(x)))


class Pool(nnx.Module):
    """A pooling, then a 1x1 convolution with batch norm where the number of channels must change."""

    def __init__(self, inputs: int, channels: int, stride: int, pool: Callable[[Array, int], Array], *, rngs: nnx.Rngs):
        changes = inputs != channels
        self.pool = pool
        self.stride = stride
        self.conv = Conv(inputs, channels, 1, rngs=rngs) if changes else None
        self.norm = BatchNorm(channels) if changes else None

    def __call__(self, x: Array) -> Array:
        """Pools x."""
        x = self.pool(x, self.stride)
        if self.conv is not None and self.norm is not None:
            x = self.norm(self.conv(x))
        return x


class Identity(nnx.Module):
    """x as it is."""

    def __call__(self, x: Array) -> Array:
        """Returns x."""
        return x


class FactorisedReduction(nnx.Module):
    """Halves the side without losing pixels: two strided 1x1 convolutions, one of them a pixel down and to the right.

    Each makes half of the channels. ReLU comes first where `rectified`.
    """

    def __init__(self, inputs: int, channels: int, *, rectified: bool = True, rngs: nnx.Rngs):
        self.rectified = rectified
        self.path1 = Conv(inputs, channels // 2, 1, stride=2, rngs=rngs)
        self.path2 = Conv(inputs, channels - channels // 2, 1, stride=2, rngs=rngs)
        self.paths_norm = BatchNorm(channels)

    def __call__(self, x: Array) -> Array:
        """(N, H, W, inputs) -> (N, H / 2, W / 2, channels), sides rounded up."""
        if self.rectified:
            x = jax.nn.relu(x)
        shifted = jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))[:, 1:, 1:]
        return self.paths_norm(jnp.concatenate([self.path1(x), self.path2(shifted)], -1))


def _max(window: int) -> Callable[[Array, int], Array]:
    return lambda x, stride: max_pool(x, window, stride, "SAME")


def _average(x: Array, stride: int) -> Array:
    return average_pool(x, 3, stride, "SAME")


def _average_with_padding(x: Array, stride: int) -> Array:
    return average_pool(x, 3, stride, "SAME", count_padding=True)


def _identity(inputs: int, channels: int, stride: int, rngs: nnx.Rngs) -> nnx.Module:
    if stride == 1 and inputs == channels:
        return Identity()
    return ReluConvNorm(inputs, channels, strides=(stride, stride), rngs=rngs)


def _pool(pool: Callable[[Array, int], Array]) -> "Operation":
    return lambda inputs, channels, stride, rngs: Pool(inputs, channels, stride, pool, rngs=rngs)


def _separable(window: int, dilation: int = 1) -> "Operation":
    return lambda inputs, channels, stride, rngs: Separable(
        inputs, channels, stride, window, dilation=dilation, rngs=rngs
    )


def _convolutions(*windows: tuple[int, int], bottleneck: bool = False) -> "Operation":
    return lambda inputs, channels, stride, rngs: Convolutions(
        inputs, channels, stride, windows, bottleneck=bottleneck, rngs=rngs
    )


Operation = Callable[[int, int, int, nnx.Rngs], nnx.Module]
"""Makes an operation from its inputs, channels, stride and random numbers."""

OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        # A 1x1 convolution where the side or the number of channels must change.
        "identity": _identity,
        "conv_1x1": lambda inputs, channels, stride, rngs: ReluConvNorm(
            inputs, channels, strides=(stride, stride), rngs=rngs
        ),
        "conv_3x3": _convolutions((3, 3)),
        "conv_1x7_7x1": _convolutions((1, 7), (7, 1)),
        "bottleneck_3x3": _convolutions((3, 3), bottleneck=True),
        "bottleneck_1x7_7x1": _convolutions((1, 7), (7, 1), bottleneck=True),
        "separable_3x3": _separable(3),
        "separable_5x5": _separable(5),
        "separable_7x7": _separable(7),
        "dilated_3x3": _separable(3, dilation=2),
        "dilated_5x5": _separable(5, dilation=2),
        "max_2x2": _pool(_max(2)),
        "max_3x3": _pool(_max(3)),
        # The mean of what lies on the image; and the one in which padding counts as zeros.
        "average_3x3": _pool(_average),
        "average_3x3_padded": _pool(_average_with_padding),
    }
)
"""What a cell may do with a state, by name."""


@dataclass(frozen=True)
class Genotype:
    """A cell as data. State 0 is the output of the cell before the previous one, 1 that of the previous one."""

    pairs: tuple[tuple[tuple[int, str], tuple[int, str]], ...]
    """States 2, 3 ...: each the sum of two operations, given as (state, operation)."""
    output: tuple[int, ...]
    """The states whose concatenation is the cell's output, in ascending order."""


class Source(NamedTuple):
    """What is known of a feature map when a network is built."""

    channels: int
    level: int
    """How often its side was halved."""


def _adjusted(previous: Source, current: Source, channels: int, *, rngs: nnx.Rngs) -> nnx.Module:
    """What brings `previous` to `channels` and to the side of `current`."""
    if previous.level < current.level:
        return FactorisedReduction(previous.channels, channels, rngs=rngs)
    return _identity(previous.channels, channels, 1, rngs)


class Cell(nnx.Module):
    """A genotype with weights: two feature maps -> one of as many channels as `output` says.

    States 0 and 1 are brought to `channels` first, and 0 to the side of 1. Without `previous`, state 0 is the
    `current` feature map as it comes. A stride applies to operations on these two, and to those that are output.
    """

    def __init__(
        self,
        genotype: Genotype,
        previous: Source | None,
        current: Source,
        channels: int,
        stride: int = 1,
        *,
        rngs: nnx.Rngs,
    ):
        self.previous: Any = None if previous is None else _adjusted(previous, current, channels, rngs=rngs)
        self.current = ReluConvNorm(current.channels, channels, rngs=rngs)
        self.genotype = genotype
        self.left: nnx.List[Any] = nnx.List()
        self.right: nnx.List[Any] = nnx.List()
        for pair in genotype.pairs:
            for side, (state, name) in zip((self.left, self.right), pair, strict=True):
                inputs = current.channels if state == 0 and previous is None else channels
                side.append(OPERATIONS[name](inputs, channels, stride if state < 2 else 1, rngs))
        kept = sum(state < 2 for state in genotype.output) if stride > 1 else 0
        self.kept = nnx.List([FactorisedReduction(channels, channels, rectified=False, rngs=rngs) for _ in range(kept)])
        self.output = Source(channels * len(genotype.output), current.level + (stride > 1))

    def __call__(self, previous: Array | None, current: Array) -> Array:
        """The cell's output: (N, H', W', output.channels)."""
        first = current if previous is None or self.previous is None else self.previous(previous)
        states = [first, self.current(current)]
        for ((one, _), (other, _)), left, right in zip(self.genotype.pairs, self.left, self.right, strict=True):
            states.append(left(states[one]) + right(states[other]))
        outputs = [states[state] for state in self.genotype.output]
        for index, reduce in enumerate(self.kept):
            outputs[index] = reduce(outputs[index])
        return jnp.concatenate(outputs, -1)
