"""`cam`: class activation maps."""

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from scaling_search.cli.command import Command, Format
from scaling_search.errors import UserError


@dataclass(frozen=True)
class Cam(Command):
    """Shows where in an image a network sees a class: the class activation map, as in the paper's Figure 7.

    Example: scaling-search cam cat.png --network efficientnet_lite0 --weights lite0.npz --pixels lite -o cam.png
    """

    image: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE")]
    """The image file."""
    network: str
    """The network."""
    weights: str
    """Its weights, a .safetensors or .npz file in any naming that the network knows."""
    output: Annotated[str, tyro.conf.arg(aliases=["-o"])]
    """File to write: .png, .svg or .pdf."""
    family_options: tuple[str, ...] = ()
    """Fields of the network to set, as NAME=VALUE, such as padding=SYMMETRIC batch_norm_epsilon=1e-5."""
    class_index: int | None = None
    """Class to show; by default the most likely."""
    pixels: Literal["imagenet", "half", "lite"] = "imagenet"
    """Pixel normalisation of the weights: ImageNet's mean and deviation, (x - 0.5) / 0.5, or EfficientNet-Lite's."""
    resolution: int | None = None
    """Input side in pixels; by default the network's own."""
    format: Format = "table"
    """How the table of the most likely classes is printed."""

    def execute(self) -> None:
        """Writes the map and prints the most likely classes."""
        import jax.numpy as jnp
        import numpy as np

        from scaling_search.analysis.figures import class_activation_figure, render
        from scaling_search.cli.commands.plot import picture_file
        from scaling_search.cli.tables import print_rows
        from scaling_search.data.pictures import normalised, read_picture
        from scaling_search.evaluation.metrics import softmax, top_classes
        from scaling_search.evaluation.predict import TOP
        from scaling_search.family import load_family
        from scaling_search.networks.cam import class_activation_maps
        from scaling_search.store import write_output
        from scaling_search.weights.files import read_arrays
        from scaling_search.weights.transfer import load_network

        output = picture_file(self.output)
        family = load_family(self.network, self.family_options)
        picture = read_picture(self.image, self.resolution or family.resolution)
        network, _ = load_network(family, read_arrays(self.weights))
        asked = None if self.class_index is None else jnp.asarray([self.class_index])
        logits, maps = class_activation_maps(network, jnp.asarray(normalised(picture[None], self.pixels)), asked)
        share = softmax(np.asarray(logits))[0]
        if self.class_index is not None and not 0 <= self.class_index < len(share):
            raise UserError(f"class {self.class_index} given", f"the network has classes 0 to {len(share) - 1}")
        likeliest = top_classes(np.asarray(logits), TOP)[0]
        shown = int(likeliest[0]) if self.class_index is None else self.class_index
        caption = f"{family.name}: class {shown}, {100 * share[shown]:.1f} %"
        figure = class_activation_figure(picture, np.asarray(maps[0]), caption)
        write_output(output, render(figure, output.suffix.removeprefix(".").lower()))
        rows = [
            {"class": int(index), "probability": float(share[index]), "logit": float(logits[0, index])}
            for index in likeliest
        ]
        print_rows(rows, self.format)
