"""The one reader of encoded pictures: bytes in, upright 8-bit grey or RGB out, whatever mode they were saved in."""

import io
import threading
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scaling_search.errors import UserError
from scaling_search.native.resize import resize

if TYPE_CHECKING:
    from PIL import Image

Pixels = Literal["imagenet", "half", "lite"]
"""What published weights were trained on: ImageNet's mean and standard deviation by channel, (x - 0.5) / 0.5, or
EfficientNet-Lite's (x - 127) / 128 of bytes."""

_NORMALISATION: dict[Pixels, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5,) * 3, (0.5,) * 3),
    "lite": ((127 / 255,) * 3, (128 / 255,) * 3),
}
MARGIN = 32
"""Pixels that evaluation cuts off between both sides of a picture of the network's size and this more, as the
EfficientNet authors' code does."""

DETAIL = 2
"""Pixels of a reduced JPEG for each that is needed: resized from those, it looks as if it were resized from all."""
SCALED = "of more than 8 bits: the range of values is scaled to 0..255"
COMPOSITED = "with transparency: composited on white"
MOST_PIXELS = 89_478_485
"""Pixels beyond which a picture is refused by its header, before it is decoded: Pillow's own limit."""

# Signatures that no text happens to begin with: what a file of any name is recognised by.
SIGNED_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "JPEG2000", "AVIF", "QOI", "PSD", "DDS")
# Pillow's other decoders, some of which start programs, never see a file.
FORMATS = (*SIGNED_FORMATS, "MPO", "DIB", "PPM", "ICO", "PCX", "SGI", "SUN", "TGA", "XBM", "XPM")
_ORIENTATION = 0x0112
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")


class BadPictureError(ValueError):
    """Bytes that cannot be read as a picture; its text says why."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture."""

    stored: "Image.Image"
    """As it lies in the file, of mode L (grey) or RGB, perhaps reduced by a whole factor."""
    extent: tuple[float, float]
    """The width and height that it takes of `stored`, whose last row and column may be part of a pixel."""
    turn: "Image.Transpose | None"
    """What turns it upright."""
    size: tuple[int, int]
    """Its upright width and height at full size, in pixels."""
    remarks: tuple[str, ...]
    """What had to be done to it that changes its values: `SCALED`, `COMPOSITED`."""
    mode: str
    """Pillow's name for the pixels in the file: L, RGB, RGBA, P, CMYK, I;16, F and so on."""

    @property
    def image(self) -> "Image.Image":
        """Upright."""
        return self.stored if self.turn is None else self.stored.transpose(self.turn)

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""
        return len(self.stored.getbands())

    def crop(self, box: tuple[float, float, float, float], side: int) -> np.ndarray:
        """What lies in a box, resized bilinearly to (side, side, C) uint8.

        The box is of left, top, right and bottom, upright, in pixels of the full size.
        """
        from PIL import Image

        reduced_by = max(self.size) / max(self.extent)
        left, top, right, bottom = (edge / reduced_by for edge in box)
        return resize(self.image, side, (left, top, right, bottom), Image.Resampling.BILINEAR)

    def square(self, side: int, *, kept: float = 1.0) -> np.ndarray:
        """Its centred square as (side, side, C) uint8, upright: `kept` of the shorter side, resized bicubically.

        The aspect is kept: what a longer side has beyond the square is cut off.
        """
        from PIL import Image

        edge = min(self.extent) * kept
        left, top = ((length - edge) / 2 for length in self.extent)
        box = (left, top, left + edge, top + edge)
        if self.turn is None:
            return resize(self.stored, side, box, Image.Resampling.BICUBIC)
        upright = self.stored.resize((side, side), Image.Resampling.BICUBIC, box=box).transpose(self.turn)
        return np.asarray(upright).reshape(side, side, -1)


def decode(content: bytes, *, least: int | None = None) -> Picture:
    """The first frame of an encoded picture, a function of its bytes alone.

    - Turned upright by its EXIF orientation.
    - Grey of more than 8 bits and floats: scaled so that their smallest and largest finite values become 0 and 255.
    - Transparency, by a channel, a palette or one colour: composited on white.
    - CMYK: by the colour profile inside, or else by Pillow's conversion. Lab: by its definition, to sRGB.
    - Palettes, YCbCr, HSV and the like become RGB; one bit becomes grey.

    With `least` a JPEG is decoded at the smallest of 1/8, 1/4 and 1/2 of its size whose sides still have that many
    pixels. Raises BadPictureError where the bytes are not a picture, are damaged, or claim more than
    `MOST_PIXELS`.
    """
    with _QUIETLY:
        try:
            try:
                return _decode(content, least)
            except BadPictureError:
                raise
            except Exception:
                # Pillow bounds the text beside the pixels of a PNG, against bombs. The pixels need none of it.
                if (bare := _without_text(content)) is None:
                    raise
                return _decode(bare, least)
        except BadPictureError:
            raise
        # A decoder may raise anything at all on a broken file.
        except Exception as error:
            raise BadPictureError(_reason(error)) from None


def seen(crop: float, side: int, shorter: int) -> float:
    """The central share of the shorter side that a network of `side` pixels is shown.

    It is `crop` of pictures that are large enough, and more of smaller ones, rather than enlarge what is left.
    """
    return max(crop, min(1.0, side / shorter))


def recognised(file: Path) -> bool:
    """Whether the content of a file begins as a picture's does. Raises OSError where it cannot be read."""
    from PIL import Image, UnidentifiedImageError

    with _QUIETLY:
        try:
            with Image.open(file, formats=_known(SIGNED_FORMATS)):
                return True
        except UnidentifiedImageError:
            return False
        except OSError as error:
            if error.errno is not None:
                raise
            return True
        except Exception:
            return True


def endings() -> frozenset[str]:
    """Endings of files, with their dot and in lower case, that are always taken for pictures."""
    from PIL import Image

    allowed = _known(FORMATS)
    return frozenset(ending for ending, form in Image.registered_extensions().items() if form in allowed) | {".jif"}


def read_file(file: str | Path, *, least: int | None = None) -> Picture:
    """The picture in a file, by `decode`. Raises UserError, which names the file, where it cannot be read."""
    try:
        return decode(Path(file).expanduser().read_bytes(), least=least)
    except FileNotFoundError:
        reason = "there is no such file"
    except OSError as error:
        reason = error.strerror or str(error)
    except (BadPictureError, RuntimeError, ValueError) as error:
        reason = str(error)
    raise UserError(f"picture {str(file)!r} cannot be read: {reason}") from None


def read_picture(file: str | Path, side: int, kept: float | None = None) -> np.ndarray:
    """The middle of a picture as (side, side, 3) uint8, resized bicubically.

    Of the shorter side it is `kept`, by default side / (side + 32). Warns of what had to be done to it that changes its
    values. Raises UserError where the file cannot be read as a picture.
    """
    kept = kept or side / (side + MARGIN)
    picture = read_file(file, least=DETAIL * round(side / kept))
    for remark in picture.remarks:
        warnings.warn(f"{file}: a picture {remark}", stacklevel=2)
    return np.broadcast_to(picture.square(side, kept=kept), (side, side, 3)).copy()


def pixel_moments(pixels: Pixels) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation by channel, of pixel values in 0..1, that the weights were trained on."""
    return _NORMALISATION[pixels]


class _Quietly:
    """Without Pillow's warnings: what they are about is either harmless or refused here.

    Python's filters of warnings belong to the whole process, so that of several threads that decode the first sets them
    and the last puts them back.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._filters = threading.Lock(), 0, warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.__exit__(None, None, None)


_QUIETLY = _Quietly()


@cache
def _known(formats: tuple[str, ...]) -> list[str]:
    """Those of the formats that this build of Pillow can read."""
    from PIL import Image

    Image.init()
    return [name for name in formats if name in Image.OPEN]


def _decode(content: bytes, least: int | None) -> Picture:
    from PIL import Image

    with Image.open(io.BytesIO(content), formats=_known(FORMATS)) as opened:
        full = opened.size
        if full[0] * full[1] > MOST_PIXELS:
            raise Image.DecompressionBombError
        if least is not None and opened.format in ("JPEG", "MPO"):
            opened.draft(None, (least, least))
        opened.load()
        mode = opened.mode
        eight_bit, remarks = _eight_bit(opened, content)
        turn = _turns().get(_orientation(opened))
    if opened.format == "TIFF":
        # Pillow turns these itself as it loads them.
        full = eight_bit.size
    factor = round(max(full) / max(eight_bit.size))
    sideways = turn is not None and turn.name in ("TRANSPOSE", "TRANSVERSE", "ROTATE_90", "ROTATE_270")
    size = (full[1], full[0]) if sideways else full
    return Picture(eight_bit, (full[0] / factor, full[1] / factor), turn, size, remarks, mode)


def _orientation(image: "Image.Image") -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    # A picture with broken metadata is a picture all the same.
    except Exception:
        return 1


def _turns() -> "dict[int, Image.Transpose]":
    from PIL.Image import Transpose

    return {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }


def _eight_bit(image: "Image.Image", content: bytes) -> tuple["Image.Image", tuple[str, ...]]:
    """As L or RGB, with remarks on what was done."""
    from PIL import Image

    key = image.info.get("transparency")
    alpha: Image.Image | None = None
    remarks: tuple[str, ...] = ()
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image)
        colours = Image.fromarray(_scaled(values))
        remarks = (SCALED,)
        if key is not None:
            alpha = Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))
    elif image.mode in ("LA", "La"):
        both = image.convert("LA")
        colours, alpha = both.getchannel("L"), both.getchannel("A")
    elif image.mode in ("RGBA", "RGBa", "PA") or (image.mode == "P" and _palette_is_transparent(image)):
        both = image.convert("RGBA")
        colours, alpha = both.convert("RGB"), both.getchannel("A")
    elif image.mode in ("1", "L"):
        colours = image.convert("L")
        if isinstance(key, int):
            byte = _key_in_bytes(key, content) if image.mode == "L" else 255 * bool(key)
            alpha = _other_than(np.asarray(colours), byte)
    elif image.mode == "RGB":
        colours = image
        if isinstance(key, tuple):
            alpha = _other_than(np.asarray(colours), [_key_in_bytes(value, content) for value in key])
    elif image.mode == "CMYK":
        colours = _by_profile(image)
    elif image.mode == "LAB":
        colours = _to_srgb(image, _lab_profile())
    else:
        colours = image.convert("RGB")
    if alpha is None or alpha.getextrema()[0] == 255:
        return colours, remarks
    white = Image.new(colours.mode, colours.size, "white")
    white.paste(colours, mask=alpha)
    return white, (*remarks, COMPOSITED)


def _palette_is_transparent(image: "Image.Image") -> bool:
    return "transparency" in image.info or (image.palette is not None and image.palette.mode == "RGBA")


def _scaled(values: np.ndarray) -> np.ndarray:
    """(H, W) of any type as uint8: the range of its finite values stretched to 0..255.

    One value alone is black, but for 16 bits, where it has its place in 0..65535.
    """
    exact = values.astype(np.float64)
    finite = exact[np.isfinite(exact)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    if low == high:
        low, high = 0.0, 65535.0 if values.dtype.itemsize == 2 else np.inf
    exact = np.nan_to_num(exact, nan=low, posinf=high if np.isfinite(high) else 0.0, neginf=low)
    # Halved before they are subtracted, as the range of float64 may be more than float64 holds.
    share = (exact / 2 - low / 2) / (high / 2 - low / 2)
    return np.round(np.clip(share, 0, 1) * 255).astype(np.uint8)


def _key_in_bytes(value: int, content: bytes) -> int:
    """The transparent value of a PNG, given at its bit depth, as the byte that Pillow decodes it to."""
    depth = content[24] if content.startswith(b"\x89PNG") else 8
    return value >> 8 if depth == 16 else value * 255 // (2**depth - 1)


def _other_than(pixels: np.ndarray, key: int | list[int]) -> "Image.Image":
    from PIL import Image

    same = pixels == np.asarray(key)
    return Image.fromarray(np.where(same.all(axis=-1) if same.ndim == 3 else same, 0, 255).astype(np.uint8))


def _by_profile(image: "Image.Image") -> "Image.Image":
    from PIL import ImageCms

    if profile := image.info.get("icc_profile"):
        try:
            return _to_srgb(image, ImageCms.ImageCmsProfile(io.BytesIO(profile)))
        # A profile that is broken, or of other colours, is as good as none.
        except (ImageCms.PyCMSError, ImportError, OSError, ValueError, TypeError):
            pass
    return image.convert("RGB")


def _to_srgb(image: "Image.Image", profile: Any) -> "Image.Image":
    from PIL import ImageCms

    srgb: Any = ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
    if converted is None:
        raise ValueError("its colours cannot be converted")
    return converted


def _lab_profile() -> Any:
    from PIL import ImageCms

    return ImageCms.createProfile("LAB")


def _without_text(content: bytes) -> bytes | None:
    """A PNG without text and profile; None where it is not a PNG or has none."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return None
    kept, position = [content[:8]], 8
    while position + 8 <= len(content):
        end = position + 12 + int.from_bytes(content[position : position + 4], "big")
        if content[position + 4 : position + 8] not in _TEXT_CHUNKS:
            kept.append(content[position:end])
        position = end
    bare = b"".join(kept)
    return bare if len(bare) < len(content) else None


def _reason(error: Exception) -> str:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, Image.DecompressionBombError):
        return f"it claims more than {MOST_PIXELS:,} pixels, which is refused as a decompression bomb"
    return " ".join(str(error).split()) or type(error).__name__
