"""IDX files: the right ones read back, the broken ones are named."""

import gzip
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaling_search.config import Split
from scaling_search.data import divide, load
from scaling_search.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 5, 4)).astype(np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2], np.uint8)
FASHION = Path("/usr/share/datasets/fashion-mnist")


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write(directory: Path, part: str = "train", *, pack: bool = True, dash: str = "-", count: int = 6) -> Path:
    ending = ".gz" if pack else ""
    for what, array in (("images", IMAGES[:count]), ("labels", LABELS[:count])):
        content = idx_bytes(array)
        file = directory / f"{part}-{what}{dash}idx{array.ndim}-ubyte{ending}"
        file.write_bytes(gzip.compress(content) if pack else content)
    return directory


@pytest.mark.parametrize("pack", [True, False])
@pytest.mark.parametrize("dash", ["-", "."])
def test_files_read_back_gzipped_or_not_spelt_with_a_dash_or_a_dot(tmp_path, pack, dash) -> None:
    write(tmp_path, pack=pack, dash=dash)
    data = load(f"idx:{tmp_path}")
    assert np.array_equal(data.images[..., 0], IMAGES)
    assert np.array_equal(data.labels, LABELS)
    assert data.classes == ("0", "1", "2")
    assert data.test_images is None


def test_the_t10k_files_are_the_test_split(tmp_path) -> None:
    write(tmp_path)
    write(tmp_path, "t10k", pack=False, count=2)
    data = load(f"idx:{tmp_path}")
    assert data.test_images is not None
    assert data.test_labels is not None
    assert data.test_images.shape == (2, 5, 4, 1)
    assert data.test_labels.tolist() == [0, 1]


@pytest.mark.parametrize("first", [1, 0, 7])
def test_labels_need_not_count_from_0_nor_without_gaps(tmp_path, first) -> None:
    labels = (LABELS * 2 + first).astype(np.uint8)
    for part in ("train", "t10k"):
        write(tmp_path, part, pack=False)
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    data = load(f"idx:{tmp_path}")
    assert data.labels.tolist() == LABELS.tolist()
    assert data.classes == (str(first), str(first + 2), str(first + 4))
    assert data.test_labels is not None
    assert data.test_labels.tolist() == LABELS.tolist()


def test_a_test_label_that_training_lacks_is_said(tmp_path) -> None:
    for part in ("train", "t10k"):
        write(tmp_path, part, pack=False)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(LABELS + np.uint8(1)))
    with pytest.raises(UserError, match="t10k-labels-idx1-ubyte holds the label 3; the training labels are 0, 1, 2"):
        load(f"idx:{tmp_path}")


@pytest.mark.parametrize(
    "pattern",
    [
        "train-images.idx3-ubyte",
        "Train-Images-IDX3-UByte",
        "TRAIN-IMAGES-IDX3-UBYTE.GZ",
        "train_images_idx3_ubyte",
        "train-images.idx3",
        "train-images-idx3-ubyte.idx",
        "train-images-idx3-ubyte (1).gz",
        "training-images-idx3-ubyte",
        "emnist-letters-train-images-idx3-ubyte",
        "emnist-letters-train-images-idx3-ubyte.gz",
        "kmnist-train-images-idx3-ubyte.gz",
    ],
)
@pytest.mark.parametrize("test_part", ["t10k", "test"])
def test_the_names_of_peoples_copies_are_known(tmp_path, pattern, test_part) -> None:
    def name(part: str, what: str, dimensions: int) -> str:
        renamed = re.sub("training|train", part, pattern, flags=re.IGNORECASE) if part != "train" else pattern
        renamed = re.sub("images", what, renamed, flags=re.IGNORECASE)
        return re.sub("idx3", f"idx{dimensions}", renamed, flags=re.IGNORECASE)

    for part in ("train", test_part):
        (tmp_path / name(part, "images", 3)).write_bytes(idx_bytes(IMAGES))
        (tmp_path / name(part, "labels", 1)).write_bytes(idx_bytes(LABELS))
    data = load(f"idx:{tmp_path}")
    assert len(data.images) == 6
    assert data.test_images is not None


def test_a_validation_part_is_the_datas_own(tmp_path) -> None:
    write(tmp_path)
    write(tmp_path, "val", count=3)
    assert divide(load(f"idx:{tmp_path}"), Split(test=0.34)).validation.tolist() == [6, 7, 8]


def test_of_several_sets_in_a_folder_one_is_asked_for(tmp_path) -> None:
    for name, count in (("emnist-letters-train", 6), ("emnist-letters-test", 3), ("emnist-digits-train", 5)):
        write(tmp_path, name, count=count)
    with pytest.raises(UserError, match=f"several sets: emnist-digits, emnist-letters;.*try idx:{tmp_path}/emnist-d"):
        load(f"idx:{tmp_path}")
    data = load(f"idx:{tmp_path}/emnist-letters")
    assert (data.name, len(data.images)) == ("emnist-letters", 6)
    assert data.test_images is not None


def test_a_file_and_its_gzipped_copy_are_one(tmp_path) -> None:
    write(tmp_path)
    write(tmp_path, pack=False)
    assert len(load(f"idx:{tmp_path}").images) == 6


def test_a_file_that_was_unpacked_but_kept_its_name_is_read(tmp_path) -> None:
    write(tmp_path)
    file = tmp_path / "train-images-idx3-ubyte.gz"
    file.write_bytes(gzip.decompress(file.read_bytes()))
    assert np.array_equal(load(f"idx:{tmp_path}").images[..., 0], IMAGES)


def test_the_way_to_the_folder_is_not_part_of_the_identity(tmp_path, monkeypatch) -> None:
    here = tmp_path / "home" / "mine"
    here.mkdir(parents=True)
    write(here)
    (tmp_path / "link").symlink_to(here)
    monkeypatch.setenv("HOME", str(here.parent))
    monkeypatch.chdir(here)
    ways = ("idx:~/mine", f"idx:{here}/", f"idx:{tmp_path}/link", "idx:.", "idx:../mine")
    identities = {load(way).identity for way in ways}
    assert len(identities) == 1
    assert identities.pop().startswith("mine:")


def test_a_folder_without_the_files_says_what_they_are_called(tmp_path) -> None:
    with pytest.raises(UserError, match=r"holds no train-images-idx3-ubyte.*train-labels-idx1-ubyte"):
        load(f"idx:{tmp_path}")


def test_files_that_lie_deeper_are_pointed_at(tmp_path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    write(raw)
    with pytest.raises(UserError, match=f"try idx:{raw}"):
        load(f"idx:{tmp_path}")


@pytest.mark.parametrize("part", ["train", "t10k"])
@pytest.mark.parametrize("missing", ["images-idx3", "labels-idx1"])
def test_half_a_pair_is_an_error(tmp_path, part, missing) -> None:
    write(tmp_path)
    write(tmp_path, "t10k")
    (tmp_path / f"{part}-{missing}-ubyte.gz").unlink()
    with pytest.raises(UserError, match=f"no {part}-{missing}-ubyte"):
        load(f"idx:{tmp_path}")


GOOD = idx_bytes(IMAGES)
BROKEN = {
    "a gzip cut short": gzip.compress(GOOD)[:-12],
    "a gzip with a flipped byte": gzip.compress(GOOD)[:40] + b"\xff\xff" + gzip.compress(GOOD)[42:],
    "a gzip of half a file": gzip.compress(GOOD[:50]),
    "a plain file cut short": GOOD[:-1],
    "a header cut short": GOOD[:9],
    "nothing": b"",
    "bytes too many": GOOD + b"x",
    "a web page": b"<!DOCTYPE html><html></html>",
    "labels for images": idx_bytes(LABELS),
    "another type": b"\0\0\x0d\x03" + GOOD[4:],
    "a length beyond all memory": GOOD[:4] + b"\xff" * 12 + GOOD[16:],
    "the same, gzipped": gzip.compress(GOOD[:4] + b"\xff" * 12 + GOOD[16:]),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_named_in_one_line(tmp_path, content) -> None:
    write(tmp_path)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte\.gz") as error:
        load(f"idx:{tmp_path}")
    assert "\n" not in str(error.value)


def test_a_count_that_does_not_match_is_said(tmp_path) -> None:
    write(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(LABELS[:5])))
    with pytest.raises(UserError, match=r"holds 6 images but train-labels-idx1-ubyte\.gz 5 labels"):
        load(f"idx:{tmp_path}")


def test_test_images_of_another_size_are_said(tmp_path) -> None:
    write(tmp_path)
    write(tmp_path, "t10k")
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(idx_bytes(IMAGES[:, :4]))
    with pytest.raises(UserError, match="test images are 4 x 4 x 1 uint8 each, the others 5 x 4 x 1 uint8"):
        load(f"idx:{tmp_path}")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(packed=st.booleans(), position=st.integers(0, 135), value=st.integers(0, 255), cut=st.integers(0, 140))
def test_damage_of_any_kind_is_read_or_refused_but_never_a_traceback(tmp_path, packed, position, value, cut) -> None:
    write(tmp_path)
    content = bytearray(gzip.compress(GOOD) if packed else GOOD)
    content[position] = value
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(content[: len(content) - cut if cut < 30 else None])
    try:
        assert load(f"idx:{tmp_path}").images.shape[0] == 6
    except UserError as error:
        assert "train-images" in str(error)


@pytest.mark.skipif(not FASHION.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_fashion_mnist_as_debian_packages_it_is_60000_images_and_10000_to_test() -> None:
    data = load(f"idx:{FASHION}")
    assert data.images.shape == (60_000, 28, 28, 1)
    assert data.images.dtype == np.uint8
    assert data.test_images is not None
    assert data.test_images.shape == (10_000, 28, 28, 1)
    assert np.bincount(data.labels).tolist() == [6000] * 10
    assert data.classes == tuple("0123456789")
