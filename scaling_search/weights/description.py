"""What a file of weights is for: the network, its classes, and images as it was trained on them."""

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any

from scaling_search.errors import UserError, first_line
from scaling_search.family import Family, load_family
from scaling_search.rule import Scale

KEY = "scaling_search"
"""The entry of a file's metadata that holds a `Description` as JSON."""
Channels = tuple[float, float, float]


@dataclass(frozen=True)
class Description:
    """What weights are for: the network, its classes, and images as it was trained on them."""

    family: str
    """A registered family or an import path, as `load_family` takes it."""
    options: tuple[str, ...]
    """Fields of the family that were set, as NAME=VALUE."""
    scale: Scale
    classes: tuple[str, ...]
    """What the logits stand for, in order."""
    mean: Channels
    """Of pixel values in 0..1, by channel; it is subtracted from them."""
    std: Channels
    """Likewise; it divides what is left."""
    input_resolution: int
    """Input side in pixels."""
    crop: float = 1.0
    """The share of a picture's shorter side that the network sees: timm's crop_pct, 224 / 256 by ImageNet's custom."""

    def __post_init__(self) -> None:
        if not self.classes:
            raise UserError("no classes given", "a network has at least one")
        numbers = (*self.mean, *self.std, self.crop)
        if len(self.mean) != 3 or len(self.std) != 3 or not all(map(math.isfinite, numbers)) or min(self.std) <= 0:
            raise UserError(
                f"mean {self.mean} and standard deviation {self.std} given",
                "three finite numbers each, the latter above 0",
            )
        if self.input_resolution < 1 or not 0 < self.crop <= 1:
            raise UserError(
                f"input resolution {self.input_resolution} and crop {self.crop} given",
                "at least 1 pixel, and a share above 0 and up to 1",
            )

    @property
    def network(self) -> Family:
        """The family with its options. Raises UserError where it is not to be had here."""
        return load_family(self.family, self.options)

    def to_json(self) -> str:
        """As the metadata hold it."""
        return json.dumps(dataclasses.asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Description":
        """From what `to_json` made. Raises UserError where it is something else."""
        try:
            fields = json.loads(text)
            return cls(
                family=_string(fields["family"]),
                options=tuple(map(_string, fields["options"])),
                scale=Scale(**{name: float(value) for name, value in fields["scale"].items()}),
                classes=tuple(map(_string, fields["classes"])),
                mean=channels(fields["mean"]),
                std=channels(fields["std"]),
                input_resolution=int(fields["input_resolution"]),
                crop=float(fields["crop"]),
            )
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise UserError(f"the description in the metadata cannot be read: {first_line(error)}") from None


def channels(values: Any) -> Channels:
    """Three numbers, one a channel. Raises ValueError or TypeError for anything else."""
    red, green, blue = map(float, values)
    return red, green, blue


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value
