"""Folders of images: what is read, what is passed over, and what is refused."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from scaling_search.data import load
from scaling_search.errors import UserError


def picture(mode: str = "L", size: tuple[int, int] = (6, 5), value: int = 7) -> Image.Image:
    return Image.new("L", size, value).convert(mode)


def save(file: Path, image: Image.Image | None = None) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    (image or picture()).save(file)
    return file


@pytest.fixture
def cats_and_dogs(tmp_path) -> Path:
    for number, name in enumerate(("cat/a.png", "cat/b.png", "dog/a.png", "dog/b.png", "dog/c.png")):
        save(tmp_path / name, picture(value=number))
    return tmp_path


def refused(directory: Path) -> str:
    with pytest.raises(UserError) as error:
        load(f"folder:{directory}")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_classes_and_files_come_in_the_order_of_their_names(cats_and_dogs) -> None:
    data = load(f"folder:{cats_and_dogs}")
    assert data.images.shape == (5, 5, 6, 1)
    assert data.images.dtype == np.uint8
    assert data.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert data.labels.tolist() == [0, 0, 1, 1, 1]
    assert data.classes == ("cat", "dog")
    assert data.name == cats_and_dogs.name


def test_files_that_are_no_images_and_hidden_files_are_passed_over(cats_and_dogs) -> None:
    (cats_and_dogs / "README.md").write_text("about")
    (cats_and_dogs / "cat" / "notes.txt").write_text("about")
    (cats_and_dogs / "cat" / "._a.png").write_text("what a Mac leaves")
    (cats_and_dogs / "cat" / ".cache").mkdir()
    (cats_and_dogs / ".git").mkdir()
    assert len(load(f"folder:{cats_and_dogs}").images) == 5


@pytest.mark.parametrize("ending", ["png", "jpg", "jpeg", "bmp", "webp", "tif", "tiff", "ppm", "PNG", "JPG"])
def test_every_format_is_read_in_colour(tmp_path, ending) -> None:
    for name in ("cat", "dog"):
        save(tmp_path / name / f"a.{ending}", picture("RGB"))
    data = load(f"folder:{tmp_path}")
    assert data.images.shape == (2, 5, 6, 3)
    assert np.abs(data.images.astype(int) - 7).max() <= 2


@pytest.mark.parametrize(
    ("ending", "channels"), [("gif", 3), ("pgm", 1), ("png", 1), ("tif", 1), ("bmp", 1), ("jpg", 1)]
)
def test_grey_images_are_read_as_grey_and_gif_as_rgb(tmp_path, ending, channels) -> None:
    for name in ("cat", "dog"):
        save(tmp_path / name / f"a.{ending}")
    images = load(f"folder:{tmp_path}").images
    assert images.shape == (2, 5, 6, channels)
    assert (images == 7).all()


def test_symbolic_links_are_followed(cats_and_dogs, tmp_path_factory) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "links").mkdir()
    (other / "links" / "cat").symlink_to(cats_and_dogs / "cat")
    (other / "links" / "dog").mkdir()
    (other / "links" / "dog" / "one.png").symlink_to(cats_and_dogs / "dog" / "a.png")
    assert load(f"folder:{other}/links/").labels.tolist() == [0, 0, 1]


def test_train_and_test_folders_are_the_data_and_its_own_test_split(tmp_path) -> None:
    for number, name in enumerate(("train/cat/a.png", "train/dog/a.png", "test/cat/x.png", "test/dog/x.png")):
        save(tmp_path / name, picture(value=number))
    data = load(f"folder:{tmp_path}")
    assert data.images[:, 0, 0, 0].tolist() == [0, 1]
    assert data.test_images is not None
    assert data.test_labels is not None
    assert data.test_images[:, 0, 0, 0].tolist() == [2, 3]
    assert data.test_labels.tolist() == [0, 1]


def test_a_validation_folder_beside_train_and_test_is_left_out_aloud(tmp_path) -> None:
    for part in ("train", "val", "test"):
        for name in ("cat", "dog"):
            save(tmp_path / part / name / "a.png")
    with pytest.warns(UserWarning, match="val is left out"):
        assert len(load(f"folder:{tmp_path}").images) == 2


def test_train_and_test_must_hold_the_same_classes(tmp_path) -> None:
    for name in ("train/cat", "train/dog", "train/owl", "test/cat", "test/dog"):
        save(tmp_path / name / "a.png")
    assert "class 'owl' is in train but not in test" in refused(tmp_path)


def test_a_test_image_of_another_size_is_named_with_a_training_image(tmp_path) -> None:
    for name in ("train/cat", "train/dog", "test/cat"):
        save(tmp_path / name / "a.png")
    save(tmp_path / "test" / "dog" / "a.png", picture(size=(9, 9)))
    said = refused(tmp_path)
    assert f"{tmp_path}/train/cat/a.png is 6x5 L" in said
    assert f"{tmp_path}/test/dog/a.png is 9x9 L" in said


def test_images_that_are_split_without_a_test_folder_are_pointed_at(tmp_path) -> None:
    for name in ("train/cat", "train/dog", "val/cat", "val/dog"):
        save(tmp_path / name / "a.png")
    assert f"give folder:{tmp_path}/train" in refused(tmp_path)


def test_a_folder_without_classes_says_where_images_lie(tmp_path) -> None:
    save(tmp_path / "a.png")
    assert "holds no folders" in refused(tmp_path)


def test_one_class_is_too_few(tmp_path) -> None:
    save(tmp_path / "cat" / "a.png")
    assert "holds one class, 'cat'" in refused(tmp_path)


def test_an_empty_class_is_named(cats_and_dogs) -> None:
    (cats_and_dogs / "owl").mkdir()
    (cats_and_dogs / "owl" / "README").touch()
    assert f"class folder {cats_and_dogs}/owl holds no images" in refused(cats_and_dogs)


@pytest.mark.parametrize(
    ("other", "described"), [(picture(size=(5, 6)), "5x6 L"), (picture("RGB"), "6x5 RGB")], ids=["size", "mode"]
)
def test_images_that_differ_are_both_named(cats_and_dogs, other, described) -> None:
    save(cats_and_dogs / "dog" / "b.png", other)
    said = refused(cats_and_dogs)
    assert f"{cats_and_dogs}/cat/a.png is 6x5 L" in said
    assert f"{cats_and_dogs}/dog/b.png is {described}" in said


@pytest.mark.parametrize(
    ("mode", "hint"),
    [
        ("P", "convert('RGB')"),
        ("RGBA", "convert('RGB')"),
        ("LA", "convert('L')"),
        ("1", "convert('L')"),
        ("I;16", "0..255"),
    ],
)
def test_a_mode_that_is_neither_grey_nor_rgb_is_told_how_to_be_converted(cats_and_dogs, mode, hint) -> None:
    file = save(cats_and_dogs / "dog" / "b.png", picture(mode))
    said = refused(cats_and_dogs)
    assert f"{file} has mode {mode}" in said
    assert hint in said


def test_a_file_that_is_no_image_is_named(cats_and_dogs) -> None:
    for content in (b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 5\n"):
        (cats_and_dogs / "dog" / "b.png").write_bytes(content)
        assert f"{cats_and_dogs}/dog/b.png cannot be read as an image (not an image)" in refused(cats_and_dogs)


def test_a_link_to_nowhere_is_named(cats_and_dogs) -> None:
    (cats_and_dogs / "dog" / "d.png").symlink_to(cats_and_dogs / "gone.png")
    assert "d.png cannot be read" in refused(cats_and_dogs)


def test_a_truncated_image_is_named(tmp_path) -> None:
    rng = np.random.default_rng(0)
    for name in ("cat/a.jpg", "dog/a.jpg"):
        save(tmp_path / name, Image.fromarray(rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)))
    file = tmp_path / "dog" / "a.jpg"
    file.write_bytes(file.read_bytes()[:1500])
    assert f"{file} cannot be read as an image" in refused(tmp_path)


def test_a_decompression_bomb_is_refused_by_its_header(cats_and_dogs) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    for side in (10_000, 60_000):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
        bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
        (cats_and_dogs / "dog" / "b.png").write_bytes(bomb)
        said = refused(cats_and_dogs)
        assert "b.png claims more than" in said
        assert "pixels" in said


def test_more_images_than_memory_holds_are_refused_before_they_are_read(tmp_path, monkeypatch) -> None:
    for name in ("cat", "dog"):
        save(tmp_path / name / "a.png", picture(size=(100, 100)))
    monkeypatch.setattr("scaling_search.data.folder.os.sysconf", lambda name: 100)
    assert "of memory" in refused(tmp_path)


def test_a_folder_that_may_not_be_read_is_named(cats_and_dogs, monkeypatch) -> None:
    def forbidden(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", forbidden)
    assert f"cannot read {cats_and_dogs}: Permission denied" in refused(cats_and_dogs)


@pytest.mark.filterwarnings("ignore:.*:UserWarning:PIL")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ending=st.sampled_from(["png", "jpg", "gif", "bmp", "tif", "webp", "pgm"]), where=st.floats(0, 1), data=st.data()
)
def test_damage_of_any_kind_is_read_or_refused_but_never_a_traceback(tmp_path, ending, where, data) -> None:
    folder = tmp_path / ending
    save(folder / "cat" / f"a.{ending}")
    file = save(folder / "dog" / f"a.{ending}")
    content = bytearray(file.read_bytes())
    content[int(where * (len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        assert load(f"folder:{folder}").images.shape[0] == 2
    except UserError as error:
        assert str(file) in str(error)
