"""How images are divided into training, validation and test parts: stratified by class, and seeded."""

from dataclasses import dataclass

import numpy as np

from scaling_search.config import Split
from scaling_search.data.sources import ImageData
from scaling_search.errors import UserError


@dataclass(frozen=True, eq=False)
class Division:
    """Indices into `ImageData.images`, sorted; no two parts share one."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray | None
    """None where the data has a test split of its own."""


def divide(data: ImageData, split: Split) -> Division:
    """`data` in parts of the shares of `split`, the same for the same seed.

    A part of share s has round(s * N) images, to which each class gives s times its own number, rounded down or up
    by largest remainder; training gets the rest, or the share `split.train` of all images. Where the data has a test
    split, `split.test` is not used.

    Raises UserError where the shares are more than all images, or a class would be missing from a part.
    """
    if split.seed < 0:
        raise UserError(f"split seed {split.seed} given", "it must be 0 or more", "try --split.seed 0")
    sizes = np.bincount(data.labels, minlength=data.num_classes)
    shares = {"validation": split.validation} | ({"test": split.test} if data.test_images is None else {})
    counts = {part: _largest_remainder(sizes, share) for part, share in shares.items()}
    rest = sizes - sum(counts.values())
    if split.train is not None:
        left = 1 - sum(shares.values())
        if split.train > left + 1e-9:
            raise UserError(
                f"split of {split.train:g} training given, where {' and '.join(shares)} leave {left:g}",
                "no image is in two parts",
                f"try --split.train {left:g}, or leave it out",
            )
        rest = np.minimum(_largest_remainder(sizes, split.train), rest)
    counts["train"] = rest
    for part, of_class in counts.items():
        short = int(of_class.argmin())
        if of_class[short] < 1:
            raise UserError(
                f"class {data.classes[short]!r} has {sizes[short]} images, which leaves none for the {part} part",
                "every part needs an image of every class",
                "add images, take the class away, or change --split.validation"
                + (" or --split.test" if "test" in shares else ""),
            )

    rng = np.random.default_rng(split.seed)
    indices: dict[str, list[np.ndarray]] = {part: [] for part in counts}
    for label in range(data.num_classes):
        shuffled = rng.permutation(np.flatnonzero(data.labels == label))
        ends = np.cumsum([of_class[label] for of_class in counts.values()])
        for part, piece in zip(counts, np.split(shuffled, ends)[: len(counts)], strict=True):
            indices[part].append(piece)
    parts = {part: np.sort(np.concatenate(pieces)) for part, pieces in indices.items()}
    return Division(parts["train"], parts["validation"], parts.get("test"))


def _largest_remainder(sizes: np.ndarray, share: float) -> np.ndarray:
    """(K,) whole numbers that add up to round(share * N), each share * sizes[k] rounded down or up."""
    exact = sizes * share
    counts = np.floor(exact).astype(np.int64)
    left = round(float(exact.sum())) - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:left]] += 1
    return counts
