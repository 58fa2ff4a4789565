"""The one reader of pictures: every kind comes out upright, in 8 bits, and right, or is refused in one line."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from scaling_search.data.pictures import (
    COMPOSITED,
    SCALED,
    BadPictureError,
    decode,
    pixel_moments,
    read_file,
    read_picture,
)
from scaling_search.errors import UserError

RAMP = (np.add.outer(np.arange(32) * 5, np.arange(24) * 4) % 256).astype(np.uint8)
RAMP[0, 0], RAMP[0, 1] = 0, 255
COLOUR = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], -1)


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(decode(content).image)


def png(depth: int, kind: int, rows: bytes, width: int, *, transparent: bytes = b"") -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, depth, kind, 0, 0, 0))
    middle = chunk(b"tRNS", transparent) if transparent else b""
    return b"\x89PNG\r\n\x1a\n" + header + middle + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def big_endian() -> Image.Image:
    return Image.frombytes("I;16B", (24, 32), (RAMP.astype(">u2") * 257).tobytes())


DEEP = {
    "16-bit PNG": encoded(Image.fromarray(RAMP.astype(np.uint16) * 257)),
    "12 of 16 bits": encoded(Image.fromarray(RAMP.astype(np.uint16) * 16)),
    "16-bit TIFF": encoded(Image.fromarray(RAMP.astype(np.uint16) + 300), "TIFF"),
    "big-endian TIFF": encoded(big_endian(), "TIFF"),
    "signed 32-bit TIFF": encoded(Image.fromarray(RAMP.astype(np.int32) * 1000 - 90_000), "TIFF"),
    "16-bit PGM": encoded(Image.fromarray(RAMP.astype(np.int32) * 257), "PPM"),
    "floats of 0 to 1": encoded(Image.fromarray(RAMP.astype(np.float32) / 255), "TIFF"),
    "floats below 0": encoded(Image.fromarray(RAMP.astype(np.float32) * 9 - 1000), "TIFF"),
    "portable float map": encoded(Image.fromarray(RAMP.astype(np.float32) * 1e30), "PPM"),
}


@pytest.mark.parametrize("content", DEEP.values(), ids=DEEP.keys())
def test_more_than_8_bits_are_scaled_by_their_range(content) -> None:
    picture = decode(content)
    assert picture.remarks == (SCALED,)
    assert np.abs(np.asarray(picture.image).astype(int) - RAMP).max() <= 1


def test_floats_that_are_no_numbers_do_not_spoil_the_range() -> None:
    values = RAMP.astype(np.float32)
    values[5, 5], values[6, 6], values[7, 7] = np.nan, np.inf, -np.inf
    found = pixels(encoded(Image.fromarray(values), "TIFF"))
    assert (found[5, 5], found[6, 6], found[7, 7]) == (0, 255, 0)
    finite = np.isfinite(values)
    assert np.abs(found.astype(int) - RAMP)[finite].max() <= 1


def test_the_largest_floats_there_are_and_none_but_nan_are_scaled() -> None:
    extremes = np.where(RAMP > 99, np.float32(3.4e38), np.float32(-3.4e38))
    assert set(np.unique(pixels(encoded(Image.fromarray(extremes), "TIFF")))) == {0, 255}
    assert (pixels(encoded(Image.fromarray(np.full((3, 3), np.nan, np.float32)), "TIFF")) == 0).all()


@pytest.mark.parametrize(("value", "byte"), [(0, 0), (32896, 128), (65535, 255)])
def test_16_bits_of_one_value_keep_their_place(value, byte) -> None:
    assert (pixels(encoded(Image.fromarray(np.full((4, 4), value, np.uint16)))) == byte).all()


def test_one_bit_is_black_and_white() -> None:
    assert np.array_equal(pixels(encoded(Image.fromarray(RAMP > 99))), np.where(RAMP > 99, 255, 0))


def test_a_palette_gives_its_colours() -> None:
    image = Image.fromarray(COLOUR).quantize(256)
    assert np.array_equal(pixels(encoded(image)), np.asarray(image.convert("RGB")))


HALF = np.where(np.arange(24) < 12, 0, 255).astype(np.uint8) * np.ones((32, 1), np.uint8)


def with_palette(transparency: Any) -> bytes:
    image = Image.fromarray(np.where(HALF, 1, 0).astype(np.uint8))
    image.putpalette([10, 20, 30, 200, 100, 50])
    return encoded(image, transparency=transparency)


TRANSPARENT = {
    "RGBA": encoded(Image.fromarray(np.dstack([COLOUR, HALF]))),
    "RGBA as WebP": encoded(Image.fromarray(np.dstack([COLOUR, HALF])), "WEBP", lossless=True),
    "RGBA as TIFF": encoded(Image.fromarray(np.dstack([COLOUR, HALF])), "TIFF"),
    "LA": encoded(Image.merge("LA", [Image.fromarray(RAMP), Image.fromarray(HALF)])),
    "palette, one index": with_palette(0),
    "palette, alphas": with_palette(bytes([0, 255])),
    "GIF": encoded(Image.open(io.BytesIO(with_palette(0))), "GIF", transparency=0),
}


@pytest.mark.parametrize("content", TRANSPARENT.values(), ids=TRANSPARENT.keys())
def test_transparent_parts_are_white_and_the_rest_as_it_was(content) -> None:
    picture = decode(content)
    assert picture.remarks == (COMPOSITED,)
    found = np.asarray(picture.image)
    assert (found[:, :12] == 255).all()
    opaque = np.asarray(Image.open(io.BytesIO(content)).convert("RGBA").convert("RGB"))[:, 12:]
    assert np.array_equal(found[:, 12:] if found.ndim == 3 else found[:, 12:, None].repeat(3, 2), opaque)


def test_half_transparent_is_half_white() -> None:
    assert pixels(encoded(Image.new("RGBA", (2, 2), (0, 100, 200, 128)))).tolist()[0][0] == [127, 177, 227]
    assert pixels(encoded(Image.new("LA", (2, 2), (0, 128)))).tolist()[0][0] == 127


def test_an_alpha_channel_that_hides_nothing_changes_nothing() -> None:
    picture = decode(encoded(Image.fromarray(np.dstack([COLOUR, np.full_like(RAMP, 255)]))))
    assert picture.remarks == ()
    assert np.array_equal(np.asarray(picture.image), COLOUR)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (png(1, 0, b"\0\x80", 2, transparent=b"\0\0"), [[255, 255]]),
        (png(1, 0, b"\0\x80", 2, transparent=b"\0\1"), [[255, 0]]),
        (png(2, 0, b"\0\x1b", 4, transparent=b"\0\1"), [[0, 255, 170, 255]]),
        (png(4, 0, b"\0\x12", 2, transparent=b"\0\1"), [[255, 34]]),
        (png(8, 0, b"\0\1\2", 2, transparent=b"\0\1"), [[255, 2]]),
        (png(16, 0, b"\0" + struct.pack(">3H", 7, 0, 65535), 3, transparent=b"\0\7"), [[255, 0, 255]]),
        (png(8, 2, b"\0\1\2\3\4\5\6", 2, transparent=b"\0\1\0\2\0\3"), [[[255, 255, 255], [4, 5, 6]]]),
        (png(16, 2, b"\0" + b"\1\0\2\0\3\0" + bytes(6), 2, transparent=b"\1\0\2\0\3\0"),
         [[[255, 255, 255], [0, 0, 0]]]),
    ],
)  # fmt: skip
def test_one_colour_of_a_png_may_be_transparent_at_any_depth(content, expected) -> None:
    picture = decode(content)
    assert COMPOSITED in picture.remarks
    assert np.asarray(picture.image).tolist() == expected


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk_without_a_profile_is_converted_by_pillow(form) -> None:
    content = encoded(Image.fromarray(COLOUR).convert("CMYK"), form)
    assert np.abs(pixels(content).astype(int) - COLOUR).mean() < 6
    broken = encoded(Image.fromarray(COLOUR).convert("CMYK"), form, icc_profile=b"not a profile")
    assert np.array_equal(pixels(broken), pixels(content))


def test_cmyk_with_a_profile_is_converted_by_it(monkeypatch) -> None:
    asked: list[str] = []
    real = ImageCms.profileToProfile

    def converting(image: Image.Image, *profiles: Any, **options: Any) -> Image.Image | None:
        asked.append(image.mode)
        return real(image.convert("RGB"), *profiles, **options)

    # No profile of CMYK is free to ship; sRGB's stands in for one, on an image that is converted first.
    monkeypatch.setattr(ImageCms, "profileToProfile", converting)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found = pixels(encoded(Image.fromarray(COLOUR).convert("CMYK"), "TIFF", icc_profile=profile))
    assert asked == ["CMYK"]
    assert np.abs(found.astype(int) - COLOUR).max() <= 2


def test_ycbcr_and_lab_become_rgb() -> None:
    assert np.abs(pixels(encoded(Image.fromarray(COLOUR).convert("YCbCr"), "TIFF")).astype(int) - COLOUR).max() <= 4
    srgb: Any = ImageCms.createProfile("sRGB")
    lab = ImageCms.profileToProfile(Image.fromarray(COLOUR), srgb, ImageCms.createProfile("LAB"), outputMode="LAB")
    assert lab is not None
    assert np.abs(pixels(encoded(lab, "TIFF")).astype(int) - COLOUR).mean() < 3


UPRIGHT = np.kron(np.array([[10, 60, 110], [160, 210, 250]], np.uint8), np.ones((16, 16), np.uint8))
SAVED_AS = {
    1: lambda image: image,
    2: np.fliplr,
    3: lambda image: image[::-1, ::-1],
    4: np.flipud,
    5: np.transpose,
    6: lambda image: np.rot90(image, 1),
    7: lambda image: image[::-1, ::-1].T,
    8: lambda image: np.rot90(image, -1),
}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", SAVED_AS)
@pytest.mark.parametrize("least", [None, 4])
def test_every_orientation_by_exif_is_upright(form, orientation, least) -> None:
    if form == "AVIF" and "AVIF" not in Image.SAVE:
        pytest.skip("this Pillow has no AVIF")
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(SAVED_AS[orientation](UPRIGHT)))
    picture = decode(encoded(stored, form, exif=exif, quality=95), least=least)
    assert picture.size == (48, 32)
    found = picture.square(2).astype(int)
    assert np.abs(found - decode(encoded(Image.fromarray(UPRIGHT))).square(2)).max() <= 12
    assert picture.image.width > picture.image.height


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"junk"])
def test_broken_metadata_do_not_cost_the_picture(exif) -> None:
    for form in ("JPEG", "PNG", "WEBP"):
        assert decode(encoded(Image.fromarray(RAMP), form, exif=exif)).size == (24, 32)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("kind", ["text", "international", "profile"])
def test_text_of_any_length_beside_the_pixels_is_read_over(kind, compressed) -> None:
    info = PngImagePlugin.PngInfo()
    options: dict[str, Any] = {"pnginfo": info}
    if kind == "text":
        info.add_text("parameters", "x" * 3_000_000, zip=compressed)
    elif kind == "international":
        for number in range(70):
            info.add_itxt(f"prompt {number}", "x" * 1_000_000, zip=compressed)
    else:
        options = {"icc_profile": b"x" * 3_000_000}
    assert np.array_equal(pixels(encoded(Image.fromarray(RAMP), **options)), RAMP)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_an_animation_gives_its_first_frame(form) -> None:
    frames = [Image.fromarray(np.full((8, 8), value, np.uint8)) for value in (40, 200)]
    content = encoded(frames[0], form, save_all=True, append_images=frames[1:])
    assert np.abs(pixels(content).astype(int) - 40).max() <= 3


def test_one_pixel_is_a_picture() -> None:
    assert pixels(encoded(Image.new("L", (1, 1), 9))).tolist() == [[9]]


def test_a_bomb_is_refused_by_its_header() -> None:
    for side in (9_500, 60_000):
        header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
        bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header
        bomb += struct.pack(">I", zlib.crc32(b"IHDR" + header)) + png(8, 0, b"", 1)[33:]
        with pytest.raises(BadPictureError, match="89,478,485 pixels, which is refused as a decompression bomb"):
            decode(bomb)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_truncated_file_is_refused(form) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    content = encoded(Image.fromarray(noise), form)
    for share in (0.02, 0.5, 0.9):
        with pytest.raises(BadPictureError):
            decode(content[: int(share * len(content))])


@pytest.mark.parametrize("content", [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 5\n", b"%PDF-1.4"])
def test_what_is_no_picture_is_refused(content) -> None:
    with pytest.raises(BadPictureError, match="not an image"):
        decode(content)


def test_a_jpeg_is_decoded_no_larger_than_needed_and_looks_the_same() -> None:
    for size, reduced_size in (((512, 384), (128, 96)), ((517, 379), (130, 95))):
        detailed = Image.fromarray(RAMP).resize(size, Image.Resampling.BICUBIC)
        for orientation in (1, 3, 6):
            exif = Image.Exif()
            exif[0x0112] = orientation
            content = encoded(detailed, "JPEG", quality=95, exif=exif)
            reduced = decode(content, least=80)
            assert sorted(reduced.size) == sorted(size)
            assert sorted(reduced.image.size) == sorted(reduced_size)
            apart = reduced.square(40).astype(int) - decode(content).square(40)
            assert np.abs(apart).mean() < 0.5


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(sorted([*DEEP, *TRANSPARENT])), where=st.floats(0, 1), data=st.data())
def test_damage_of_any_kind_is_read_or_refused(kind, where, data) -> None:
    content = bytearray((DEEP | TRANSPARENT)[kind])
    content[int(where * (len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        assert decode(cut).image.mode in ("L", "RGB")
    except BadPictureError as error:
        assert str(error)


def test_a_file_that_cannot_be_read_is_named(tmp_path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    for name, said in (("a.png", "not an image"), ("b.png", "there is no such file"), ("", "Is a directory")):
        with pytest.raises(UserError, match=f"picture .*{name}.* cannot be read: {said}"):
            read_file(tmp_path / name)
    with pytest.raises(UserError, match="cannot be read"):
        read_file("a\0b.png")


def test_the_middle_is_taken(tmp_path):
    pixels = np.zeros((128, 200, 3), np.uint8)
    pixels[20:108, 56:144] = 255  # The middle 88 by 88.
    Image.fromarray(pixels).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png", 96)  # 96 / 128 of 128 pixels: 4 black ones on each side of the middle.
    assert picture.shape == (96, 96, 3)
    assert picture[0, 48].max() == 0 and picture[48, 0].max() == 0
    assert (picture[6:90, 6:90] == 255).all()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_other_kinds_of_pixels_become_rgb(mode, tmp_path):
    Image.new("RGB", (50, 40), (200, 200, 200)).convert(mode).save(tmp_path / "a.tiff")
    assert read_picture(tmp_path / "a.tiff", 32).shape == (32, 32, 3)


@pytest.mark.parametrize(("name", "complaint"), [("none.png", "no such file"), ("text.png", "cannot be read")])
def test_what_is_no_picture_is_said(name, complaint, tmp_path):
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(UserError, match=complaint):
        read_picture(tmp_path / name, 32)


@pytest.mark.parametrize(
    ("pixels", "black", "white"),
    [("half", -1, 1), ("lite", -127 / 128, 1), ("imagenet", -0.485 / 0.229, 0.515 / 0.229)],
)
def test_normalisations(pixels, black, white):
    mean, std = np.array(pixel_moments(pixels))
    np.testing.assert_allclose([(-mean / std)[0], ((1 - mean) / std)[0]], [black, white])
