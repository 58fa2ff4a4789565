"""Images as one folder a class: DIR/CLASS/*.png, or DIR/train/CLASS/*.png with DIR/test/CLASS/*.png."""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scaling_search.errors import UserError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
# Pillow's other decoders, of which some start programs, never see a file.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
_CHANNELS = {"L": 1, "RGB": 3}


@dataclass(frozen=True, eq=False)
class FolderImages:
    """What a folder holds."""

    images: np.ndarray
    """(N, H, W, C) uint8, C 1 or 3."""
    labels: np.ndarray
    """(N,) int32, each an index into `classes`."""
    classes: tuple[str, ...]
    test: tuple[np.ndarray, np.ndarray] | None
    """Test images and labels, where the folder has such a part."""


def read(directory: Path) -> FolderImages:
    """Every image of DIR/CLASS/, classes and files in the order of their names.

    Where DIR has the folders train and test, these hold the classes, and test is the data's own test split; any
    other folder beside them is left out with a warning. Hidden files, and files that have no image's extension, are
    passed over. GIF is read as RGB, and an animation gives its first frame.

    Raises UserError, which names the folder or file, where a class is empty or nested, an image cannot be read,
    is neither 8-bit grey nor RGB, or differs from the others in size or mode.
    """
    beside = [entry.name for entry in _folders(directory)]
    if not {"train", "test"} <= set(beside):
        files = _files_by_class(directory)
        return FolderImages(_decode(_flat(files)), _labels(files), tuple(files), None)

    for name in sorted(set(beside) - {"train", "test"}):
        warnings.warn(f"{directory / name} is left out: images to validate on are taken from train", stacklevel=2)
    files, test_files = _files_by_class(directory / "train"), _files_by_class(directory / "test")
    for name in sorted(files.keys() ^ test_files.keys()):
        there, missing = ("train", "test") if name in files else ("test", "train")
        raise UserError(
            f"{directory}: class {name!r} is in {there} but not in {missing}", "both must hold the same classes"
        )
    images = _decode(_flat(files))
    test_images = _decode(_flat(test_files), like=_flat(files)[0])
    return FolderImages(images, _labels(files), tuple(files), (test_images, _labels(test_files)))


def _files_by_class(directory: Path) -> dict[str, list[Path]]:
    layout = f"the images of a class lie in {directory}/CLASS/"
    folders = _folders(directory)
    if not folders:
        raise UserError(f"{directory} holds no folders", layout)
    files: dict[str, list[Path]] = {}
    for entry in folders:
        if deeper := _folders(entry):
            raise UserError(
                f"class folder {entry} holds the folder {deeper[0].name}",
                layout + ", not deeper; with a test split, in train/CLASS/ and test/CLASS/",
                f"to use {entry} alone, give folder:{entry}",
            )
        files[entry.name] = [file for file in _entries(entry) if file.suffix.lower() in EXTENSIONS]
        if not files[entry.name]:
            raise UserError(
                f"class folder {entry} holds no images",
                f"images end in {', '.join(EXTENSIONS)}",
                "fill it or take it away",
            )
    if len(files) < 2:
        raise UserError(f"{directory} holds one class, {folders[0].name!r}", "there must be at least two", layout)
    return files


def _entries(directory: Path) -> list[Path]:
    return sorted(entry for entry in directory.iterdir() if not entry.name.startswith("."))


def _folders(directory: Path) -> list[Path]:
    return [entry for entry in _entries(directory) if entry.is_dir()]


def _flat(files: dict[str, list[Path]]) -> list[Path]:
    return [file for of_class in files.values() for file in of_class]


def _labels(files: dict[str, list[Path]]) -> np.ndarray:
    counts = [len(of_class) for of_class in files.values()]
    return np.repeat(np.arange(len(counts), dtype=np.int32), counts)


def _decode(files: list[Path], like: Path | None = None) -> np.ndarray:
    """(N, H, W, C) uint8; all of one size and mode, that of `like`, by default the first file."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        like = like or files[0]
        first = _decode_file(like)
        _check_memory(len(files) * first.nbytes, files[0].parent.parent)
        images = np.empty((len(files), *first.shape), np.uint8)
        for index, file in enumerate(files):
            image = _decode_file(file)
            if image.shape != first.shape:
                raise UserError(
                    f"images differ: {like} is {_describe(first)}, {file} is {_describe(image)}",
                    "all must have one size and be all grey or all RGB",
                    "with Pillow, ImageOps.fit(image, (64, 64)) makes one size and image.convert('RGB') one mode",
                )
            images[index] = image
    return images


def _decode_file(file: Path) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file, formats=_FORMATS) as image:
            image.load()
            # GIF has nothing but palettes, so to refuse these would be to refuse GIF.
            decoded = image.convert("RGB") if image.format == "GIF" else image
            mode, pixels = decoded.mode, np.asarray(decoded)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UserError(
            f"{file} claims more than {Image.MAX_IMAGE_PIXELS:,} pixels",
            "so large an image is taken for an attack",
            "make it smaller, or take it away",
        ) from None
    # A decoder may raise anything at all on a broken file.
    except Exception as error:
        reason = "not an image" if isinstance(error, UnidentifiedImageError) else str(error) or type(error).__name__
        raise UserError(f"{file} cannot be read as an image ({reason})", hint="replace it or take it away") from None
    if mode not in _CHANNELS:
        target = {"1": "L", "LA": "L"}.get(mode, "RGB")
        raise UserError(
            f"{file} has mode {mode}",
            "images are 8-bit grey (L) or RGB",
            "scale it to 0..255 and save it as mode L"
            if mode.startswith(("I", "F"))
            else f"convert it by Image.open(file).convert('{target}').save(file)",
        )
    return pixels.reshape(*pixels.shape[:2], _CHANNELS[mode])


def _check_memory(needed: int, directory: Path) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        raise UserError(
            f"the images of {directory} take {needed / 2**30:.1f} GiB",
            f"this machine has {memory / 2**30:.1f} GiB of memory",
            "make them smaller first: no more than the largest input resolution is needed",
        )


def _describe(image: np.ndarray) -> str:
    height, width, channels = image.shape
    return f"{width}x{height} {'L (grey)' if channels == 1 else 'RGB'}"
