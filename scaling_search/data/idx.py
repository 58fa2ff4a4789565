"""IDX files, the format of MNIST: four big-endian bytes of magic, one length a dimension, then the bytes."""

import gzip
import io
import math
import zlib
from pathlib import Path

import numpy as np

from scaling_search.errors import UserError

_UNSIGNED_BYTE = 8
# No deflate stream expands further than this, so a header that promises more is wrong, and nothing need be allocated.
_LARGEST_EXPANSION = 1032


def read(directory: Path) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray] | None]:
    """The training pair and, where there is one, the test pair: images (N, H, W) and labels (N,), both uint8.

    The files are train-images-idx3-ubyte, train-labels-idx1-ubyte and the same with t10k, the test split; gzipped
    or not, also spelt train-images.idx3-ubyte. Debian's package dataset-fashion-mnist has them in
    /usr/share/datasets/fashion-mnist. The format is described at http://yann.lecun.com/exdb/mnist.

    Raises UserError, which names the file, where one is missing, broken or does not match the other.
    """
    train = _pair(directory, "train")
    if train is None:
        deeper = next(
            (file.parent for pattern in ("*", "*/*") for file in directory.glob(f"{pattern}/train-images*")), ""
        )
        raise UserError(
            f"{directory} holds no train-images-idx3-ubyte",
            "idx:DIR needs train-images-idx3-ubyte and train-labels-idx1-ubyte, with or without .gz",
            f"try idx:{deeper}" if deeper else "",
        )
    return train, _pair(directory, "t10k")


def present(directory: Path) -> bool:
    """Whether `directory` holds IDX files to train on."""
    return _find(directory, "train-images", 3) is not None


def _pair(directory: Path, part: str) -> tuple[np.ndarray, np.ndarray] | None:
    image_file, label_file = _find(directory, f"{part}-images", 3), _find(directory, f"{part}-labels", 1)
    if image_file is None or label_file is None:
        held = image_file or label_file
        if held is None:
            return None
        missing = f"{part}-labels-idx1-ubyte" if image_file else f"{part}-images-idx3-ubyte"
        raise UserError(f"{directory} holds {held.name} but no {missing}")
    images, labels = _read_file(image_file, 3), _read_file(label_file, 1)
    if len(images) != len(labels):
        raise UserError(
            f"{image_file} holds {len(images)} images but {label_file.name} {len(labels)} labels",
            "each image needs one label",
        )
    return images, labels


def _find(directory: Path, stem: str, dimensions: int) -> Path | None:
    names = (f"{stem}{dot}idx{dimensions}-ubyte{ending}" for dot in "-." for ending in ("", ".gz"))
    return next((directory / name for name in names if (directory / name).is_file()), None)


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
    body = stream.read(size + 1) if size <= limit else b""
    if len(body) != size:
        found_size = f"has {'more' if len(body) > size else 'fewer'}"
        raise UserError(
            f"{file} says it holds {' x '.join(map(str, shape))} bytes but {found_size}", hint="fetch it again"
        )
    return np.frombuffer(body, np.uint8).reshape(shape)
