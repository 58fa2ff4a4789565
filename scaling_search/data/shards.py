"""Images in TFRecord and ArrayRecord shards of tf.train.Example messages, such as TensorFlow Datasets prepares."""

import errno
import json
import mmap
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scaling_search.config import OnBadData
from scaling_search.data.examples import BadRecordError, Feature, Span, read_example, record_spans
from scaling_search.data.folder import PARTS
from scaling_search.data.images import ImageData
from scaling_search.data.index import index_kept, stamp
from scaling_search.data.listing import labelled
from scaling_search.data.table import PART_ORDER, numbered
from scaling_search.errors import UserError, first_line

_IMAGES = ("image", "image/encoded", "jpeg", "jpg", "png", "img")
_LABELS = ("label", "image/class/label", "labels", "class", "target", "fine_label", "category")
_NEEDS = "an image is a tf.train.Example with its encoded bytes as image or image/encoded, and a label"
_SHARD = re.compile(r"\.(tfrecords?|array_?record)\b|-\d{5}-of-\d{5}$", re.IGNORECASE)
_ARRAY_RECORD = re.compile(r"\.array_?record\b", re.IGNORECASE)
_AT_ONCE = 64
_VERSION = re.compile(r"\d+\.\d+\.\d+")


@dataclass(frozen=True, eq=False)
class _Shards:
    """Encoded images in the shards of a folder: which shard has each, and where."""

    files: Sequence[str]
    of_file: np.ndarray
    """(N,) int32, indices into `files`."""
    starts: np.ndarray
    """(N,) int64: where the image begins in a TFRecord file; which record it is of an ArrayRecord file."""
    ends: np.ndarray
    """(N,) int64: where it ends in a TFRecord file."""
    keys: tuple[str, ...]
    """Names of the feature that is the image, the likeliest first."""
    readers: dict[str, Any] = field(default_factory=dict, repr=False)
    """The ArrayRecord files that this process has open."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _Shards, (self.files, self.of_file, self.starts, self.ends, self.keys)

    def __len__(self) -> int:
        return len(self.of_file)

    def read(self, number: int) -> bytes:
        """The bytes of an image."""
        file, start, end = Path(self.files[self.of_file[number]]), int(self.starts[number]), int(self.ends[number])
        if not _is_array_record(file):
            with file.open("rb") as shard:
                shard.seek(start)
                return shard.read(end - start)
        reader = self.readers.setdefault(str(file), None) or _array_record(file)
        self.readers[str(file)] = reader
        try:
            [record] = reader.read([start])
            image = _first(read_example(memoryview(record), Span(0, len(record))), self.keys).texts[0]
        except (RuntimeError, IndexError, BadRecordError) as error:
            raise OSError(errno.EIO, str(error), str(file)) from None
        return bytes(record[image.start : image.end])

    def name(self, number: int) -> str:
        """The shard and the place of an image in it."""
        file = self.files[self.of_file[number]]
        return f"{file}, {'record' if _is_array_record(Path(file)) else 'byte'} {self.starts[number]}"

    def total_bytes(self) -> int:
        """The sizes of the shards."""
        return sum(Path(file).stat().st_size for file in self.files)


def read(path: Path, on_bad: OnBadData = "refuse") -> ImageData:
    """The images of a folder of TFRecord or ArrayRecord shards, or of one shard, where they lie.

    Each record is a tf.train.Example with an encoded image and a label, by the names that TensorFlow Datasets and
    ImageNet's TFRecords give them. A shard belongs to the part in its name (mnist-train.tfrecord-00000-of-00001,
    validation-00007-of-00128) or that of its folder; without any it trains. Names of classes come from the
    `label.labels.txt` or image/class/text of those who write them. TFRecords are read without TensorFlow, ArrayRecords
    by the package array_record.

    Raises UserError, which names the file, where something of this is missing; OSError where one cannot be read.
    """
    described = _described(path if path.is_dir() else path.parent)
    image_keys, label_keys = (*described.keys[:1], *_IMAGES), (*described.keys[1:], *_LABELS)
    files = _shards(path, described.splits)
    rows = [(number, row) for number, (file, _) in enumerate(files) for row in _rows(file, image_keys, label_keys)]
    of_file = np.asarray([number for number, _ in rows], np.int32)
    parts = [files[number][1] for number in of_file]
    if "train" not in parts:
        raise UserError(f"{path} holds no train part", _NEEDS, "the part is in a shard's name: NAME-train.tfrecord")
    labels, classes = numbered([row.label for _, row in rows], parts, described.classes, str(path))
    texts = {label: row.text for label, (_, row) in zip(labels, rows, strict=True)}
    if all(texts.values()):
        classes = tuple(str(texts[label]) for label in range(len(classes)))
    starts, ends = (np.asarray([getattr(row, name) for _, row in rows], np.int64) for name in ("start", "end"))
    shards = _Shards([str(file) for file, _ in files], of_file, starts, ends, image_keys)
    stamps = np.asarray([stamp(file) for file in shards.files], np.int64)[of_file]
    relative = [os.path.relpath(file, path) for file in shards.files]
    names = [f"{relative[number]}#{row.start}" for number, row in rows]
    name = path.resolve().name if path.is_dir() else _SHARD.split(path.name)[0]
    index = index_kept(str(path), names, stamps, shards.read)
    return labelled(described.name or name, shards, index, labels, parts, classes, on_bad)


def prepared_by_tfds(source: str, place: str) -> Path:
    """The folder of a data set that TensorFlow Datasets prepared: NAME, NAME/CONFIG, with :VERSION or its newest.

    It is looked for in TFDS_DATA_DIR, by default ~/tensorflow_datasets. Raises UserError, which says how it is
    prepared, where it is not there.
    """
    root = Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    name, _, version = place.partition(":")
    folder = root / name
    hint = f"prepare it where there is a network: pip install tensorflow-datasets, then tfds build {name}"
    if not name or not folder.is_dir():
        raise UserError(
            f"data {source!r}: there is no folder {folder}", "tfds:NAME reads what lies on this machine", hint
        )
    below = sorted(one.name for one in folder.iterdir() if one.is_dir() and not one.name.startswith("."))
    versions = sorted(filter(_VERSION.fullmatch, below), key=lambda one: tuple(map(int, one.split("."))))
    configs = [one for one in below if one not in versions and "incomplete" not in one]
    if not versions and configs:
        raise UserError(
            f"data {source!r}: {folder} holds {', '.join(configs)}",
            "one of them is read",
            f"try tfds:{name}/{configs[0]}",
        )
    if not versions or (version and version not in versions):
        raise UserError(
            f"data {source!r}: {folder} holds {', '.join(versions) or 'no version that was prepared'}",
            "a version is read that lies there",
            f"try tfds:{name}" if versions else hint,
        )
    return folder / (version or versions[-1])


class _Row(NamedTuple):
    """An image in a shard."""

    start: int
    end: int
    label: int | str
    text: str
    """What image/class/text says; empty where nothing does."""


@dataclass(frozen=True)
class _Described:
    """What TensorFlow Datasets writes beside its shards; nothing of it where others wrote them."""

    name: str = ""
    splits: frozenset[str] = frozenset()
    keys: tuple[str, ...] = ()
    """The features that are the image and its label."""
    classes: tuple[str, ...] | None = None


def _described(folder: Path) -> _Described:
    try:
        info = json.loads((folder / "dataset_info.json").read_bytes())
        items = info.get("supervisedKeys", {}).get("tuple", {}).get("items", [])
        keys = tuple(str(item["featureKey"]) for item in items)
        splits = frozenset(str(split["name"]) for split in info.get("splits", []))
        name = str(info["name"])
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return _Described()
    try:
        text = (folder / f"{keys[1] if len(keys) == 2 else 'label'}.labels.txt").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return _Described(name, splits, keys)
    return _Described(name, splits, keys, tuple(text.splitlines()) or None)


def _shards(path: Path, splits: frozenset[str]) -> list[tuple[Path, str]]:
    """The shards with their parts, in the order of the parts and then of their names."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if _SHARD.search(file.name))
    if not files:
        raise UserError(
            f"{path} holds no .tfrecord or .array_record files", _NEEDS, f"for folders of images try folder:{path}"
        )
    found = [(file, _part_of(file.relative_to(path if path.is_dir() else path.parent), splits)) for file in files]
    if other := [file.name for file, part in found if not part]:
        warnings.warn(f"{path}: passed over shards of other parts ({len(other)}, such as {other[0]})", stacklevel=2)
    return sorted(((file, part) for file, part in found if part), key=lambda one: (PART_ORDER.index(one[1]), one[0]))


def _part_of(file: Path, splits: frozenset[str]) -> str:
    """The part that a shard's name has, or a folder on the way to it; empty where it is a split of another name."""
    stem = _SHARD.split(file.name)[0]
    if stem.rpartition("-")[2] in splits - PARTS.keys():
        return ""
    for name in (*reversed(re.split(r"[-_.]", stem.lower())), *(step.lower() for step in reversed(file.parts[:-1]))):
        if name in PARTS:
            return PARTS[name]
    return "train"


def _rows(file: Path, image_keys: Sequence[str], label_keys: Sequence[str]) -> Iterator[_Row]:
    """The images of a shard. Raises UserError where a record is not one image with a label."""
    for record, (content, span) in enumerate(_records(file)):
        try:
            features = read_example(content, span)
            images, label = _first(features, image_keys).texts, _first(features, label_keys)
            labels: list[int | str] = [*label.numbers, *(_text(content, one) for one in label.texts)]
            if len(images) != 1 or len(labels) != 1:
                raise BadRecordError(f"it has the features {', '.join(sorted(features))}"[:300])
        except BadRecordError as error:
            raise UserError(f"{file}, record {record}: {error}", _NEEDS) from None
        start, end = (record, -1) if _is_array_record(file) else images[0]
        texts = _first(features, ("image/class/text",)).texts
        yield _Row(start, end, labels[0], _text(content, texts[0]) if texts else "")


def _records(file: Path) -> Iterator[tuple[memoryview, Span]]:
    """The records of a shard, each as a part of a buffer. Raises UserError where it cannot be read to its end."""
    if _is_array_record(file):
        reader = _array_record(file)
        for start in range(0, reader.num_records(), _AT_ONCE):
            try:
                records = reader.read(list(range(start, min(start + _AT_ONCE, reader.num_records()))))
            except (RuntimeError, IndexError) as error:
                raise UserError(f"{file} cannot be read as ArrayRecord ({first_line(error)})", _NEEDS) from None
            for record in records:
                yield memoryview(record), Span(0, len(record))
    elif file.stat().st_size:
        # A map of the file, as its images need not be read to find the labels beside them. It ends with its last view.
        with file.open("rb") as opened:
            view = memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))
        try:
            yield from ((view, span) for span in record_spans(view))
        except BadRecordError as error:
            raise UserError(
                f"{file}: {error}", "a shard is whole TFRecords, not compressed", "fetch it again"
            ) from None


def _array_record(file: Path) -> Any:
    if find_spec("array_record") is None:
        raise UserError(f"{file} needs the package array_record", hint="pip install 'scaling-search[images]'")
    from array_record.python.array_record_module import ArrayRecordReader

    reader = ArrayRecordReader(str(file))
    if not reader.ok():
        raise UserError(f"{file} is no ArrayRecord file", _NEEDS, "fetch it again")
    return reader


def _is_array_record(file: Path) -> bool:
    return _ARRAY_RECORD.search(file.name) is not None


def _first(features: Mapping[str, Feature], keys: Sequence[str]) -> Feature:
    """The feature of the first of these names that there is; an empty one where there is none."""
    return next((features[key] for key in keys if key in features), Feature())


def _text(content: memoryview, span: Span) -> str:
    return str(content[span.start : span.end], "utf-8", "replace")
