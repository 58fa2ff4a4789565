"""Compares recipes: accuracy, training loss and time of a baseline and of the same at twice its depth and width.

    python -m tests.benchmarks.recipes short paper --seeds 8
    python -m tests.benchmarks.recipes short sgd --data digits --epochs 12 --family resnet50 --options resolution=48 \
        --baseline 1,0.125,1
    python -m tests.benchmarks.recipes --smoke short

Each training is on one core. Rows are also added to recipes.jsonl in the current folder.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scaling_search.config import Split
from scaling_search.recipe import SHORT, Recipe
from scaling_search.training.environment import training_environment, with_users_flags

SQUEEZED = Recipe(learning_rate=1.0)
"""The paper's recipe in batches of 32 at four times its rate: what searches were trained by before `SHORT`."""
RECIPES: dict[str, Recipe] = {
    "short": SHORT,
    "paper": SQUEEZED,
    "paper+zeros": replace(SQUEEZED, zero_init_residual=True),
    "sgd": replace(SHORT, optimiser="sgd", learning_rate=0.2, weight_decay=5e-4),
    "adamw": replace(SHORT, optimiser="adamw"),
    "momentum-0.95": replace(SHORT, momentum=0.95),
    "rate/2": replace(SHORT, learning_rate=SHORT.learning_rate / 2),
    "rate*2": replace(SHORT, learning_rate=SHORT.learning_rate * 2),
    "batch*2": replace(SHORT, batch_size=SHORT.batch_size * 2),
    "batch/2": replace(SHORT, batch_size=SHORT.batch_size // 2),
    "no-zeros": replace(SHORT, zero_init_residual=False),
    "no-smoothing": replace(SHORT, label_smoothing=0.0),
    "no-average": replace(SHORT, ema_decay=0.0),
    "no-shifts": replace(SHORT, augment="none"),
    "early-peak": replace(SHORT, warmup_share=0.1),
    "late-peak": replace(SHORT, warmup_share=0.4),
}
GROWTH = {"baseline": (1, 1, 1), "depth x2": (2, 1, 1), "width x2": (1, 2, 1), "resolution x2": (1, 1, 2)}


def main() -> None:
    """Trains what is asked for and prints a row of a table for each network and recipe."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.recipes", description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="+", choices=RECIPES, metavar="RECIPE", help=", ".join(RECIPES))
    parser.add_argument("--data", default="glyphs")
    parser.add_argument("--validation", type=float, help="share of the images")
    parser.add_argument("--train", type=float, help="share of the images")
    parser.add_argument("--family", default="efficientnet_small")
    parser.add_argument("--options", nargs="*", default=[], help="fields of the family, NAME=VALUE")
    parser.add_argument("--baseline", default="1,1,1", help="the family's scale that is the baseline here: d,w,r")
    parser.add_argument("--growth", nargs="+", choices=GROWTH, default=["baseline", "depth x2", "width x2"])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="the smallest of each, to see that it works")
    options = parser.parse_args()
    if options.smoke:
        options.data, options.epochs, options.seeds, options.growth = "digits", 1, 1, ["baseline"]
        options.family = "examples.plain_cnn:PlainCNNFamily"
    os.environ.update(with_users_flags(training_environment()))
    print("| recipe | network | multiply-adds | top-1, % | training loss | seconds of a core |\n|" + " --- |" * 6)
    for row in rows_of(options):
        with Path("recipes.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        accuracy, loss, seconds = (np.array(row[name]) for name in ("accuracy", "loss", "seconds"))
        print(
            f"| {row['recipe']} | {row['growth']} | {row['multiply_adds'] / 1e6:.2f}M "
            f"| {spread(100 * accuracy, 1)} | {spread(loss, 3)} | {seconds.mean():.1f} |",
            flush=True,
        )


def rows_of(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What each recipe makes of each network, from every seed."""
    from scaling_search.data import load, resolve
    from scaling_search.family import load_family
    from scaling_search.rule import Scale
    from scaling_search.search.candidates import network_at
    from scaling_search.training.fit import train_group
    from scaling_search.trial import Spec

    data = load(options.data)
    split = resolve(Split(validation=options.validation, train=options.train), data)
    family = load_family(options.family, tuple(options.options))
    baseline = [float(factor) for factor in options.baseline.split(",")]
    for name in options.recipes:
        recipe = replace(RECIPES[name], epochs=options.epochs, evaluate_every=options.epochs, precision="float32")
        for growth in options.growth:
            scale = Scale(*(own * factor for own, factor in zip(baseline, GROWTH[growth], strict=True)))
            named: Any = {"name": options.family, "options": tuple(options.options)}
            network = network_at(family, scale, data.num_classes, **named)
            specs = [Spec(network, recipe, data.identity, split, seed) for seed in range(options.seeds)]
            outcomes, seconds = [], []
            trained = train_group(specs, data)
            for _ in specs:
                began = time.process_time()
                outcomes.append(next(trained))
                seconds.append(time.process_time() - began)
            yield {
                "recipe": name,
                "growth": growth,
                "data": options.data,
                "family": options.family,
                "options": options.options,
                "baseline": options.baseline,
                "epochs": options.epochs,
                "input_resolution": network.input_resolution,
                "multiply_adds": network.multiply_adds,
                "accuracy": [outcome.accuracy or 0.0 for outcome in outcomes],
                # A training that failed has no loss; it counts as one that learned nothing.
                "loss": [
                    one.curve[-1].train_loss if one.status == "ok" else np.log(data.num_classes) for one in outcomes
                ],
                # The first compiles what all share.
                "seconds": seconds[1:] or seconds,
            }


def spread(values: np.ndarray[Any, Any], digits: int) -> str:
    """Mean and standard deviation."""
    deviation = f" ({values.std(ddof=1):.{digits}f})" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{deviation}"


if __name__ == "__main__":
    main()
