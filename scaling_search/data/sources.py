"""Where labelled images come from, by name: made ones, IDX files, folders and tables."""

import dataclasses
import difflib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from scaling_search.config import OnBadData, Split
from scaling_search.data import idx
from scaling_search.data.arrays import from_arrays
from scaling_search.data.images import ImageData
from scaling_search.data.listing import read_listing
from scaling_search.errors import UserError

SOURCES = {
    "digits": "digits",
    "glyphs": "glyphs or glyphs:COUNT",
    "cluttered_glyphs": "cluttered_glyphs or cluttered_glyphs:COUNT",
    "idx": "idx:DIR (IDX files as MNIST's)",
    "folder": "folder:DIR (one folder of images a class)",
    "csv": "csv:FILE (path,label[,split])",
    "hf": "hf:PATH (a folder saved by datasets, or Parquet files)",
    "tfds": "tfds:NAME (prepared by TensorFlow Datasets)",
    "records": "records:PATH (TFRecord or ArrayRecord shards)",
}
"""What `load` takes, by kind."""
ALLOWED = f"images come from {', '.join(SOURCES.values())}"
_DIGITS_SPLIT = Split(validation=0.55, test=0.2)


def load(source: str, on_bad: OnBadData = "refuse") -> ImageData:
    """The images that `source` names.

    - "digits": scikit-learn's 1797 handwritten digits, grey, 8 x 8 pixels, 10 classes.
    - "glyphs", "glyphs:COUNT": made images of 64 x 64 pixels, grey, 32 classes (`glyphs.make`); "cluttered_glyphs" are
      harder.
    - "idx:DIR": the IDX files of MNIST, Fashion-MNIST, KMNIST and EMNIST (`idx.read`).
    - "folder:DIR": one folder of images a class, perhaps in parts (`folder.list_folder`).
    - "csv:FILE": a table of paths and labels (`table.list_table`).
    - "hf:PATH": what Hugging Face's `datasets` saved, or Parquet files with a column of images (`hugging_face.read`).
    - "tfds:NAME", "tfds:NAME/CONFIG:VERSION": what TensorFlow Datasets prepared (`shards.prepared_by_tfds`).
    - "records:PATH": TFRecord or ArrayRecord shards (`shards.read`).

    `on_bad` says what becomes of data with files that cannot be read as images. The data are named after the folder
    or file, not after the way to it, so that they may move. Raises UserError where the source is not known or cannot
    be read.
    """
    kind, colon, place = source.partition(":")
    if source == "digits":
        return _digits()
    if kind in ("glyphs", "cluttered_glyphs"):
        from scaling_search.data import glyphs

        return glyphs.load(kind, place) if colon else glyphs.load(kind)
    readers: dict[str, Callable[[str, str, OnBadData], ImageData]] = {
        "idx": _idx,
        "folder": _folder,
        "csv": _csv,
        "hf": _hugging_face,
        "tfds": _tfds,
        "records": _records,
    }
    if kind not in readers or not colon:
        raise UserError(f"data {source!r} given", ALLOWED, _closest(source))
    try:
        return readers[kind](source, place, on_bad)
    except OSError as error:
        raise UserError(f"cannot read {error.filename or place}: {error.strerror or error}") from None


def _digits() -> ImageData:
    # What sklearn.datasets.load_digits reads, without the second that it takes to import scikit-learn.
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise UserError("data 'digits' given, and scikit-learn, which brings them, is not installed")
    rows = np.loadtxt(Path(package.submodule_search_locations[0], "datasets", "data", "digits.csv.gz"), delimiter=",")
    # They come as 0..16; uint8 over its whole range lets them be resized and stored as any other grey image.
    images = np.round(rows[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    return dataclasses.replace(
        from_arrays(images, rows[:, -1].astype(np.int64), name="digits"), default_split=_DIGITS_SPLIT
    )


def _idx(source: str, place: str, on_bad: OnBadData) -> ImageData:
    path = _path(source, place)
    # idx:DIR/emnist-letters is one of several sets in DIR, whose files begin so.
    one_set = not path.exists() and path.parent.is_dir() and idx.present(path.parent, path.name)
    directory, named = (path.parent, path.name) if one_set else (_directory(source, path), None)
    found = idx.read(directory, named)
    return from_arrays(
        *found.train,
        name=named or directory.resolve().name,
        classes=found.classes,
        test=found.test,
        validation=found.validation,
    )


def _folder(source: str, place: str, on_bad: OnBadData) -> ImageData:
    from scaling_search.data.folder import list_folder

    return read_listing(list_folder(_directory(source, _path(source, place))), on_bad)


def _csv(source: str, place: str, on_bad: OnBadData) -> ImageData:
    from scaling_search.data.table import list_table

    file = _path(source, place)
    if not file.is_file():
        what = f"{file} is a folder" if file.is_dir() else f"there is no file {file}"
        raise UserError(f"data {source!r}: {what}", "csv:FILE needs a table of path,label[,split]")
    return read_listing(list_table(file), on_bad)


def _hugging_face(source: str, place: str, on_bad: OnBadData) -> ImageData:
    from scaling_search.data import hugging_face

    path = _path(source, place)
    if not path.exists():
        raise UserError(
            f"data {source!r}: there is no folder or file {path}",
            "hf:PATH reads what lies on this machine",
            f"save it first: datasets.load_dataset({place!r}).save_to_disk('my_data'), then give hf:my_data",
        )
    return hugging_face.read(path, on_bad)


def _tfds(source: str, place: str, on_bad: OnBadData) -> ImageData:
    from scaling_search.data import shards

    return shards.read(shards.prepared_by_tfds(source, place), on_bad)


def _records(source: str, place: str, on_bad: OnBadData) -> ImageData:
    from scaling_search.data import shards

    path = _path(source, place)
    if not path.exists():
        raise UserError(
            f"data {source!r}: there is no folder or file {path}", hint=f"it was looked for from {Path.cwd()}"
        )
    return shards.read(path, on_bad)


def _closest(source: str) -> str:
    if source and Path(source).is_dir():
        return f"try {'idx' if idx.present(Path(source)) else 'folder'}:{source}"
    if source and Path(source).is_file() and source.lower().endswith(".csv"):
        return f"try csv:{source}"
    made = {name: name for name in ("digits", "glyphs", "cluttered_glyphs")}
    written = made | {"idx": "idx:DIR", "folder": "folder:DIR", "csv": "csv:FILE"}
    near = difflib.get_close_matches(source.partition(":")[0].lower(), written, n=1)
    return f"did you mean {written[near[0]]}?" if near else ""


def _path(source: str, place: str) -> Path:
    if not place:
        raise UserError(f"data {source!r} names no file or folder", ALLOWED)
    try:
        return Path(place).expanduser()
    except RuntimeError:
        raise UserError(f"data {source!r}: there is no user {place.split('/')[0]!r}", hint="write ~/...") from None


def _directory(source: str, path: Path) -> Path:
    if path.is_dir():
        return path
    if path.exists():
        raise UserError(f"data {source!r}: {path} is a file", "it must be a folder", "unpack it if it is an archive")
    raise UserError(f"data {source!r}: there is no folder {path}", hint=f"it was looked for from {Path.cwd()}")
