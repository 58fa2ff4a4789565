"""Search spaces: decisions, each with a finite number of choices, that together make a network of a family."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from scaling_search.cost import measure
from scaling_search.errors import UserError
from scaling_search.family import Cost, import_object, load_family
from scaling_search.networks.mnasnet import (
    MOBILENET_V2,
    STRIDES,
    Architecture,
    Block,
    MnasNetFamily,
    Operation,
    Skip,
    layer_plan,
)
from scaling_search.networks.staged import conv_cost, dense_cost
from scaling_search.rule import Scale, round_layers
from scaling_search.traced import InputSizeError

Genotype: TypeAlias = tuple[int, ...]
"""For each decision of a space, in order, the index of the choice."""
Counts: TypeAlias = NDArray[np.int64]
"""(N, 4): parameters, multiply-adds, activations and input resolution of N networks; zeros where a network does not
take its own resolution."""


@runtime_checkable
class Space(Protocol):
    """A search space. One of your own is a class with these three members."""

    @property
    def family(self) -> str:
        """The family of its networks: a registered name or an import path."""
        ...

    @property
    def decisions(self) -> Mapping[str, Sequence[Any]]:
        """What there is to choose from, by the names of the decisions."""
        ...

    def options(self, genotype: Genotype) -> tuple[str, ...]:
        """The family's fields that make the network of a genotype, as NAME=VALUE."""
        ...


class Counter(Protocol):
    """Counts what many networks cost at a time."""

    def __call__(self, genotypes: NDArray[np.int64]) -> Counts:
        """What the networks of `genotypes` (N, decisions) cost, each at its own resolution."""
        ...


@runtime_checkable
class CountingSpace(Space, Protocol):
    """A space that can count what its networks cost in bulk. Networks of others are counted one at a time."""

    def counter(self, family_options: tuple[str, ...], num_classes: int) -> Counter:
        """A counter for the space's family with these fields set."""
        ...


def sizes(space: Space) -> tuple[int, ...]:
    """How many choices each decision has."""
    return tuple(len(choices) for choices in space.decisions.values())


def draw(sizes: Sequence[int], rng: np.random.Generator) -> Genotype:
    """One uniform draw from decisions of so many choices."""
    return tuple(rng.integers(0, sizes).tolist())


def random_genotypes(space: Space, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Uniform draws, (count, decisions)."""
    every = sizes(space)
    return rng.integers(0, every, (count, len(every)))


FILTER_RATIOS = (0.75, 1.0, 1.25)
LAYER_CHANGES = (-1, 0, 1)


@dataclass(frozen=True)
class _BlockChoices:
    """What one block may be."""

    operations: tuple[Operation, ...]
    kernel_sizes: tuple[int, ...]
    squeeze_excites: tuple[bool, ...]
    skips: tuple[Skip, ...]
    filters: tuple[int, ...]
    layers: tuple[int, ...]


def _around(block: Block) -> _BlockChoices:
    return _BlockChoices(
        operations=("conv", "sep", "mb3", "mb6"),
        kernel_sizes=(3, 5),
        squeeze_excites=(False, True),
        skips=("pool", "identity", "none"),
        filters=tuple(round(block.filters * ratio) for ratio in FILTER_RATIOS),
        # A block keeps at least one layer, as it has a stride and a number of filters.
        layers=tuple(block.layers + change for change in LAYER_CHANGES if block.layers + change >= 1),
    )


BLOCKS = tuple(map(_around, MOBILENET_V2.blocks))
"""The choices of each block: MnasNet's section 4.1, around MobileNetV2's filters and layers."""
_PARTS = {
    "operation": "operations",
    "kernel_size": "kernel_sizes",
    "squeeze_excite": "squeeze_excites",
    "skip": "skips",
    "filters": "filters",
    "layers": "layers",
}


@dataclass(frozen=True)
class MnasNetSpace:
    """MnasNet's factorised hierarchical space (section 4.1): six decisions for each of seven blocks, 1.2e18 in all.

    `family` is a registered `MnasNetFamily`, which says how large the networks are.
    """

    family: str = "mnasnet"

    @property
    def decisions(self) -> dict[str, tuple[Any, ...]]:
        """Operation, kernel size, squeeze-and-excitation, skip, filters and layers of block1 to block7."""
        return {
            f"block{number}.{name}": getattr(choices, part)
            for number, choices in enumerate(BLOCKS, 1)
            for name, part in _PARTS.items()
        }

    def architecture(self, genotype: Genotype) -> Architecture:
        """The architecture of a genotype."""
        chosen = iter(genotype)
        return Architecture(
            tuple(
                Block(**{name: getattr(choices, part)[next(chosen)] for name, part in _PARTS.items()})
                for choices in BLOCKS
            )
        )

    def genotype(self, architecture: Architecture) -> Genotype:
        """The inverse of `architecture`. Raises UserError where the space has no such block."""
        found = []
        for number, (block, choices) in enumerate(zip(architecture.blocks, BLOCKS, strict=True), 1):
            for name, part in _PARTS.items():
                value, offered = getattr(block, name), getattr(choices, part)
                if value not in offered:
                    raise UserError(
                        f"block {number} has {name} {value}",
                        f"the space offers {', '.join(map(str, offered))} there",
                    )
                found.append(offered.index(value))
        return tuple(found)

    def options(self, genotype: Genotype) -> tuple[str, ...]:
        """The architecture as the family takes it."""
        return (f"architecture={self.architecture(genotype)}",)

    def counter(self, family_options: tuple[str, ...], num_classes: int) -> Counter:
        """A counter by tables: what each block costs, for every choice in it and for the filters of the one before."""
        family = load_family(self.family, family_options)
        if not isinstance(family, MnasNetFamily):
            raise UserError(f"family {self.family!r} given", "MnasNet's space needs a MnasNetFamily, such as mnasnet")
        tables, head, rest = _tables(family, num_classes)

        def count(genotypes: NDArray[np.int64]) -> Counts:
            total = np.tile(rest, (len(genotypes), 1))
            before = np.zeros(len(genotypes), np.int64)
            columns = iter(genotypes.T)
            for table in tables:
                operation, kernel, gate, _, filters, layers = (next(columns) for _ in _PARTS)
                total += table[before, operation, kernel, gate, filters, layers]
                before = filters
            sides = np.full(len(genotypes), family.resolution, np.int64)
            return np.column_stack([total + head[before], sides])

        return count


def _tables(
    family: MnasNetFamily, num_classes: int
) -> tuple[list[NDArray[np.int64]], NDArray[np.int64], NDArray[np.int64]]:
    """What costs how much: each block, by the choices in it; the head's convolution, by its inputs; and the rest."""
    plan = family.plan(Scale(), num_classes)
    side = -(-family.resolution // family.stem_stride)
    rest = conv_cost(side, 3, 3, plan.stem) + dense_cost(plan.head, num_classes)
    before: tuple[int, ...] = (plan.stem,)
    tables = []
    for choices, stride in zip(BLOCKS, family.strides(STRIDES), strict=True):
        filters = tuple(family.channels(channels, family.width) for channels in choices.filters)
        layers = tuple(round_layers(number, family.depth) for number in choices.layers)
        options = (before, choices.operations, choices.kernel_sizes, choices.squeeze_excites, filters, layers)
        costs = [_numbers(_block_cost(*combination, stride, side)) for combination in product(*options)]
        tables.append(np.array(costs).reshape(*map(len, options), 3))
        before, side = filters, -(-side // stride)
    head = np.array([_numbers(conv_cost(side, 1, channels, plan.head)) for channels in before])
    return tables, head, np.array(_numbers(rest))


def _block_cost(
    before: int,
    operation: Operation,
    kernel_size: int,
    squeeze_excite: bool,
    filters: int,
    layers: int,
    stride: int,
    side: int,
) -> Cost:
    block = Block(operation, kernel_size, squeeze_excite, "none", filters, layers)
    total, after = layer_plan(block, before, filters, stride, 0.0, "relu").cost(side)
    return total + layer_plan(block, filters, filters, 1, 0.0, "relu").cost(after)[0] * (layers - 1)


def _numbers(cost: Cost) -> tuple[int, int, int]:
    return cost.parameters, cost.multiply_adds, cost.activations


MNASNET_SPACE = MnasNetSpace()
MNASNET_TINY_SPACE = MnasNetSpace("mnasnet_tiny")
SPACES: Mapping[str, Space] = MappingProxyType({"mnasnet": MNASNET_SPACE, "mnasnet_tiny": MNASNET_TINY_SPACE})
"""The spaces that have a name."""


def load_space(name: str) -> Space:
    """A space by its name or its import path `package.module:Name`, an instance or a class made without arguments.

    Raises UserError where there is none, or it does not follow the protocol.
    """
    if ":" not in name:
        if name not in SPACES:
            known = f"known spaces are {', '.join(SPACES)}, or an import path such as my_package.spaces:MySpace"
            raise UserError(f"unknown space {name!r}", known)
        return SPACES[name]
    space = import_object(name, "space")
    if isinstance(space, type):
        try:
            space = space()
        except TypeError as error:
            raise UserError(f"space {name!r} cannot be created without arguments: {error}") from None
    if not isinstance(space, Space):
        raise UserError(f"{name!r} is not a space", "a space has a family, decisions and options(genotype)")
    if not all(sizes(space)):
        raise UserError(f"space {name!r} has a decision without choices", "each must have at least one")
    return space


def counter_of(space: Space, family_options: tuple[str, ...], num_classes: int) -> Counter:
    """Counts in bulk where the space can; one network after the other, each once, where it cannot."""
    if isinstance(space, CountingSpace):
        return space.counter(family_options, num_classes)

    @cache
    def one(genotype: Genotype) -> tuple[int, ...]:
        family = load_family(space.family, (*space.options(genotype), *family_options))
        try:
            return *_numbers(measure(family, Scale(), num_classes, family.resolution)[0]), family.resolution
        except InputSizeError:
            return 0, 0, 0, 0

    def count(genotypes: NDArray[np.int64]) -> Counts:
        return np.array([one(tuple(map(int, row))) for row in genotypes], np.int64).reshape(-1, 4)

    return count
