"""What `predict`, `evaluate` and `cam` share: options, and the network with the pixels and size it expects."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from scaling_search.errors import UserError

if TYPE_CHECKING:
    import numpy as np

Pixels = Literal["imagenet", "half", "lite"]


@dataclass(frozen=True, kw_only=True)
class WeightsOptions:
    """How to read weights that do not state their network, and the input size."""

    network: str | None = None
    """The network, if the weights do not state it."""
    family_options: tuple[str, ...] = ()
    """Fields of the network to set, as NAME=VALUE, such as padding=SYMMETRIC batch_norm_epsilon=1e-5."""
    pixels: Pixels = "imagenet"
    """Pixel normalisation, if the weights do not state it: ImageNet's mean and deviation, (x - 0.5) / 0.5, or
    EfficientNet-Lite's."""
    resolution: int | None = None
    """Input side in pixels; by default the weights' own, or the network's."""

    def opened(self, weights: str) -> "Judge":
        """The network with its weights. Raises UserError if they cannot be loaded."""
        from scaling_search.data.pictures import MARGIN, pixel_moments
        from scaling_search.family import load_family
        from scaling_search.weights.bundle import open_weights

        if self.resolution is not None and self.resolution < 1:
            raise UserError(f"resolution {self.resolution} given", "it must be at least 1", "try --resolution 224")
        family = None if self.network is None else load_family(self.network, self.family_options)
        opened = open_weights(weights, family, named=self.network)
        if (about := opened.description) is not None:
            side = self.resolution or about.input_resolution
            return Judge(opened.network, opened.family.name, about.classes, side, about.crop, about.mean, about.std)
        side = self.resolution or opened.family.resolution
        mean, std = pixel_moments(self.pixels)
        classes = tuple(map(str, range(_logits_of(opened.network, side))))
        return Judge(opened.network, opened.family.name, classes, side, side / (side + MARGIN), mean, std)


def _logits_of(network: Any, side: int) -> int:
    """How many classes a network has."""
    import jax
    import jax.numpy as jnp

    return int(jax.eval_shape(network, jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)).shape[-1])


@dataclass(frozen=True, eq=False)
class Judge:
    """A network with its weights, and how it wants pictures."""

    network: Any
    name: str
    """Of the network's family."""
    classes: tuple[str, ...]
    side: int
    """Input side in pixels."""
    crop: float
    """The share of a picture's shorter side that it sees."""
    mean: tuple[float, ...]
    """Of pixel values in 0..1, by channel."""
    std: tuple[float, ...]
    """Likewise."""

    def read(self, file: Path) -> "np.ndarray":
        """A picture as (side, side, 3) uint8. Raises UserError where it cannot be read."""
        import numpy as np

        from scaling_search.data.pictures import DETAIL, read_file, seen

        picture = read_file(file, least=DETAIL * round(self.side / self.crop))
        kept = seen(self.crop, self.side, min(picture.size))
        return np.broadcast_to(picture.square(self.side, kept=kept), (self.side, self.side, 3))
