"""Folders of images: which files are images, of which class, and of which part."""

import os
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from scaling_search.data.listing import Listing
from scaling_search.data.pictures import endings, recognised
from scaling_search.errors import UserError

PARTS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
"""Names, in any case, of folders that are parts of the data rather than classes."""
_UNREAD = frozenset({".heic", ".heif", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2"})
"""Endings of photographs that Pillow does not read, or of which, as some begin as a TIFF does, it reads a thumbnail."""
# What archives and file servers leave beside a user's own files.
_LEFT_BEHIND = ("__MACOSX", "@eaDir")

Steps = tuple[str, ...]
"""The names on the way from the folder to a file or folder below it."""
Place = Callable[[Steps], tuple[str, str] | None]
"""The part and the class of a file; None where it lies in none."""


@dataclass(frozen=True)
class _Tree:
    directory: Path
    files: list[Steps] = field(default_factory=list)
    folders: list[Steps] = field(default_factory=list)
    hidden: list[Steps] = field(default_factory=list)


def list_folder(directory: Path) -> Listing:
    """The images below a folder, classes and files in the order of their names.

    - DIR/CLASS/...: the first folder names the class of all that lies below it, however deep.
    - DIR/PART/CLASS/...: where there is a train/CLASS/..., the folders train, val and test (any name of `PARTS`, in
      any case) are the data's own parts. Other folders beside them are passed over.
    - DIR/CLASS/PART/...: likewise, where every image lies in such a part of its class.
    - A folder that holds nothing but one folder of folders is stepped into first.

    Files that end as images do are images, and so are others that begin as one. All else is passed over, hidden files
    included, and named in the listing. Symbolic links are followed.

    Raises UserError, which names the folder, where there are fewer than two classes, or one has no images in a part;
    OSError where a folder cannot be read.
    """
    tree, images = _tree_and_images(directory)
    root = _root(tree.folders, images)
    place = _layout(directory.joinpath(*root), root, tree.folders, images)
    placed: dict[tuple[str, str], list[Steps]] = {}
    outside: list[Steps] = []
    for steps in images:
        where = place(steps)
        placed.setdefault(where, []).append(steps) if where else outside.append(steps)
    folders = {where for steps in tree.folders if (where := place((*steps, "")))}
    classes = _checked_classes(directory.joinpath(*root), placed, folders)
    chosen = [
        ("/".join(steps), label, part)
        for part in ("train", "validation", "test")
        for label, name in enumerate(classes)
        for steps in sorted(placed.get((part, name), []))
    ]
    of_images = set(images)
    others = [steps for steps in tree.files if steps not in of_images]
    unread = [steps for steps in others if Path(steps[-1]).suffix.lower() in _UNREAD]
    passed_over = {
        "in HEIC or a camera's raw format, to be converted first": unread,
        "not images": [steps for steps in others if Path(steps[-1]).suffix.lower() not in _UNREAD],
        "hidden or special": tree.hidden,
        "outside the classes": outside,
    }
    return Listing(
        name=directory.resolve().name,
        root=str(directory),
        paths=tuple(path for path, _, _ in chosen),
        labels=tuple(label for _, label, _ in chosen),
        parts=tuple(part for _, _, part in chosen),
        classes=classes,
        passed_over={kind: tuple(map("/".join, of_kind)) for kind, of_kind in passed_over.items()},
    )


def images_below(directory: Path) -> list[Path]:
    """All the images that `list_folder` would see below a folder, whatever its layout, in the order of their names.

    Raises OSError where a folder cannot be read.
    """
    _, images = _tree_and_images(directory)
    return sorted(directory.joinpath(*steps) for steps in images)


def _tree_and_images(directory: Path) -> tuple[_Tree, list[Steps]]:
    tree = _Tree(directory)
    _walk(tree, (), {os.path.realpath(directory)})
    known = endings()
    return tree, [steps for steps in tree.files if _is_image(directory, steps, known)]


def _walk(tree: _Tree, inside: Steps, above: set[str]) -> None:
    """Fills the tree by what lies `inside`; `above` are the folders on the way, to which a link may lead back."""
    with os.scandir(tree.directory.joinpath(*inside)) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        steps = (*inside, entry.name)
        if entry.name.startswith(".") or entry.name in _LEFT_BEHIND:
            tree.hidden.append(steps)
        elif not entry.is_dir():
            # A pipe or a socket would be waited for; a link to nowhere is a file that cannot be read.
            (tree.files if entry.is_file() or entry.is_symlink() else tree.hidden).append(steps)
        elif (real := os.path.realpath(entry.path)) not in above:
            tree.folders.append(steps)
            _walk(tree, steps, above | {real})


def _is_image(directory: Path, steps: Steps, known: frozenset[str]) -> bool:
    ending = f".{steps[-1].rpartition('.')[2].lower()}"
    if ending in known or ending in _UNREAD:
        return ending in known
    file = directory.joinpath(*steps)
    return file.is_file() and recognised(file)


def _below(folders: list[Steps], root: Steps) -> list[str]:
    return [steps[-1] for steps in folders if steps[:-1] == root]


def _root(folders: list[Steps], images: list[Steps]) -> Steps:
    root: Steps = ()
    while images and len(only := _below(folders, root)) == 1:
        if only[0].lower() in PARTS or not all(len(steps) > len(root) + 2 for steps in images):
            break
        root = (*root, only[0])
    return root


def _layout(directory: Path, root: Steps, folders: list[Steps], images: list[Steps]) -> Place:
    depth = len(root)
    below = [steps[depth:] for steps in images if steps[:depth] == root]
    names = _below(folders, root)
    deep = {steps[0] for steps in below if len(steps) > 2}
    parts = {name: PARTS[name.lower()] for name in names if name in deep and name.lower() in PARTS}
    if "train" in parts.values():
        _check_parts(directory, parts)

        def in_part(steps: Steps) -> tuple[str, str] | None:
            known = len(steps) > depth + 2 and steps[depth] in parts
            return (parts[steps[depth]], _class_name(steps[depth + 1])) if known else None

        return in_part
    if parts and len(parts) == len(names):
        raise UserError(
            f"{directory} holds {' and '.join(parts)} but no train",
            "the parts of data are train/CLASS/, val/CLASS/ and test/CLASS/",
            f"to use one alone, give folder:{directory / next(iter(parts))}",
        )
    inner = [steps[1].lower() for steps in below if len(steps) > 2]
    if inner and len(inner) == len(below) and all(PARTS.get(name) for name in inner):

        def in_class(steps: Steps) -> tuple[str, str] | None:
            part = PARTS.get(steps[depth + 1].lower()) if len(steps) > depth + 2 else None
            return (part, _class_name(steps[depth])) if part else None

        return in_class
    return lambda steps: ("train", _class_name(steps[depth])) if len(steps) > depth + 1 else None


def _check_parts(directory: Path, parts: dict[str, str]) -> None:
    for part in set(parts.values()):
        if len(both := [name for name, other in parts.items() if other == part]) > 1:
            raise UserError(
                f"{directory} holds {' and '.join(both)}", f"one folder is the {part} part", "take the other away"
            )


def _class_name(folder: str) -> str:
    # Mac and Linux write an accent in two ways; bytes that are no text must still be printed.
    return unicodedata.normalize("NFC", os.fsencode(folder).decode("utf-8", "replace"))


def _checked_classes(
    directory: Path, placed: dict[tuple[str, str], list[Steps]], folders: set[tuple[str, str]]
) -> tuple[str, ...]:
    layout = f"the images of a class lie in {directory}/CLASS/, or in {directory}/train/CLASS/ and so on"
    classes = sorted(name for part, name in folders if part == "train")
    if not classes:
        raise UserError(f"{directory} holds no folders of images", layout)
    for name in classes:
        if ("train", name) not in placed:
            raise UserError(
                f"class folder {directory / name} holds no images",
                "every class has images that Pillow can read",
                "fill it or take it away",
            )
    if len(classes) < 2:
        raise UserError(f"{directory} holds one class, {classes[0]!r}", "there must be at least two", layout)
    for part in ("validation", "test"):
        there = {name for of, name in placed if of == part}
        for name in sorted(there ^ set(classes)) if there else ():
            where, missing = ("train", part) if name in classes else (part, "train")
            raise UserError(
                f"{directory}: class {name!r} is in {where} but not in {missing}", "each must hold the same classes"
            )
    return tuple(classes)
