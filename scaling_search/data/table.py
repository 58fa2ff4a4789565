"""Images listed in a CSV file: path,label[,split]."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from scaling_search.data.folder import PARTS
from scaling_search.data.listing import Listing
from scaling_search.errors import UserError

_COLUMNS = {
    "path": ("path", "file", "filename", "file_name", "image", "image_path", "filepath"),
    "label": ("label", "class", "target", "category"),
    "split": ("split", "part", "subset", "fold"),
}
_WHOLE_NUMBER = re.compile(r"-?\d{1,1000}")
PART_ORDER = ("train", "validation", "test")


def list_table(file: Path) -> Listing:
    """The images that a CSV file names, one a row, with their labels and, where it has that column, their parts.

    The first row names the columns, in any order and case; others than path, label and split are not looked at. Paths
    are from the file's own folder. An image without a split trains.

    Raises UserError, which names the file and line, where a column or a value is missing, or a split is not known;
    OSError where the file cannot be read.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{file} is not text in UTF-8", "csv:FILE needs path,label[,split] a line") from None
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    try:
        rows = [(reader.line_num, row) for row in reader if any(value.strip() for value in row)]
    except csv.Error as error:
        raise UserError(f"{file}, line {reader.line_num}: {error}", "csv:FILE needs path,label[,split]") from None
    if not rows:
        raise UserError(f"{file} is empty", "csv:FILE needs path,label[,split] a line")
    columns = _columns(file, rows[0][1])
    listed: list[tuple[str, str, str]] = []
    for line, row in rows[1:]:
        path, label = (row[columns[name]].strip() if columns[name] < len(row) else "" for name in ("path", "label"))
        if not (path and label):
            raise UserError(f"{file}, line {line} has no {'label' if path else 'path'}", "each row is path,label")
        place = columns.get("split", len(row))
        listed.append((path, label, part_named(row[place] if place < len(row) else "", f"{file}, line {line}")))
    return arranged(file.stem, str(file.resolve().parent), listed, str(file))


def part_named(written: str, where: str) -> str:
    """The part that a split's name means; train where it is empty. Raises UserError where it means none."""
    name = written.strip().lower()
    if name and name not in PARTS:
        raise UserError(f"{where}: split {written.strip()!r} given", f"it is one of {', '.join(PARTS)}")
    return PARTS.get(name, "train")


def arranged(name: str, root: str, listed: Iterable[tuple[str, str, str]], source: str) -> Listing:
    """Paths, labels and parts as a listing: by part, the classes in their order. Raises UserError where they do not
    fit together.
    """
    rows = sorted(listed, key=lambda row: PART_ORDER.index(row[2]))
    classes = ordered_classes({label for _, label, part in rows if part == "train"}, source)
    number = {label: index for index, label in enumerate(classes)}
    for path, label, part in rows:
        if label not in number:
            raise UserError(f"{source}: {path} in the {part} part has label {label!r}", "no training image has it")
    return Listing(
        name=name,
        root=root,
        paths=tuple(path for path, _, _ in rows),
        labels=tuple(number[label] for _, label, _ in rows),
        parts=tuple(part for _, _, part in rows),
        classes=classes,
    )


def ordered_classes(labels: set[str], source: str) -> tuple[str, ...]:
    """Labels in order: of numbers where all are, else of names. Raises UserError where there are fewer than two."""
    if len(labels) < 2:
        raise UserError(
            f"{source}: the training images are all of one class"
            if labels
            else f"{source}: there are no training images",
            "there must be at least two",
            "check the labels",
        )
    numbers = all(_WHOLE_NUMBER.fullmatch(label) for label in labels)
    return tuple(sorted(labels, key=(lambda label: (int(label), label)) if numbers else lambda label: (0, label)))


def numbered(
    labels: Sequence[Any], parts: Sequence[str], names: Sequence[str] | None, source: str
) -> tuple[list[int], tuple[str, ...]]:
    """Labels as they are written, or the numbers of `names`, as indices into the classes that are returned with them.

    Names that no image has are no classes to train on. Raises UserError, which names the source, where a label is not
    among the names or no training image has it, or there are fewer than two.
    """
    written = [
        str(names[label] if names and isinstance(label, int) and 0 <= label < len(names) else label) for label in labels
    ]
    if names and (unknown := next((label for label in written if label not in names), None)):
        raise UserError(f"{source}: an image has label {unknown!r}", f"the classes are {', '.join(names)}"[:300])
    trained_on = {label for label, part in zip(written, parts, strict=True) if part == "train"}
    if missing := next((label for label in written if label not in trained_on), None):
        raise UserError(f"{source}: an image has label {missing!r}", "no training image has it")
    classes = ordered_classes(trained_on, source)
    if names:
        classes = tuple(name for name in names if name in trained_on)
    number = {name: index for index, name in enumerate(classes)}
    return [number[label] for label in written], classes


def _columns(file: Path, header: list[str]) -> dict[str, int]:
    names = [name.strip().lower() for name in header]
    found = {
        column: names.index(known) for column, spelt in _COLUMNS.items() for known in reversed(spelt) if known in names
    }
    for column in ("path", "label"):
        if column not in found:
            raise UserError(
                f"{file} has the columns {', '.join(names)}",
                f"one must be called {column}",
                "the first line is path,label or path,label,split",
            )
    return found


def _delimiter(text: str) -> str:
    first = text.partition("\n")[0]
    return max(",;\t", key=first.count)
