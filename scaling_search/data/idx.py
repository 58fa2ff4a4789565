"""IDX files, the format of MNIST: four big-endian bytes of magic, one length a dimension, then the bytes."""

import gzip
import io
import math
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scaling_search.data.encoded import check_memory
from scaling_search.errors import UserError

_PARTS = {
    "train": "train",
    "training": "train",
    "t10k": "test",
    "test": "test",
    "testing": "test",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
}
# As their makers spell them, and as browsers and archives leave them.
_NAME = re.compile(
    rf"(?P<set>|.*[-_. ])(?P<part>{'|'.join(_PARTS)})[-_. ]?(?P<what>images?|labels?)"
    r"(?:[-_. ]*(?:idx[13]?|u?byte|gz|\(\d+\)))*",
    re.IGNORECASE,
)
_UNSIGNED_BYTE = 8
# No deflate stream expands further than this, so a header that promises more is wrong, and nothing need be allocated.
_LARGEST_EXPANSION = 1032


@dataclass(frozen=True, eq=False)
class IdxImages:
    """What a set of IDX files holds: pairs of images (N, H, W) uint8 and labels (N,) int32, indices into `classes`."""

    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray] | None
    test: tuple[np.ndarray, np.ndarray] | None
    classes: tuple[str, ...]
    """The labels that the training files hold, as they are written there; they need not count from 0."""


def read(directory: Path, named: str | None = None) -> IdxImages:
    """The training pair and, where there are any, the validation and the test pair.

    The files are train-images-idx3-ubyte, train-labels-idx1-ubyte and the same with t10k or test, the test part, and
    with val, the validation part; gzipped or not, in any case, and also spelt train-images.idx3-ubyte and the like.
    What comes before train, as in emnist-letters-train-images-idx3-ubyte, names the set; with several sets in the
    folder `named` says which one is read. Debian's package dataset-fashion-mnist has its files in
    /usr/share/datasets/fashion-mnist. The format is described at http://yann.lecun.com/exdb/mnist.

    Raises UserError, which names the file, where one is missing, broken or does not match the other.
    """
    sets = _sets(directory)
    trained = [name for name, files in sets.items() if ("train", "images") in files]
    if named is None and "" not in trained and len(trained) > 1:
        raise UserError(
            f"{directory} holds several sets: {', '.join(trained)}",
            "idx:DIR reads one",
            f"try idx:{directory / trained[0]}",
        )
    chosen = named if named is not None else "" if "" in trained else next(iter(trained or sets), "")
    files = sets.get(chosen, {})
    pairs = {part: _pair(directory, files, part) for part in ("train", "validation", "test")}
    train = pairs["train"]
    if train is None:
        below = (folder for pattern in ("*", "*/*") for folder in sorted(directory.glob(pattern)))
        deeper = next((folder for folder in below if folder.is_dir() and present(folder)), None)
        raise UserError(
            f"{directory} holds no train-images-idx3-ubyte",
            "idx:DIR needs train-images-idx3-ubyte and train-labels-idx1-ubyte, with or without .gz",
            f"try idx:{deeper}" if deeper else "",
        )
    written = np.unique(train[1])
    for part in ("validation", "test"):
        if (pair := pairs[part]) is not None and len(unknown := np.setdiff1d(pair[1], written)):
            raise UserError(
                f"{files[part, 'labels']} holds the label {unknown[0]}",
                f"the training labels are {', '.join(map(str, written))}",
            )
    counted = {part: pair and (pair[0], np.searchsorted(written, pair[1])) for part, pair in pairs.items()}
    train = counted["train"]
    assert train is not None
    return IdxImages(train, counted["validation"], counted["test"], tuple(map(str, written)))


def present(directory: Path, named: str | None = None) -> bool:
    """Whether `directory` holds IDX files to train on, of the set that is named."""
    sets = _sets(directory)
    return any(("train", "images") in files for name, files in sets.items() if named in (None, name))


def _sets(directory: Path) -> dict[str, dict[tuple[str, str], Path]]:
    """The files by set, part and what they hold. Of a file and its gzipped copy, the file."""
    sets: dict[str, dict[tuple[str, str], Path]] = {}
    for file in sorted(directory.iterdir(), key=lambda file: (file.name.lower().endswith(".gz"), file.name)):
        if (spelt := _NAME.fullmatch(file.name)) and file.is_file():
            name, part, what = spelt["set"].strip("-_. "), _PARTS[spelt["part"].lower()], spelt["what"].lower()
            sets.setdefault(name, {}).setdefault((part, f"{what.rstrip('s')}s"), file)
    return sets


def _pair(directory: Path, files: dict[tuple[str, str], Path], part: str) -> tuple[np.ndarray, np.ndarray] | None:
    image_file, label_file = files.get((part, "images")), files.get((part, "labels"))
    if image_file is None or label_file is None:
        held = image_file or label_file
        if held is None:
            return None
        what, missing = ("images", "labels") if image_file else ("labels", "images")
        spelt = re.sub(what, missing, held.name.removesuffix(".gz"), flags=re.IGNORECASE)
        spelt = spelt.replace("idx3", "idx1") if image_file else spelt.replace("idx1", "idx3")
        raise UserError(f"{directory} holds {held.name} but no {spelt}")
    images, labels = _read_file(image_file, 3), _read_file(label_file, 1)
    if len(images) != len(labels):
        raise UserError(
            f"{image_file} holds {len(images)} images but {label_file.name} {len(labels)} labels",
            "each image needs one label",
        )
    return images, labels


def _read_file(file: Path, dimensions: int) -> np.ndarray:
    with open(file, "rb") as stored:
        # Looked at rather than believed: some downloaders unpack a .gz and keep its name.
        packed = stored.read(2) == b"\x1f\x8b"
        stored.seek(0)
        limit = file.stat().st_size * (_LARGEST_EXPANSION if packed else 1)
        if not packed:
            return _parse(stored, file, dimensions, limit)
        try:
            with gzip.open(stored) as unpacked:
                return _parse(unpacked, file, dimensions, limit)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise UserError(f"{file} is cut short or damaged ({error})", hint="fetch it again") from None


def _parse(stream: io.BufferedIOBase, file: Path, dimensions: int, limit: int) -> np.ndarray:
    magic = bytes([0, 0, _UNSIGNED_BYTE, dimensions])
    found = stream.read(4)
    if found != magic:
        raise UserError(
            f"{file} begins with the bytes {found.hex(' ') or 'of nothing'}",
            f"an IDX file of {dimensions}-dimensional unsigned bytes begins with {magic.hex(' ')}",
            "fetch it again",
        )
    header = stream.read(4 * dimensions)
    if len(header) < 4 * dimensions:
        raise UserError(f"{file} is cut short: it ends within its header", hint="fetch it again")
    shape = tuple(int(length) for length in np.frombuffer(header, ">u4"))
    size = math.prod(shape)
    if size <= limit:
        check_memory(size, str(file))
    body = stream.read(size + 1) if size <= limit else b""
    if len(body) != size:
        found_size = f"has {'more' if len(body) > size else 'fewer'}"
        raise UserError(
            f"{file} says it holds {' x '.join(map(str, shape))} bytes but {found_size}", hint="fetch it again"
        )
    return np.frombuffer(body, np.uint8).reshape(shape)
