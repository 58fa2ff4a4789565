"""Inception-v3: "Rethinking the Inception Architecture for Computer Vision" (Szegedy et al., CVPR 2016), Table 1.

The table leaves the channels inside the modules open, and its stem is not the one released: both are the authors'
code's here. Average pools count their padding as zeros, as the implementations in PyTorch do.
"""

import re
from dataclasses import dataclass

from flax import nnx
from jax import Array

from scaling_search.baselines.inception import (
    MAX,
    STEM,
    STEM_NAMES,
    Convolution,
    Fork,
    Pool,
    Tower,
    chain,
    halve,
)
from scaling_search.baselines.parts import AuxiliaryNet
from scaling_search.baselines.published import Published
from scaling_search.family import Naming
from scaling_search.networks.convnet import run_stages
from scaling_search.rule import Scale, round_layers

AVERAGE = Pool("average", count_padding=True)


def module35(pooled: int) -> Fork:
    """Figure 5, on 35x35 pixels; `pooled` are the channels after the pool."""
    return Fork(
        (
            (Convolution(64),),
            (Convolution(48), Convolution(64, 5)),
            (Convolution(64), Convolution(96, 3), Convolution(96, 3)),
            (AVERAGE, Convolution(pooled)),
        )
    )


def module17(channels: int) -> Fork:
    """Figure 6, on 17x17 pixels; `channels` are those between the factors of a 7x7 convolution."""
    row, column = Convolution(channels, (1, 7)), Convolution(channels, (7, 1))
    return Fork(
        (
            (Convolution(192),),
            (Convolution(channels), row, Convolution(192, (7, 1))),
            (Convolution(channels), column, row, column, Convolution(192, (1, 7))),
            (AVERAGE, Convolution(192)),
        )
    )


BOTH = Fork(((Convolution(384, (1, 3)),), (Convolution(384, (3, 1)),)))
MODULE8 = Fork(
    (
        (Convolution(320),),
        (Convolution(384), BOTH),
        (Convolution(448), Convolution(384, 3), BOTH),
        (AVERAGE, Convolution(192)),
    )
)
"""Figure 7, on 8x8 pixels."""
TO17 = Fork(((halve(384),), (Convolution(64), Convolution(96, 3), halve(96)), (MAX,)))
TO8 = Fork(
    (
        (Convolution(192), halve(320)),
        (Convolution(192), Convolution(192, (1, 7)), Convolution(192, (7, 1)), halve(192)),
        (MAX,),
    )
)

STAGES: tuple[tuple[Tower, Tower], ...] = (
    ((), (module35(32), module35(64), module35(64))),
    ((TO17,), (module17(128), module17(160), module17(160), module17(192))),
    ((TO8,), (MODULE8, MODULE8)),
)
"""The reduction to each grid, and the modules on it."""
AUXILIARY_WINDOW = 5
"""Of the 17x17 map's means over 5x5 pixels, the auxiliary head's last convolution covers 5x5."""


class InceptionV3(AuxiliaryNet):
    """Images (N, H, W, 3) of at least 75 pixels a side -> logits (N, num_classes), in training perhaps two of them."""

    def __init__(self, scale: Scale, num_classes: int, auxiliary: bool, *, rngs: nnx.Rngs):
        self.stem, channels = chain(3, STEM, scale.width, rngs=rngs)
        stages, outputs = [], []
        for reduction, modules in STAGES:
            count = round_layers(len(modules), scale.depth)
            repeated = (modules + modules[-1:] * count)[:count]
            stage, channels = chain(channels, reduction + repeated, scale.width, rngs=rngs)
            stages.append(stage)
            outputs.append(channels)
        self.stages = nnx.List(stages)
        self._add_classifier(channels, num_classes, rngs=rngs)
        self._add_auxiliary(outputs[1], scale.width, num_classes, window=AUXILIARY_WINDOW, present=auxiliary, rngs=rngs)

    def maps(self, images: Array) -> tuple[Array, Array]:
        """The map of 17x17 pixels that there is of 299, and the last one."""
        middle = run_stages([self.stages[:2]], self.stem(images))
        return middle, self.stages[2](middle)


@dataclass(frozen=True)
class InceptionV3Family:
    """Inception-v3 as a family: depth multiplies the modules on each grid, width the channels of every convolution.

    Fewer modules are the first of them, further ones repeat the last; reductions stay one each.
    """

    name: str
    published: Published
    resolution: int = 299
    auxiliary: bool = False
    """Whether there is a second classifier, on the 17x17 map, that takes part in training."""

    def build(self, scale: Scale, num_classes: int, *, rngs: nnx.Rngs) -> InceptionV3:
        """The network at `scale`: the modules on each grid rounded up, channels to multiples of 8."""
        return InceptionV3(scale, num_classes, self.auxiliary, rngs=rngs)

    @property
    def namings(self) -> dict[str, Naming]:
        """torchvision and timm call its modules alike."""
        return {"timm": _torch_name, "torchvision": _torch_name}


TOWER_NAMES = {
    (0, False): ("1x1", "5x5", "3x3dbl", "_pool"),
    (1, True): ("3x3", "3x3dbl"),
    (1, False): ("1x1", "7x7", "7x7dbl", "_pool"),
    (2, True): ("3x3", "7x7x3"),
    (2, False): ("1x1", "3x3", "3x3dbl", "_pool"),
}
"""What PyTorch calls the towers, by stage and whether they reduce."""
AUXILIARY_NAMES = {
    "conv1": "conv0.conv",
    "bn1": "conv0.bn",
    "conv2": "conv1.conv",
    "bn2": "conv1.bn",
    "classifier": "fc",
}
"""What PyTorch calls the modules of the auxiliary head."""


def _torch_name(path: str) -> str:
    parents, _, leaf = path.replace("norm", "bn").rpartition(".")
    numbers = [int(number) for number in re.findall(r"\d+", parents)]
    if path == "classifier":
        return "fc"
    if parents.startswith("auxiliary"):
        return f"AuxLogits.{AUXILIARY_NAMES[leaf]}"
    if parents.startswith("stem"):
        name = STEM_NAMES[numbers[0]]
        return f"Conv2d_{name}_{'1x1' if name == '3b' else '3x3'}.{leaf}"
    # The numbers are those of the stage, its module, the tower, the step (where there are several), the fork's tower.
    stage, module, tower, *steps = numbers
    name = TOWER_NAMES[stage, stage > 0 and module == 0][tower]
    if steps and name != "_pool":
        name += f"_{steps[0] + 1}" + "".join("ab"[fork] for fork in steps[1:])
    letter = chr(ord("a") + module + (stage == 0))
    return f"Mixed_{5 + stage}{letter}.branch{name}.{leaf}"


INCEPTION_V3 = InceptionV3Family(
    "inception_v3",
    Published(
        source='Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016',
        parameters=None,
        multiply_adds=5e9,
        resolution=299,
        reference="timm inception_v3",
        note="The paper speaks of fewer than 25M parameters and of 5B; as released it is the 5.7B of Table 2.",
    ),
)
