"""How images are divided into training, validation and test parts: stratified by class, and seeded."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from scaling_search.config import Split
from scaling_search.data.images import ImageData
from scaling_search.errors import UserError
from scaling_search.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Division:
    """Indices into `ImageData.images`, sorted; no two parts share one."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray | None
    """None where the data has a test part of its own."""


def resolve(split: Split, data: ImageData) -> Split:
    """`split` with the data's own default for each share that is not given.

    A share stays None where the data comes with that part. Raises UserError where the shares leave nothing to train on.
    """
    default = data.default_split
    validation, test = split.validation, split.test
    if validation is None and data.validation is None:
        validation = default.validation
    if test is None and data.test_images is None:
        test = default.test
    return dataclasses.replace(split, validation=validation, test=test)


def divide(data: ImageData, split: Split) -> Division:
    """`data` in parts of the shares of `split`, the same for the same seed.

    A part of share s has round(s * N) of the N images that the data's own parts leave, to which each class gives s
    times its own number, rounded down or up by largest remainder, and at least one image; training gets the rest, or
    the share `split.train` of these images. A part that the data comes with is taken as it is, and its share is not
    used.

    Raises UserError where the shares are more than all images, or a class has fewer images than there are parts.
    """
    split = resolve(split, data)
    if split.seed < 0:
        raise UserError(f"split seed {split.seed} given", "it must be 0 or more", "try --split.seed 0")
    shares: dict[str, float] = {}
    if data.validation is None and split.validation is not None:
        shares["validation"] = split.validation
    if data.test_images is None and split.test is not None:
        shares["test"] = split.test
    free = np.setdiff1d(np.arange(len(data.labels)), [] if data.validation is None else data.validation)
    sizes = np.bincount(data.labels[free], minlength=data.num_classes)
    counts = _counts(data, split, shares, sizes)

    rng = np.random.default_rng(split.seed)
    indices: dict[str, list[np.ndarray]] = {part: [] for part in counts}
    for label in range(data.num_classes):
        shuffled = rng.permutation(free[data.labels[free] == label])
        ends = np.cumsum([of_class[label] for of_class in counts.values()])
        for part, piece in zip(counts, np.split(shuffled, ends)[: len(counts)], strict=True):
            indices[part].append(piece)
    parts = {part: np.sort(np.concatenate(pieces)) for part, pieces in indices.items()}
    validation = parts["validation"] if data.validation is None else np.sort(data.validation)
    return Division(parts["train"], validation, parts.get("test"))


def hold_out(train: np.ndarray, labels: np.ndarray, recipe: Recipe | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The training part (N,) without and with what a recipe of early stopping holds out of it, both in order.

    `labels` are those of all images. It is the recipe's share of each class, at least one image, the same for the same
    seed; none without early stopping. Raises UserError where a class has no other image.
    """
    if recipe is None or recipe.patience is None:
        return train, train[:0]
    rng = np.random.default_rng((seed, 1))
    held: list[np.ndarray] = []
    for label in np.unique(labels[train]):
        of_class = rng.permutation(train[labels[train] == label])
        if len(of_class) < 2:
            raise UserError(
                "early stopping holds images of each class out of training, and one has a single image",
                "every class needs another to train on",
                "train without --recipe.patience",
            )
        held.append(of_class[: min(max(1, round(recipe.held_out * len(of_class))), len(of_class) - 1)])
    out = np.sort(np.concatenate(held))
    return np.setdiff1d(train, out), out


def in_words(split: Split, data: ImageData) -> str:
    """The split that is used, for a person: "10 % validation, its own test part, the rest training"."""
    split = resolve(split, data)

    def said(part: str, share: float | None, own: bool) -> str:
        return f"its own {part} part" if own or share is None else f"{100 * share:.3g} % {part}"

    return ", ".join(
        (
            said("validation", split.validation, data.validation is not None),
            said("test", split.test, data.test_images is not None),
            "the rest training" if split.train is None else f"{100 * split.train:.3g} % training",
        )
    )


def _counts(data: ImageData, split: Split, shares: dict[str, float], sizes: np.ndarray) -> dict[str, np.ndarray]:
    """(K,) images by part, training last."""
    short = int(sizes.argmin())
    if sizes[short] <= len(shares):
        raise UserError(
            f"class {data.classes[short]!r} has too few images ({sizes[short]}) for a split of {in_words(split, data)}",
            "every part needs an image of every class",
            "add images, or take the class away",
        )
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
    for label in range(len(sizes)):
        for of_class in counts.values():
            while of_class[label] < 1:
                # What is left out for a share of training comes first; else the largest part gives one.
                if sum(other[label] for other in counts.values()) == sizes[label]:
                    max(counts.values(), key=lambda other: other[label])[label] -= 1
                of_class[label] += 1
    return counts


def _largest_remainder(sizes: np.ndarray, share: float) -> np.ndarray:
    """(K,) whole numbers that add up to round(share * N), each share * sizes[k] rounded down or up."""
    exact = sizes * share
    counts = np.floor(exact).astype(np.int64)
    left = round(float(exact.sum())) - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:left]] += 1
    return counts
