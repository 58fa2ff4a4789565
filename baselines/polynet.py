"""Very Deep PolyNet: "PolyNet: A Pursuit of Structural Diversity in Very Deep Networks" (Zhang et al., CVPR 2017).

Built as its authors released it: each unit adds to its input what several Inception blocks F, G and H make of it. A
two-way unit adds F(x) + G(x). A poly-3 unit adds F(x) + G(F(x)) + H(G(F(x))), where the three share their convolutions
but for the last, and have norms of their own. Stage A has 10 two-way units; stages B and C have 20 and 10 units, poly-3
and two-way in turn.
"""

import re
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from scaling_search.baselines.inception import MAX, Branches, Convolution, Fork, Tower, chain, forked_stem, halve
from scaling_search.baselines.parts import branch_norm, torch_norm
from scaling_search.baselines.published import Published
from scaling_search.family import Naming
from scaling_search.networks.blocks import Conv, drop_connect
from scaling_search.networks.convnet import ConvNet, run_stages
from scaling_search.rule import Scale, round_channels, round_layers

Path = tuple[Convolution, ...]

STEM = forked_stem(((7, 1), (1, 7)), last=Fork(((MAX,), (halve(192),))))
"""Inception-v4's, with towers and windows in the order of the released model."""
REDUCTION_A: tuple[Tower, ...] = (
    (Convolution(256), Convolution(256, 3), halve(384)),
    (halve(384),),
    (MAX,),
)
REDUCTION_B: tuple[Tower, ...] = (
    (Convolution(256), Convolution(256, 3), halve(256)),
    (Convolution(256), halve(256)),
    (Convolution(256), halve(384)),
    (MAX,),
)
PATHS_A: tuple[Path, ...] = (
    (Convolution(32), Convolution(48, 3), Convolution(64, 3)),
    (Convolution(32), Convolution(32, 3)),
    (Convolution(32),),
)
PATHS_B: tuple[Path, ...] = (
    (Convolution(128), Convolution(160, (1, 7)), Convolution(192, (7, 1))),
    (Convolution(192),),
)
PATHS_C: tuple[Path, ...] = (
    (Convolution(192), Convolution(224, (1, 3)), Convolution(256, (3, 1))),
    (Convolution(192),),
)
EPSILON = 1e-5
WAYS = 2
ORDER = 3
LAST_DROP = 0.3
"""In training, the share of images for which a term of the last unit's sum is dropped."""


@dataclass(frozen=True)
class Stage:
    """What the Inception blocks of a stage are made of, and how many units it has."""

    paths: tuple[Path, ...]
    units: int
    poly: bool
    """Whether every second unit, from the first on, is a poly-3 unit rather than a two-way one."""


STAGES = (Stage(PATHS_A, 10, poly=False), Stage(PATHS_B, 20, poly=True), Stage(PATHS_C, 10, poly=True))


class SharedConv(nnx.Module):
    """A convolution that blocks of several orders share, with a batch norm of its own, and ReLU, for each order."""

    def __init__(self, in_channels: int, out_channels: int, step: Convolution, orders: int, *, rngs: nnx.Rngs):
        self.conv = Conv(in_channels, out_channels, step.window, rngs=rngs)
        self.norms = nnx.List([torch_norm(out_channels, "relu") for _ in range(orders)])

    def __call__(self, x: Array, order: int) -> Array:
        """(N, H, W, in_channels) -> (N, H, W, out_channels)."""
        return self.norms[order](self.conv(x))


class InceptionBlocks(nnx.Module):
    """One Inception block for each of `orders` orders: (N, H, W, channels) -> the same shape.

    They share the convolutions of their paths, but not the 1x1 convolution behind them.
    """

    def __init__(
        self,
        channels: int,
        paths: tuple[Path, ...],
        width: float,
        orders: int,
        *,
        zero_init: bool = False,
        rngs: nnx.Rngs,
    ):
        self.paths: nnx.List[nnx.List[SharedConv]] = nnx.List()
        joined = 0
        for path in paths:
            widths = [channels, *(round_channels(step.channels, width) for step in path)]
            shared = [
                SharedConv(widths[index], widths[index + 1], step, orders, rngs=rngs) for index, step in enumerate(path)
            ]
            self.paths.append(nnx.List(shared))
            joined += widths[-1]
        self.expands = nnx.List([Conv(joined, channels, 1, rngs=rngs) for _ in range(orders)])
        self.expand_norms = nnx.List([branch_norm(channels, zero_init=zero_init) for _ in range(orders)])

    def __call__(self, x: Array, order: int) -> Array:
        """Applies the block of this order."""
        ends = []
        for path in self.paths:
            y = x
            for convolution in path:
                y = convolution(y, order)
            ends.append(y)
        return self.expand_norms[order](self.expands[order](jnp.concatenate(ends, axis=-1)))


class Unit(nnx.Module):
    """A two-way or a poly-3 unit: (N, H, W, channels) -> the same shape.

    In training each term is dropped for a share `drop` of the images; evaluation takes its expected value.
    """

    def __init__(
        self,
        channels: int,
        paths: tuple[Path, ...],
        width: float,
        drop: float,
        *,
        poly: bool,
        zero_init: bool = False,
        rngs: nnx.Rngs,
    ):
        ways, self.orders = (1, ORDER) if poly else (WAYS, 1)
        self.blocks = nnx.List(
            [InceptionBlocks(channels, paths, width, self.orders, zero_init=zero_init, rngs=rngs) for _ in range(ways)]
        )
        self.keep = 1 - drop
        self.drop = drop_connect(drop, rngs)

    def __call__(self, x: Array) -> Array:
        """Applies the unit."""
        total = x
        for blocks in self.blocks:
            y = x
            for order in range(self.orders):
                y = blocks(y if order == 0 else jax.nn.relu(y), order)
                # What is kept in training comes divided by the share that is kept.
                total = total + self.keep * self.drop(y)
        return jax.nn.relu(total)


class PolyNet(ConvNet):
    """Images (N, H, W, 3) of at least 75 pixels a side -> logits (N, num_classes)."""

    def __init__(
        self, scale: Scale, num_classes: int, dropout: float, *, zero_init_residual: bool = False, rngs: nnx.Rngs
    ):
        def unit(channels: int, paths: tuple[Path, ...], poly: bool) -> Unit:
            drop = next(drops)
            return Unit(channels, paths, scale.width, drop, poly=poly, zero_init=zero_init_residual, rngs=rngs)

        self.stem, channels = chain(3, STEM, scale.width, epsilon=EPSILON, rngs=rngs)
        layers = [round_layers(stage.units, scale.depth) for stage in STAGES]
        drops = iter(LAST_DROP * unit / (sum(layers) - 1) for unit in range(sum(layers)))
        self.stages: nnx.List[nnx.List[Unit]] = nnx.List()
        self.reductions: nnx.List[Branches] = nnx.List()
        for stage, units, reduction in zip(STAGES, layers, (REDUCTION_A, REDUCTION_B, None), strict=True):
            polys = [stage.poly and unit % 2 == 0 for unit in range(units)]
            self.stages.append(nnx.List([unit(channels, stage.paths, poly) for poly in polys]))
            if reduction is not None:
                self.reductions.append(Branches(channels, reduction, scale.width, epsilon=EPSILON, rngs=rngs))
                channels = self.reductions[-1].out_channels
        self._add_classifier(channels, num_classes, dropout, rngs=rngs)

    def features(self, images: Array) -> Array:
        """The last feature map, (N, H', W', C)."""
        x = self.stem(images)
        for units, reduction in zip(self.stages, self.reductions, strict=False):
            x = reduction(run_stages([units], x))
        return run_stages(self.stages[-1:], x)


@dataclass(frozen=True)
class PolyNetFamily:
    """PolyNet as a family.

    Depth multiplies the units of each stage, rounded up, which stay poly-3 and two-way in turn; width every number of
    channels, to multiples of 8. The share of terms dropped in training rises linearly from none in the first unit to
    0.3 in the last: the released model multiplies them by 1 to 0.7.
    """

    name: str
    published: Published
    resolution: int = 331
    dropout: float = 0.2
    """Dropout before the classifier."""
    zero_init_residual: bool = False
    """Whether each residual branch starts as zeros (Goyal et al., 2017), which helps deep networks start to train."""

    def build(self, scale: Scale, num_classes: int, *, rngs: nnx.Rngs) -> PolyNet:
        """The network at `scale`."""
        return PolyNet(scale, num_classes, self.dropout, zero_init_residual=self.zero_init_residual, rngs=rngs)

    @property
    def namings(self) -> dict[str, Naming]:
        """What the package pretrainedmodels calls its modules."""
        return {"pretrainedmodels": _pretrainedmodels_name}


_STEM_NAMES = {"3": "conv1_branch", "4.0": "conv2_short", "4.1": "conv2_long", "5": "conv2_branch"}


def _pretrainedmodels_name(path: str) -> str:
    if found := re.fullmatch(r"stages\.(\d)\.(\d+)\.blocks\.(\d)\.(.+)", path):
        stage, unit, way, inside = int(found[1]), found[2], found[3], found[4]
        poly = STAGES[stage].poly and int(unit) % 2 == 0
        return f"stage_{'abc'[stage]}.{unit}.{_poly_name(stage, inside) if poly else _way_name(stage, way, inside)}"
    path = re.sub(r"^stem\.layers\.([0-2])\.", r"stem.conv1.\1.", path)
    path = re.sub(r"^stem\.layers\.(4\.towers\.\d|3|5)(\.towers\.1)?", _stem_name, path)
    path = re.sub(
        r"^reductions\.(\d)\.towers\.(\d)", lambda found: f"reduction_{'ab'[int(found[1])]}.path{found[2]}", path
    )
    return path.replace(".layers", "").replace("norm", "bn").replace("classifier", "last_linear")


def _stem_name(found: re.Match[str]) -> str:
    return f"stem.{_STEM_NAMES[found[1].replace('towers.', '')]}"


def _way_name(stage: int, way: str, inside: str) -> str:
    inside = inside.replace("expands.0", "conv2d.conv").replace("expand_norms.0", "conv2d.bn").replace("norms.0", "bn")
    if found := re.match(r"paths\.(\d)\.(\d)", inside):
        # A path of one convolution is not a list there.
        alone = len(STAGES[stage].paths[int(found[1])]) == 1
        inside = f"path{found[1]}{'' if alone else '.' + found[2]}{inside[found.end() :]}"
    return f"blocks.{way}.{inside}"


def _poly_name(stage: int, inside: str) -> str:
    inside = re.sub(
        r"^expand(_norm)?s\.(\d)", lambda found: f"conv2d_blocks.{found[2]}.{'bn' if found[1] else 'conv'}", inside
    )
    if found := re.match(r"paths\.(\d)\.(\d)", inside):
        path = STAGES[stage].paths[int(found[1])]
        window = path[int(found[2])].window
        height, width = (window, window) if isinstance(window, int) else window
        suffix = "" if len(path) == 1 else f"_{height}x{width}"
        inside = f"path{found[1]}{suffix}{inside[found.end() :]}"
    return inside.replace("norms", "bn_blocks")


POLYNET = PolyNetFamily(
    "polynet",
    Published(
        source='Zhang et al., "PolyNet: A Pursuit of Structural Diversity in Very Deep Networks", CVPR 2017',
        parameters=None,
        multiply_adds=None,
        resolution=331,
        reference="pretrainedmodels polynet",
    ),
)
