"""Images in tables of Arrow or Parquet: what Hugging Face's `datasets` saves, and files with a column of images."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scaling_search.bounded import read_arrow, read_parquet
from scaling_search.config import OnBadData
from scaling_search.data.encoded import Packed, check_memory
from scaling_search.data.folder import PARTS
from scaling_search.data.images import ImageData
from scaling_search.data.index import index_of, inspect
from scaling_search.data.listing import labelled
from scaling_search.data.table import PART_ORDER, numbered
from scaling_search.errors import UserError

_LABELS = ("label", "labels", "class", "target", "fine_label", "category")
_ENDINGS = (".parquet", ".arrow")
_NEEDS = "hf:PATH needs Parquet or Arrow files with a column of images and one of labels"


@dataclass(frozen=True, eq=False)
class _Part:
    """The rows of one part."""

    name: str
    images: list[bytes]
    labels: list[Any]
    names: tuple[str, ...] | None
    """The classes by number, where the table says them."""


def read(path: Path, on_bad: OnBadData = "refuse") -> ImageData:
    """The images of a folder that `datasets` saved, of a folder of Parquet or Arrow files, or of one such file.

    A file belongs to the part that its name begins with (train-00000-of-00001.parquet), or a folder on the way to it
    is called; without any it trains. The column of images holds encoded bytes, alone or in a struct with their path;
    that of labels is called label, class or the like. Names of classes come from the schema where it has them. The
    encoded images are kept in memory.

    Raises UserError, which names the file, where something of this is missing; OSError where one cannot be read.
    """
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.suffix.lower() in _ENDINGS)
    files = [file for file in files if not any(step.startswith(".") for step in file.relative_to(path).parts)]
    # What `datasets` keeps of its own computations lies beside the data.
    files = [file for file in files if not file.name.startswith("cache-")]
    if not files:
        raise UserError(f"{path} holds no .parquet or .arrow files", _NEEDS, f"for folders of images try folder:{path}")
    check_memory(sum(file.stat().st_size for file in files), str(path))
    parts: dict[str, list[_Part]] = {part: [] for part in PART_ORDER}
    for file in files:
        part = _part_of(file.relative_to(path if path.is_dir() else path.parent))
        parts[part].append(_read_file(file, part))
    if not parts["train"]:
        raise UserError(f"{path} holds no train part", _NEEDS, "the part is what a file's name begins with")
    read_parts = [part for of_part in parts.values() for part in of_part]
    names = next((part.names for part in read_parts if part.names), None)
    of_part = [part.name for part in read_parts for _ in part.labels]
    labels, classes = numbered([label for part in read_parts for label in part.labels], of_part, names, str(path))
    images = [image for part in read_parts for image in part.images]
    contents = Packed(
        path.name,
        np.frombuffer(b"".join(images), np.uint8),
        np.cumsum([len(image) for image in images], dtype=np.int64),
    )
    return labelled(
        path.resolve().name if path.is_dir() else path.stem,
        contents,
        index_of(map(inspect, images)),
        labels,
        of_part,
        classes,
        on_bad,
    )


def _part_of(file: Path) -> str:
    stem = re.split(r"[-_.]", file.stem)[0].lower()
    for name in (stem, *(step.lower() for step in reversed(file.parts[:-1]))):
        if name in PARTS:
            return PARTS[name]
    return "train"


def _read_file(file: Path, part: str) -> _Part:
    import pyarrow as pa

    try:
        return _read_table(_table(file), file, part)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read ({error})", _NEEDS, "fetch it again") from None


def _read_table(table: Any, file: Path, part: str) -> _Part:
    columns = table.column_names
    features = _features(table)
    labels = next((name for name in _LABELS if name in columns), None)
    image = next((at for at, kind in enumerate(table.schema.types) if _holds_images(kind)), None)
    if image is None or labels is None:
        raise UserError(f"{file} has the columns {', '.join(columns)}", _NEEDS)
    values = table.column(columns.index(labels)).to_pylist()
    if None in values:
        raise UserError(f"{file}: row {values.index(None)} has no {labels}", "every image needs one label")
    names = features.get(labels, {}).get("names")
    known = tuple(map(str, names)) if isinstance(names, list) and names else None
    return _Part(part, list(_bytes(table.column(image), file)), values, known)


def _table(file: Path) -> Any:
    return read_parquet(file) if file.suffix.lower() == ".parquet" else read_arrow(file)


def _features(table: Any) -> dict[str, Any]:
    """What `datasets` writes into the schema of its columns."""
    try:
        found = json.loads((table.schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    return {name: about for name, about in found.items() if isinstance(about, dict)} if isinstance(found, dict) else {}


def _holds_images(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        fields = (kind.field(index) for index in range(kind.num_fields))
        return any(
            field.name == "bytes" and (pa.types.is_null(field.type) or _is_bytes(field.type)) for field in fields
        )
    return _is_bytes(kind)


def _is_bytes(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _bytes(column: Any, file: Path) -> Iterator[bytes]:
    for row, value in enumerate(column.to_pylist()):
        content = value.get("bytes") if isinstance(value, dict) else value
        if content is None and isinstance(value, dict) and value.get("path"):
            raise UserError(
                f"{file}: the image of row {row} is only named, {value['path']}",
                "the table must hold the images themselves",
                "save it by dataset.save_to_disk after dataset.cast_column('image', Image()), or use csv:FILE",
            )
        yield content or b""
