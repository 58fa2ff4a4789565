"""Compares two laws on a recorded table: of size alone, and of size and images seen, fitted to learning curves.

    python -m tests.benchmarks.curves tables/fashion_mnist_search.parquet

error = floor + scale * size^-a, fitted to the last epoch's training loss of each network, and the same with
+ scale' * images^-b, fitted to every epoch but the first. The largest networks are held out; both predict their last
training loss.
"""

import argparse

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from scaling_search.analysis import load_run

HELD_OUT = (0.15, 0.3, 0.48)
"""Shares of the networks."""
STARTS = 20


def main() -> None:
    """Prints a row for each share of the networks that is held out."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.curves", description=__doc__.splitlines()[0])
    parser.add_argument("table", nargs="+")
    print("| table | held out | size | size and images |\n|" + " --- |" * 4)
    for path in parser.parse_args().table:
        points = points_of(path)
        sizes = points.groupby("fingerprint")["size"].first().sort_values().to_numpy()
        for share in HELD_OUT:
            count = round(share * len(sizes))
            errors = [error(points, sizes[-count], images=images) for images in (False, True)]
            print(f"| `{path}` | {count} of {len(sizes)} | {errors[0]:.3f} | {errors[1]:.3f} |", flush=True)


def points_of(path: str) -> pd.DataFrame:
    """Mean training loss of each network after each epoch but the first; sizes and steps over their geometric means."""
    run = load_run(path)
    curves = run.curves[run.curves["epoch"] > 1].merge(run.trials[["key", "fingerprint", "multiply_adds"]], on="key")
    points = curves.groupby(["fingerprint", "multiply_adds", "epoch", "step"], as_index=False)["train_loss"].mean()
    points["size"] = points["multiply_adds"] / np.exp(np.log(points["multiply_adds"]).mean())
    points["images"] = points["step"] / np.exp(np.log(points["step"]).mean())
    return points


def error(points: pd.DataFrame, held_out: float, *, images: bool) -> float:
    """Mean absolute error, in nats, of the last training loss of networks of size `held_out` and above."""
    known, last = points[points["size"] < held_out], points[points["epoch"] == points["epoch"].max()]
    if not images:
        known = known[known["epoch"] == points["epoch"].max()]
    law = fitted(known, images=images)
    unknown = last[last["size"] >= held_out]
    return float(np.abs(predicted(law, unknown) - unknown["train_loss"]).mean())


def fitted(points: pd.DataFrame, *, images: bool) -> np.ndarray:
    """Logarithms of floor, scale, a and, with `images`, scale' and b: least squares from several starts."""
    random = np.random.default_rng(0)
    fits = [
        least_squares(
            lambda law: predicted(law, points) - points["train_loss"],
            random.normal(-1, 1, 5 if images else 3),
            bounds=(-12, 5),
        )
        for _ in range(STARTS)
    ]
    return min(fits, key=lambda fit: fit.cost).x


def predicted(law: np.ndarray, points: pd.DataFrame) -> pd.Series:
    """The training loss that a law gives points."""
    floor, scale, a, *rest = np.exp(law)
    loss = floor + scale * points["size"] ** -a
    return loss + rest[0] * points["images"] ** -rest[1] if rest else loss


if __name__ == "__main__":
    main()
