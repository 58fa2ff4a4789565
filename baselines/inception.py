"""What Inception-v3, Inception-v4 and Inception-ResNet-v2 are made of: towers of convolutions side by side.

Their modules are written down as data, a tuple of steps for each tower, from which the layers are built at any width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
from flax import nnx
from jax import Array

from scaling_search.networks.blocks import BatchNorm, Conv
from scaling_search.networks.ops import Padding
from scaling_search.networks.pooling import average_pool, max_pool
from scaling_search.rule import round_channels


@dataclass(frozen=True)
class Convolution:
    """A convolution with batch norm and ReLU; `channels` are those at width 1."""

    channels: int
    window: int | tuple[int, int] = 1
    stride: int = 1
    padding: Padding = "SAME"


@dataclass(frozen=True)
class Pool:
    """A pool over 3x3 pixels: the maximum at stride 2 without padding, or the average at stride 1 with it."""

    kind: Literal["max", "average"]
    count_padding: bool = False
    """Whether padding counts as zeros in an average."""


@dataclass(frozen=True)
class Fork:
    """Towers side by side on the same input, whose outputs are concatenated."""

    towers: tuple["Tower", ...]


Step = Convolution | Pool | Fork
Tower = tuple[Step, ...]

MAX = Pool("max")
AVERAGE = Pool("average")


def halve(channels: int) -> Convolution:
    """The 3x3 convolution by which every tower of a reduction ends: stride 2, no padding."""
    return Convolution(channels, 3, 2, "VALID")


STEM: Tower = (
    halve(32),
    Convolution(32, 3, padding="VALID"),
    Convolution(64, 3),
    MAX,
    Convolution(80, 1),
    Convolution(192, 3, padding="VALID"),
    MAX,
)
"""From 299 pixels a side to 35, in Inception-v3 and in Inception-ResNet-v2 as released."""
STEM_NAMES = {0: "1a", 1: "2a", 2: "2b", 4: "3b", 5: "4a"}
"""What the authors' code, and all that follow it, call the convolutions of the stem, by position."""


def forked_stem(windows: tuple[tuple[int, int], tuple[int, int]], last: Fork) -> Tower:
    """Inception-v4's stem (Figure 3), in which a 7x7 convolution is two with these `windows`; PolyNet has it too."""
    to_96 = Convolution(96, 3, padding="VALID")
    return (
        halve(32),
        Convolution(32, 3, padding="VALID"),
        Convolution(64, 3),
        Fork(((MAX,), (halve(96),))),
        Fork(
            (
                (Convolution(64), to_96),
                (Convolution(64), *(Convolution(64, window) for window in windows), to_96),
            )
        ),
        last,
    )


class ConvNorm(nnx.Module):
    """A convolution with batch norm and ReLU: (N, H, W, in_channels) -> (N, H', W', out_channels)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        window: int | tuple[int, int] = 1,
        *,
        stride: int = 1,
        padding: Padding = "SAME",
        epsilon: float = 1e-3,
        rngs: nnx.Rngs,
    ):
        self.conv = Conv(in_channels, out_channels, window, stride=stride, padding=padding, rngs=rngs)
        self.norm = BatchNorm(out_channels, activation="relu", epsilon=epsilon)

    def __call__(self, x: Array) -> Array:
        """Applies the three."""
        return self.norm(self.conv(x))


class Pooling(nnx.Module):
    """Pools (N, H, W, C) as `pool` says."""

    def __init__(self, pool: Pool):
        self.pool = pool

    def __call__(self, x: Array) -> Array:
        """Pools x."""
        if self.pool.kind == "max":
            return max_pool(x, 3, 2)
        return average_pool(x, 3, 1, "SAME", count_padding=self.pool.count_padding)


class Branches(nnx.Module):
    """Towers side by side: (N, H, W, in_channels) -> (N, H', W', out_channels), the sum of what the towers make."""

    def __init__(
        self, in_channels: int, towers: Sequence[Tower], width: float, *, epsilon: float = 1e-3, rngs: nnx.Rngs
    ):
        chosen = []
        self.out_channels = 0
        for steps in towers:
            tower, channels = chain(in_channels, steps, width, epsilon=epsilon, rngs=rngs)
            chosen.append(tower if len(steps) > 1 else tower.layers[0])
            self.out_channels += channels
        self.towers = nnx.List(chosen)

    def __call__(self, x: Array) -> Array:
        """Applies every tower to x."""
        return jnp.concatenate([tower(x) for tower in self.towers], axis=-1)


def chain(
    in_channels: int, steps: Sequence[Step], width: float, *, epsilon: float = 1e-3, rngs: nnx.Rngs
) -> tuple[nnx.Sequential, int]:
    """The layers of `steps` one after another, and the number of channels that leaves the last.

    `epsilon` is that of batch norm.
    """
    layers: list[ConvNorm | Pooling | Branches] = []
    channels = in_channels
    for step in steps:
        match step:
            case Convolution(baseline, window, stride, padding):
                outputs = round_channels(baseline, width)
                layers.append(
                    ConvNorm(channels, outputs, window, stride=stride, padding=padding, epsilon=epsilon, rngs=rngs)
                )
                channels = outputs
            case Pool():
                layers.append(Pooling(step))
            case Fork(towers):
                branches = Branches(channels, towers, width, epsilon=epsilon, rngs=rngs)
                layers.append(branches)
                channels = branches.out_channels
    return nnx.Sequential(*layers), channels
