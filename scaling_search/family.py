"""The one protocol that makes a network scalable, and where families are found. Loads no JAX by itself."""

import dataclasses
import difflib
import hashlib
import importlib
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from scaling_search.errors import UserError
from scaling_search.rule import Scale
from scaling_search.uncollected import uncollected

if TYPE_CHECKING:
    import numpy as np
    from flax import nnx
    from numpy.typing import NDArray

ENTRY_POINTS = "scaling_search.families"
HEAD = "classifier"
"""The attribute that maps pooled features to logits. It is new where a network starts from other weights."""


@runtime_checkable
class Family(Protocol):
    """A baseline network that can be scaled: EfficientNet, every other ConvNet here, or a network of your own."""

    name: str
    resolution: int
    """Input side in pixels at r = 1."""

    def build(self, scale: Scale, num_classes: int, *, rngs: "nnx.Rngs") -> "nnx.Module":
        """The network at `scale`: a Flax module from images (N, H, W, 3) to logits (N, num_classes).

        It must accept any input side; d and w set its layers and channels, r only the side it is meant for. Class
        activation maps ask more of it: features(images) and classify(features) as parts of its call.
        """
        ...


@dataclass(frozen=True)
class Cost:
    """What a network costs for one image, by the definitions in `scaling_search.cost`."""

    parameters: int
    multiply_adds: int
    activations: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.parameters + other.parameters,
            self.multiply_adds + other.multiply_adds,
            self.activations + other.activations,
        )

    def __mul__(self, times: int) -> "Cost":
        return Cost(self.parameters * times, self.multiply_adds * times, self.activations * times)


class Plan(Protocol, Hashable):
    """A network's layers as plain data: equal plans are equal networks, and cost nothing to compare or to count."""

    def cost(self, resolution: int) -> Cost:
        """What the network costs at an input of `resolution` pixels a side."""
        ...

    def last_map_side(self, resolution: int) -> int:
        """Side in pixels of the last feature map at such an input; 0 where a map on the way has no pixels left."""
        ...

    @property
    def layers(self) -> int:
        """What depth multiplies: the network's blocks."""
        ...

    @property
    def channels(self) -> int:
        """What width multiplies: the channels of all its stages together."""
        ...


@runtime_checkable
class PlannedFamily(Family, Protocol):
    """A family that describes its networks without building them. Others are traced instead, which is slower."""

    def plan(self, scale: Scale, num_classes: int) -> Plan:
        """The layers that `build` would make."""
        ...


@runtime_checkable
class BulkFamily(Family, Protocol):
    """A family that counts many of its networks at once."""

    def costs(
        self, depths: "NDArray[np.float64]", widths: "NDArray[np.float64]", sides: "NDArray[np.int64]", num_classes: int
    ) -> Cost:
        """What the networks cost, each number an array of int64. The arrays are of one length."""
        ...


Naming = Callable[[str], str]
"""From the path of a module in one of our networks, such as stages.0.2.conv1, to its name in another implementation."""


@runtime_checkable
class NamedFamily(Family, Protocol):
    """A family whose weights exist in other implementations, whose names for its modules it knows."""

    @property
    def namings(self) -> Mapping[str, Naming]:
        """What each implementation calls a module, by the implementation's name; export takes the first."""
        ...


def fingerprint(*parts: object) -> str:
    """A short name for what plain data describes."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def registered_families() -> dict[str, EntryPoint]:
    """The families that installed packages offer, by name, not loaded yet."""
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}


def load_family(name: str, options: tuple[str, ...] = ()) -> Family:
    """A family by its registered name or its import path `package.module:Name`, with fields set as NAME=VALUE.

    An import path may name an instance, or a class that can be made without arguments. Raises UserError where
    there is no such family, it does not follow the protocol, or an option is not one of its fields.
    """
    family = import_object(name, "family") if ":" in name else _registered_family(name)
    if isinstance(family, type):
        try:
            family = family()
        except TypeError as error:
            raise UserError(f"family {name!r} cannot be created without arguments: {error}") from None
    if not isinstance(family, Family):
        raise UserError(
            f"{name!r} is not a family", "a family has a name, a resolution and build(scale, num_classes, *, rngs)"
        )
    return with_options(family, options)


def _registered_family(name: str) -> Any:
    registered = registered_families()
    if name not in registered:
        close = difflib.get_close_matches(name, registered, n=1)
        raise UserError(
            f"unknown family {name!r}",
            f"known families are {', '.join(sorted(registered))}, or an import path such as my_package.nets:MyFamily",
            f"did you mean {close[0]}?" if close else "see scaling-search run --help",
        )
    # Flax comes with the first.
    with uncollected():
        return registered[name].load()


def import_object(path: str, what: str) -> Any:
    """What an import path `package.module:Name` names: a `what`, in the words of the UserError where there is none."""
    module_name, _, attribute = path.partition(":")
    try:
        with uncollected():
            target: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            target = getattr(target, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"{what} {path!r} cannot be imported: {error}",
            "an import path is package.module:Name, found from the current directory or an installed package",
        ) from None
    return target


def fields_of(family: Family) -> dict[str, Any]:
    """The fields that a family can be made anew with, and what they are; none where it is no dataclass."""
    if not dataclasses.is_dataclass(family):
        return {}
    return {field.name: getattr(family, field.name) for field in dataclasses.fields(family) if field.init}


def with_options(family: Family, options: tuple[str, ...]) -> Family:
    """The family with fields set as NAME=VALUE. Raises UserError where an option is not one of its fields."""
    if not options:
        return family
    if not dataclasses.is_dataclass(family):
        raise UserError(f"family {family.name!r} takes no options", "only a dataclass family has fields to set")
    current = {name: value for name, value in fields_of(family).items() if isinstance(value, bool | int | float | str)}
    changes: dict[str, Any] = {}
    for option in options:
        key, equals, text = option.partition("=")
        if not equals or key not in current:
            raise UserError(
                f"family option {option!r} given", f"{family.name} takes NAME=VALUE with {', '.join(current)}"
            )
        changes[key] = _like(current[key], text, option)
    return cast(Family, dataclasses.replace(cast(Any, family), **changes))


def _like(example: object, text: str, option: str) -> object:
    """`text` as a value of the type that `example` has."""
    try:
        match example:
            case bool():
                return {"true": True, "false": False}[text.lower()]
            case int():
                return int(text)
            case float():
                return float(text)
            case str():
                return text
    except (ValueError, KeyError):
        pass
    raise UserError(
        f"family option {option!r} given", f"its value must be a {type(example).__name__}, such as {example!r}"
    )
