"""`cam`: what a network makes of a picture, and where in it."""

from typing import TYPE_CHECKING

from scaling_search.cli.plots import picture_file
from scaling_search.cli.show import print_rows
from scaling_search.errors import UserError

if TYPE_CHECKING:
    from scaling_search.cli.commands import Cam

TOP = 5


def print_cam(options: "Cam") -> None:
    """Prints the five likeliest classes and writes the map of the first, or of the class that was asked for."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from scaling_search.analysis.figures import class_activation_figure, render
    from scaling_search.data.pictures import normalised, read_picture
    from scaling_search.family import load_family
    from scaling_search.networks.cam import class_activation_maps
    from scaling_search.store import RunDirectory
    from scaling_search.weights.files import read_arrays
    from scaling_search.weights.transfer import load_network

    output = picture_file(options.output)
    family = load_family(options.network, options.family_options)
    picture = read_picture(options.image, options.resolution or family.resolution)
    network, _ = load_network(family, read_arrays(options.weights))
    asked = None if options.class_index is None else jnp.asarray([options.class_index])
    logits, maps = class_activation_maps(network, jnp.asarray(normalised(picture[None], options.pixels)), asked)
    share = np.asarray(jax.nn.softmax(logits[0]))
    if options.class_index is not None and not 0 <= options.class_index < len(share):
        raise UserError(f"class {options.class_index} given", f"the network has classes 0 to {len(share) - 1}")
    likeliest = np.argsort(-share, kind="stable")[:TOP]
    shown = int(likeliest[0]) if options.class_index is None else options.class_index
    caption = f"{family.name}: class {shown}, {100 * share[shown]:.1f} %"
    figure = class_activation_figure(picture, np.asarray(maps[0]), caption)
    RunDirectory(output.parent).write_file(output.name, render(figure, output.suffix.removeprefix(".").lower()))
    rows = [
        {"class": int(index), "probability": float(share[index]), "logit": float(logits[0, index])}
        for index in likeliest
    ]
    print_rows(rows, options.format)
