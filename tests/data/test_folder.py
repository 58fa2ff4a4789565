"""Folders of images: what is read, what is passed over, and what is refused."""

import os
import pickle
import struct
import unicodedata
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from scaling_search.config import Split
from scaling_search.data import divide, load, prepare, resize
from scaling_search.data.encoded import EncodedImages
from scaling_search.data.pictures import read_picture
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


def test_files_that_are_no_images_and_hidden_files_are_passed_over_and_counted_once(cats_and_dogs) -> None:
    (cats_and_dogs / "README.md").write_text("about")
    (cats_and_dogs / "cat" / "notes.txt").write_text("about")
    (cats_and_dogs / "cat" / "IMG_1.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0")
    Image.new("RGB", (4, 4)).save(cats_and_dogs / "cat" / "IMG_2.NEF", "TIFF")
    (cats_and_dogs / "cat" / "._a.png").write_text("what a Mac leaves")
    (cats_and_dogs / "cat" / ".cache").mkdir()
    (cats_and_dogs / ".git").mkdir()
    (cats_and_dogs / "__MACOSX").mkdir()
    save(cats_and_dogs / "cover.png")
    with pytest.warns(UserWarning) as warned:
        assert len(load(f"folder:{cats_and_dogs}").images) == 5
    assert [str(warning.message) for warning in warned] == [
        f"{cats_and_dogs}: passed over 9 entries: "
        "2 in HEIC or a camera's raw format, to be converted first (such as cat/IMG_1.heic), "
        "2 not images (such as README.md), 4 hidden or special (such as .git), "
        "1 outside the classes (such as cover.png)"
    ]


@pytest.mark.parametrize(
    "ending", [".jfif", ".JPE", ".jif", ".WebP", ".TIFF", ".dib", ".jp2", ".tga", ".ico", "", ".1", ".dat"]
)
def test_half_a_class_of_another_ending_is_not_dropped(tmp_path, ending) -> None:
    formats = {".webp": "WEBP", ".tiff": "TIFF", ".dib": "DIB", ".jp2": "JPEG2000", ".tga": "TGA", ".ico": "ICO"}
    for name in ("cat", "dog"):
        for number in range(3):
            save(tmp_path / name / f"{number}.jpg", picture("RGB", (16, 16)))
            file = tmp_path / name / f"odd_{number}{ending}"
            picture("RGB", (16, 16)).save(file, formats.get(ending.lower(), "JPEG"))
    assert load(f"folder:{tmp_path}").labels.tolist() == [0] * 6 + [1] * 6


def test_a_file_with_the_ending_of_another_format_is_read_by_its_content(cats_and_dogs) -> None:
    picture(value=9).save(cats_and_dogs / "dog" / "c.png", "TIFF")
    assert load(f"folder:{cats_and_dogs}").images[4, 0, 0, 0] == 9


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


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("train", "val", "test"), ("Train", "VALID", "Test"), ("training", "validation", "testing")],
)
@pytest.mark.parametrize("class_first", [False, True])
@pytest.mark.parametrize("inside", ["", "pets", "my/pets"])
def test_a_folders_own_parts_are_used(tmp_path, train, validation, test, class_first, inside) -> None:
    value = 0
    for part, count in ((train, 3), (validation, 2), (test, 1)):
        for name in ("cat", "dog"):
            for number in range(count):
                way = (name, part) if class_first else (part, name)
                save(tmp_path.joinpath(inside, *way, f"{number}.png"), picture(value=value))
                value += 1
    data = load(f"folder:{tmp_path}")
    division = divide(data, Split())
    assert isinstance(data.images, np.ndarray)
    assert isinstance(data.test_images, np.ndarray)
    assert data.images[division.train, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert data.images[division.validation, 0, 0, 0].tolist() == [6, 7, 8, 9]
    assert data.labels[division.validation].tolist() == [0, 0, 1, 1]
    assert data.test_images[:, 0, 0, 0].tolist() == [10, 11]
    assert division.test is None


def test_train_and_val_alone_keep_a_share_of_train_for_the_test_part(tmp_path) -> None:
    for part, count in (("train", 10), ("val", 2)):
        for name in ("cat", "dog"):
            for number in range(count):
                save(tmp_path / part / name / f"{number}.png")
    division = divide(load(f"folder:{tmp_path}"), Split())
    assert (len(division.train), len(division.validation)) == (18, 4)
    assert division.test is not None
    assert len(division.test) == 2


def test_images_that_are_deeper_in_a_class_are_of_that_class(tmp_path) -> None:
    for name in ("cat/2020/a.png", "cat/2021/may/a.png", "dog/a.png"):
        save(tmp_path / name)
    assert load(f"folder:{tmp_path}").labels.tolist() == [0, 0, 1]


def test_a_class_may_be_called_train(tmp_path) -> None:
    for name in ("car", "train"):
        save(tmp_path / name / "a.png")
    assert load(f"folder:{tmp_path}").classes == ("car", "train")


def test_a_folder_beside_the_parts_is_passed_over_aloud(tmp_path) -> None:
    for name in ("train/cat", "train/dog", "extra/cat", "test"):
        save(tmp_path / name / "a.png")
    with pytest.warns(UserWarning, match="passed over 2 entries: 2 outside the classes"):
        data = load(f"folder:{tmp_path}")
    assert (len(data.images), data.test_images) == (2, None)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("val/cat", "val/dog", "test/cat", "test/dog"), "holds test and val but no train"),
        (("train/cat", "train/dog", "val/cat", "val/dog", "valid/cat"), "one folder is the validation part"),
        (("train/cat", "train/dog", "test/cat", "test/dog", "test/owl"), "class 'owl' is in test but not in train"),
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path, names, said) -> None:
    for name in names:
        save(tmp_path / name / "a.png")
    assert said in refused(tmp_path)


@pytest.mark.parametrize("name", ["猫", "chat_été", "γάτα", "cat\udcff", "кот и пёс"])
def test_classes_have_names_in_any_script(tmp_path, name) -> None:
    for folder in (name, "dog"):
        save(tmp_path / folder / "a.png")
    data = load(f"folder:{tmp_path}")
    assert len(data.classes) == 2
    assert "\n".join(data.classes).encode()
    assert data.identity == load(f"folder:{tmp_path}").identity


def test_an_accent_written_in_two_ways_is_one_class(tmp_path) -> None:
    for part, form in (("train", "NFC"), ("test", "NFD")):
        for name in ("été", "dog"):
            save(tmp_path / part / unicodedata.normalize(form, name) / "a.png")
    assert load(f"folder:{tmp_path}").classes == ("dog", "été")


def test_a_link_that_leads_back_ends(cats_and_dogs) -> None:
    (cats_and_dogs / "cat" / "again").symlink_to(cats_and_dogs)
    assert len(load(f"folder:{cats_and_dogs}").images) == 5


def test_train_and_test_must_hold_the_same_classes(tmp_path) -> None:
    for name in ("train/cat", "train/dog", "train/owl", "test/cat", "test/dog"):
        save(tmp_path / name / "a.png")
    assert "class 'owl' is in train but not in test" in refused(tmp_path)


def test_images_of_any_size_keep_their_aspect(tmp_path) -> None:
    # Left, middle and right third differ: what is squeezed rather than cropped would show all three.
    bands = np.repeat(np.uint8([[10, 10, 200, 200, 90, 90]]), 2, axis=0).repeat(10, 0).repeat(10, 1)
    for name in ("cat/a.png", "cat/c.png", "dog/a.png"):
        save(tmp_path / name, Image.fromarray(bands))
    save(tmp_path / "cat" / "b.png", Image.fromarray(bands.T))
    save(tmp_path / "dog" / "b.jpg", Image.fromarray(bands.repeat(20, 0).repeat(20, 1)).convert("RGB"))
    save(tmp_path / "dog" / "c.png", picture(size=(1, 1), value=200))
    data = load(f"folder:{tmp_path}")
    squares = resize(data.images, 8)
    assert squares.shape == (6, 8, 8, 3)
    assert np.abs(squares.astype(int) - 200).max() <= 15
    prepared = prepare(data, Split(validation=0.3, test=0.2), 8, "validation")
    assert prepared.train_images.shape[1:] == (8, 8, 3)


def test_images_in_a_test_part_of_another_size_are_read(tmp_path) -> None:
    for name in ("train/cat", "train/dog", "test/cat"):
        save(tmp_path / name / "a.png")
    save(tmp_path / "test" / "dog" / "a.png", picture(size=(9, 9)))
    data = load(f"folder:{tmp_path}")
    assert data.test_images is not None
    assert (resize(data.test_images, 4) == 7).all()


def test_a_folder_without_classes_says_where_images_lie(tmp_path) -> None:
    save(tmp_path / "a.png")
    assert "holds no folders of images" in refused(tmp_path)


def test_one_class_is_too_few(tmp_path) -> None:
    save(tmp_path / "cat" / "a.png")
    assert "holds one class, 'cat'" in refused(tmp_path)


def test_an_empty_class_is_named(cats_and_dogs) -> None:
    (cats_and_dogs / "owl").mkdir()
    (cats_and_dogs / "owl" / "README").touch()
    assert f"class folder {cats_and_dogs}/owl holds no images" in refused(cats_and_dogs)


def test_grey_and_colour_together_are_colour(cats_and_dogs) -> None:
    save(cats_and_dogs / "dog" / "b.png", Image.new("RGB", (6, 5), (1, 2, 3)))
    images = load(f"folder:{cats_and_dogs}").images
    assert images[3, 0, 0].tolist() == [1, 2, 3]
    assert images[4, 0, 0].tolist() == [4, 4, 4]


def test_what_reading_changes_is_counted_in_one_warning_each(cats_and_dogs) -> None:
    save(cats_and_dogs / "dog" / "b.png", Image.new("LA", (6, 5), (9, 0)))
    for name in ("cat/a.png", "cat/b.png"):
        save(cats_and_dogs / name, Image.fromarray(np.arange(30, dtype=np.uint16).reshape(5, 6)))
    with pytest.warns(UserWarning) as warned:
        images = load(f"folder:{cats_and_dogs}").images
    assert images[0].min() == 0
    assert images[0].max() == 255
    assert (images[3] == 255).all()
    assert sorted(str(warning.message).partition(": ")[2] for warning in warned) == [
        "1 image with transparency: composited on white",
        "2 images of more than 8 bits: the range of values is scaled to 0..255",
    ]


def test_cam_and_folders_read_by_one_function(tmp_path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 2**16, (96, 96)).astype(np.uint16)
    for name in ("cat", "dog"):
        save(tmp_path / name / "a.png", Image.fromarray(pixels))
    with pytest.warns(UserWarning, match="more than 8 bits"):
        images = load(f"folder:{tmp_path}").images
    assert isinstance(images, np.ndarray)
    with pytest.warns(UserWarning, match=r"a.png: a picture of more than 8 bits: the range of values is scaled"):
        seen = read_picture(tmp_path / "cat" / "a.png", 64)
    assert np.array_equal(seen[..., :1], images[0, 16:80, 16:80])


def test_a_file_that_is_no_image_is_named(cats_and_dogs) -> None:
    for content in (b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 5\n"):
        (cats_and_dogs / "dog" / "b.png").write_bytes(content)
        assert f"{cats_and_dogs}/dog/b.png cannot be read as an image (not an image)" in refused(cats_and_dogs)


def test_a_pipe_is_passed_over_rather_than_waited_for(cats_and_dogs) -> None:
    os.mkfifo(cats_and_dogs / "cat" / "pipe.png")
    with pytest.warns(UserWarning, match="passed over 1 entry: 1 hidden or special"):
        assert len(load(f"folder:{cats_and_dogs}").images) == 5


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
        assert "b.png cannot be read as an image (it claims more than" in said
        assert "pixels" in said


def test_more_images_than_memory_holds_are_refused_before_they_are_decoded(tmp_path, monkeypatch) -> None:
    for name in ("cat", "dog"):
        save(tmp_path / name / "a.png", picture(size=(100, 100)))
        save(tmp_path / name / "b.png", picture(size=(50, 100)))
    images = load(f"folder:{tmp_path}").images
    monkeypatch.setattr("scaling_search.data.encoded.os.sysconf", lambda name: 100)
    with pytest.raises(UserError, match="of memory"):
        resize(images, 64)


def test_images_of_one_size_that_take_much_memory_stay_encoded(cats_and_dogs, monkeypatch) -> None:
    whole = load(f"folder:{cats_and_dogs}").images
    monkeypatch.setattr("scaling_search.data.listing.DECODED_AT_ONCE", 100)
    data = load(f"folder:{cats_and_dogs}")
    assert isinstance(data.images, EncodedImages)
    assert np.array_equal(resize(data.images, 4), resize(whole, 4))
    assert data.identity == load(f"folder:{cats_and_dogs}").identity


def test_a_worker_is_sent_names_rather_than_pixels(cats_and_dogs, monkeypatch) -> None:
    monkeypatch.setattr("scaling_search.data.listing.DECODED_AT_ONCE", 0)
    data = load(f"folder:{cats_and_dogs}")
    assert isinstance(data.images, EncodedImages)
    before = resize(data.images, 64)
    sent = pickle.dumps(data)
    assert len(sent) < before.nbytes / 4
    assert np.array_equal(resize(pickle.loads(sent).images, 64), before)


def test_an_image_that_is_gone_when_it_is_needed_is_named(cats_and_dogs, monkeypatch) -> None:
    monkeypatch.setattr("scaling_search.data.listing.DECODED_AT_ONCE", 0)
    data = load(f"folder:{cats_and_dogs}")
    (cats_and_dogs / "dog" / "b.png").unlink()
    with pytest.raises(UserError, match=r"dog/b.png can no longer be read \(No such file"):
        resize(data.images, 4)


def test_bad_files_are_each_named_and_refused_together(cats_and_dogs) -> None:
    for name in ("cat/a.png", "dog/b.png"):
        (cats_and_dogs / name).write_bytes(b"no image")
    with pytest.warns(UserWarning) as warned:
        said = refused(cats_and_dogs)
    assert "cat/a.png cannot be read as an image (not an image), and 1 more" in said
    assert "--on-bad-data skip" in said
    assert [Path(str(warning.message).split()[0]).name for warning in warned] == ["a.png", "b.png"]


def test_bad_files_are_skipped_where_that_is_asked_for(cats_and_dogs) -> None:
    (cats_and_dogs / "dog" / "b.png").write_bytes(b"no image")
    with pytest.warns(UserWarning) as warned:
        data = load(f"folder:{cats_and_dogs}", "skip")
    assert data.labels.tolist() == [0, 0, 1, 1]
    assert isinstance(data.images, np.ndarray)
    assert data.images[:, 0, 0, 0].tolist() == [0, 1, 2, 4]
    assert len(warned) == 2
    assert "1 file skipped" in str(warned[1].message)


def test_a_class_of_bad_files_alone_is_refused_all_the_same(cats_and_dogs) -> None:
    for name in ("a.png", "b.png"):
        (cats_and_dogs / "cat" / name).write_bytes(b"no image")
    with pytest.warns(UserWarning), pytest.raises(UserError, match="no image of class 'cat' in the train part"):
        load(f"folder:{cats_and_dogs}", "skip")


def test_a_folder_that_may_not_be_read_is_named(cats_and_dogs, monkeypatch) -> None:
    def forbidden(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("scaling_search.data.folder.os.scandir", forbidden)
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
