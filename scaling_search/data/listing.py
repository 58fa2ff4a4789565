"""Listed images, from a folder or a table, made into labelled ones: indexed, checked, and decoded where they fit."""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from scaling_search.config import OnBadData
from scaling_search.data.encoded import Contents, EncodedImages, Files
from scaling_search.data.images import ImageData
from scaling_search.data.index import Index, index_files
from scaling_search.errors import UserError

DECODED_AT_ONCE = 2**29
"""Bytes up to which images of one size are decoded when they are opened, and kept so; all others when needed."""
_NAMED = 20


@dataclass(frozen=True)
class Listing:
    """Images by name, before any is opened."""

    name: str
    """What the data are called."""
    root: str
    paths: tuple[str, ...]
    """Below `root`: first the training part, then validation, then test."""
    labels: tuple[int, ...]
    parts: tuple[str, ...]
    """train, validation or test, for each path. Where all are train the data have no parts of their own."""
    classes: tuple[str, ...]
    passed_over: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What was not taken, by the reason."""


def read_listing(listing: Listing, on_bad: OnBadData = "refuse") -> ImageData:
    """The images of a listing. What was passed over, scaled or composited is counted in one warning each.

    Images of one size that take up to `DECODED_AT_ONCE` bytes become an array; others stay encoded, to be decoded at
    the side that a network takes.

    Raises UserError where an image cannot be read and `on_bad` is "refuse", or a class has no others.
    """
    _warn_of_passed_over(listing)
    files = Files(listing.root, listing.paths)
    return labelled(listing.name, files, index_files(files), listing.labels, listing.parts, listing.classes, on_bad)


def labelled(
    name: str,
    contents: Contents,
    index: Index,
    labels: Sequence[int],
    parts: Sequence[str],
    classes: tuple[str, ...],
    on_bad: OnBadData,
) -> ImageData:
    """Encoded images with their index, labels and parts as labelled images, as `read_listing` says."""
    _check_readable(name, contents, index, on_bad)
    readable = np.ones(len(index), bool)
    readable[list(index.problems)] = False
    numbers = np.flatnonzero(readable)
    _warn_of_remarks(name, index)
    all_labels, all_parts = np.asarray(labels, np.int32)[numbers], np.asarray(parts)[numbers]
    for part in np.unique(all_parts):
        held = np.bincount(all_labels[all_parts == part], minlength=len(classes))
        if not held.all():
            raise UserError(
                f"{name}: no image of class {classes[int(held.argmin())]!r} in the {part} part can be read",
                "every class has images in each part",
            )
    channels, sizes = int(index.channels[numbers].max()), index.sizes[numbers]
    encoded = EncodedImages(contents, channels, index.digests[numbers], sizes, numbers)
    images: np.ndarray | EncodedImages = encoded
    width, height = map(int, sizes[0])
    if (sizes == sizes[0]).all() and len(numbers) * height * width * channels <= DECODED_AT_ONCE:
        images = encoded.whole(height, width)
    own, test = all_parts != "test", all_parts == "test"
    validation = np.flatnonzero(all_parts[own] == "validation")
    return ImageData(
        name,
        images if own.all() else images[own],
        all_labels[own],
        classes,
        images[test] if test.any() else None,
        all_labels[test] if test.any() else None,
        validation if len(validation) else None,
        skipped=len(index.problems),
        modes={mode.decode(): count for mode, count in Counter(index.modes[numbers].tolist()).most_common()},
    )


def _check_readable(name: str, contents: Contents, index: Index, on_bad: OnBadData) -> None:
    bad = sorted(index.problems)
    lines = [f"{contents.name(number)} cannot be read as an image ({index.problems[number]})" for number in bad]
    if bad and (on_bad == "refuse" or len(bad) == len(index)):
        if len(bad) > 1:
            warn_of_each(lines)
        more = f", and {len(bad) - 1} more of {name}" if len(bad) > 1 else ""
        raise UserError(
            lines[0] + more,
            "every image must be readable",
            "replace what is bad or take it away, or leave it out by --on-bad-data skip",
        )
    if bad:
        warn_of_each(lines)
        warnings.warn(f"{name}: {_count(len(bad), 'file')} skipped that cannot be read as an image", stacklevel=2)


def warn_of_each(lines: Sequence[str]) -> None:
    """Warns by a line for each bad file, as long as a person would read on."""
    for line in lines[:_NAMED]:
        warnings.warn(line, stacklevel=2)
    if len(lines) > _NAMED:
        warnings.warn(f"and {len(lines) - _NAMED} more like these", stacklevel=2)


def _warn_of_passed_over(listing: Listing) -> None:
    found = {reason: paths for reason, paths in listing.passed_over.items() if paths}
    if found:
        total = sum(map(len, found.values()))
        said = ", ".join(f"{len(paths)} {reason} (such as {paths[0]})" for reason, paths in found.items())
        entries = "1 entry" if total == 1 else f"{total:,} entries"
        warnings.warn(f"{listing.root}: passed over {entries}: {said}", stacklevel=2)


def _warn_of_remarks(name: str, index: Index) -> None:
    # In the order of the images, whichever of them were known before.
    of_each = (index.remarks[number] for number in sorted(index.remarks) if number not in index.problems)
    for remark, count in Counter(remark for remarks in of_each for remark in remarks).items():
        warnings.warn(f"{name}: {_count(count, 'image')} {remark}", stacklevel=2)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
