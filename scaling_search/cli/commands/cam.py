"""`cam`: class activation maps."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from scaling_search.cli.command import Command, Format
from scaling_search.cli.judging import WeightsOptions
from scaling_search.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Cam(WeightsOptions, Command):
    """Shows where in an image a network sees a class: the class activation map, as in the paper's Figure 7.

    Example: scaling-search cam cat.png --network efficientnet_lite0 --weights lite0.npz --pixels lite -o cam.png
    """

    image: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE")]
    """The image file."""
    weights: str
    """A .safetensors or .npz file, or a model's folder."""
    output: Annotated[str, tyro.conf.arg(aliases=["-o"])]
    """File to write: .png, .svg or .pdf."""
    class_index: int | None = None
    """Class to show, counted from 0; by default the most likely."""
    format: Format = "table"
    """How the table of the most likely classes is printed."""

    def execute(self) -> None:
        """Writes the map and prints the most likely classes."""
        import jax.numpy as jnp
        import numpy as np

        from scaling_search.analysis.figures import class_activation_figure, render
        from scaling_search.cli.commands.plot import picture_file
        from scaling_search.cli.tables import print_rows
        from scaling_search.data.pictures import read_picture
        from scaling_search.evaluation.metrics import softmax, top_classes
        from scaling_search.evaluation.predict import TOP
        from scaling_search.networks.cam import class_activation_maps
        from scaling_search.store import write_output

        output = picture_file(self.output)
        judge = self.opened(self.weights)
        if self.class_index is not None and not 0 <= self.class_index < len(judge.classes):
            raise UserError(f"class {self.class_index} given", f"the network has classes 0 to {len(judge.classes) - 1}")
        picture = read_picture(self.image, judge.side, judge.crop)
        pixels = (jnp.asarray(picture[None], jnp.float32) / 255 - jnp.asarray(judge.mean)) / jnp.asarray(judge.std)
        asked = None if self.class_index is None else jnp.asarray([self.class_index])
        logits, maps = class_activation_maps(judge.network, pixels, asked)
        share = softmax(np.asarray(logits))[0]
        likeliest = top_classes(np.asarray(logits), TOP)[0]
        shown = int(likeliest[0]) if self.class_index is None else self.class_index
        caption = f"{judge.name}: class {judge.classes[shown]}, {100 * share[shown]:.1f} %"
        figure = class_activation_figure(picture, np.asarray(maps[0]), caption)
        write_output(output, render(figure, output.suffix.removeprefix(".").lower()))
        rows = [
            {"class": judge.classes[index], "probability": float(share[index]), "logit": float(logits[0, index])}
            for index in likeliest
        ]
        print_rows(rows, self.format)
