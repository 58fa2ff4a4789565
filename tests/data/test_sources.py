"""Where images come from: names of sources, and arrays handed over in Python."""

import subprocess
import sys

import numpy as np
import pytest

from scaling_search.data import ImageData, from_arrays, load
from scaling_search.errors import UserError


def some(count: int = 6, *shape: int) -> np.ndarray:
    shape = shape or (4, 4, 1)
    return np.random.default_rng(0).integers(0, 256, (count, *shape)).astype(np.uint8)


LABELS = [0, 1, 2, 0, 1, 2]


def test_digits_are_1797_grey_images_of_8_by_8_over_the_whole_range() -> None:
    data = load("digits")
    assert data.images.shape == (1797, 8, 8, 1)
    assert data.images.dtype == np.uint8
    assert (data.images.min(), data.images.max()) == (0, 255)
    assert data.labels.shape == (1797,)
    assert data.labels.dtype == np.int32
    assert data.classes == tuple("0123456789")
    assert data.num_classes == 10
    assert data.test_images is None


def test_the_digits_have_one_identity_on_every_machine() -> None:
    assert load("digits").identity == "digits:3fffa31b79d7"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("digit", "did you mean digits?"),
        ("Digits", "did you mean digits?"),
        ("fodler:photos", "did you mean folder:DIR?"),
        ("idx", "did you mean idx:DIR?"),
        ("cifar10", "digits, glyphs or glyphs:COUNT, cluttered_glyphs or cluttered_glyphs:COUNT, idx:DIR"),
        ("", "idx:DIR"),
        ("folder:", "names no file or folder"),
        ("idx:/no/such/place", "there is no folder /no/such/place"),
        ("folder:~nobody-of-that-name/x", "there is no user"),
    ],
)
def test_an_unknown_source_is_said_with_what_is_allowed(source: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        load(source)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_bare_folder_is_told_which_source_it_would_be(tmp_path) -> None:
    with pytest.raises(UserError, match=f"try folder:{tmp_path}"):
        load(str(tmp_path))
    (tmp_path / "train-images-idx3-ubyte.gz").touch()
    with pytest.raises(UserError, match=f"try idx:{tmp_path}"):
        load(str(tmp_path))


def test_a_file_where_a_folder_is_needed_is_named(tmp_path) -> None:
    archive = tmp_path / "photos.zip"
    archive.touch()
    with pytest.raises(UserError, match=r"photos.zip is a file.*unpack"):
        load(f"folder:{archive}")


def test_importing_the_data_room_loads_neither_jax_nor_pillow_nor_scikit_learn() -> None:
    code = (
        "import sys, scaling_search.data; print(sorted({'jax', 'PIL', 'sklearn', 'ray', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("labels", [LABELS, np.array(LABELS, np.int64), np.array(LABELS, np.uint8), np.c_[LABELS]])
def test_labels_of_any_whole_type_become_int32(labels) -> None:
    data = from_arrays(some(), labels)
    assert data.labels.dtype == np.int32
    assert data.labels.tolist() == LABELS
    assert data.classes == ("0", "1", "2")


def test_images_without_channels_are_grey() -> None:
    assert from_arrays(some(6, 5, 4), LABELS).images.shape == (6, 5, 4, 1)


def test_bytes_are_not_copied_and_floats_become_float32() -> None:
    images = some()
    assert np.shares_memory(from_arrays(images, LABELS).images, images)
    assert from_arrays(images / 255, LABELS).images.dtype == np.float32
    assert from_arrays(images.astype(np.float16), LABELS).images.dtype == np.float32


def test_lists_are_taken_as_arrays() -> None:
    assert from_arrays((some() / 255).tolist(), LABELS).images.shape == (6, 4, 4, 1)


def test_a_test_split_of_its_own_is_kept() -> None:
    data = from_arrays(some(), LABELS, classes=["a", "b", "c"], test=(some(2), [0, 2]))
    assert data.test_images is not None
    assert data.test_labels is not None
    assert data.test_images.shape == (2, 4, 4, 1)
    assert data.test_labels.tolist() == [0, 2]
    assert data.classes == ("a", "b", "c")


NAN = np.where(np.arange(6)[:, None, None] == 3, np.nan, np.zeros((6, 4, 4)))


@pytest.mark.parametrize(
    ("images", "labels", "options", "said"),
    [
        (some(5), LABELS, {}, "labels are 6, but there are 5 images"),
        (some(0), [], {}, "empty"),
        (some(6, 0, 4, 1), LABELS, {}, "empty"),
        (some(), [0] * 6, {}, "at least two classes"),
        (some(), [-1, 0, 1, 0, 1, 0], {}, "go down to -1"),
        (some(), [1, 2, 3, 1, 2, 3], {}, "no image has label 0"),
        (some(), [0, 1, 3, 0, 1, 3], {}, "no image has label 2"),
        (some(), [0, 1, 10**12, 0, 1, 2], {}, "go up to 1000000000000"),
        (some(), [0, 1, 10**9, 0, 1, 2], {}, "no image has label 3"),
        (some(), np.eye(3)[LABELS], {}, r"one-hot.*argmax"),
        (some(), np.array(LABELS, float), {}, r"astype\(int\)"),
        (some(), ["cat", "dog", "cow", "cat", "dog", "cow"], {}, "np.unique"),
        (some(), LABELS, {"classes": ["a", "b"]}, "with 2 classes labels are 0..1"),
        (some(), LABELS, {"classes": ["a", "b", "c", "d"]}, "no image has label 3"),
        (some(), LABELS, {"classes": ["a", "b", "a"]}, "names that differ"),
        (some(), LABELS, {"classes": "abc"}, "names that differ"),
        (NAN, LABELS, {}, "number 3 holds NaN"),
        (NAN * 0 + np.inf, LABELS, {}, "not all finite"),
        (np.full((6, 4, 4), 1e300), LABELS, {}, "not all finite"),
        (some().astype(int), LABELS, {}, "uint8"),
        (some(6, 16), LABELS, {}, "shape"),
        (some(6, 4, 4, 4), LABELS, {}, "C 1"),
        (some(6, 3, 8, 8), LABELS, {}, "moveaxis"),
        ([np.zeros((4, 4)), np.zeros((5, 5))], [0, 1], {}, "differ in shape"),
        (some(), LABELS, {"test": (some(2, 5, 5, 1), [0, 1])}, "test images are 5 x 5 x 1 uint8 each"),
        (some(), LABELS, {"test": (some(2) / 255, [0, 1])}, "test images are 4 x 4 x 1 float32 each"),
        (some(), LABELS, {"test": (some(2), [0, 7])}, "a test image has label 7"),
        (some(), LABELS, {"test": (some(2), [0])}, "test labels are 1, but there are 2 images"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_in_one_line(images, labels, options, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        from_arrays(images, labels, name="mine", **options)
    assert str(error.value).startswith("mine: ")
    assert "\n" not in str(error.value)


def test_identity_is_of_the_content_not_of_the_object() -> None:
    assert from_arrays(some(), LABELS, name="x").identity == from_arrays(some().copy(), LABELS, name="x").identity
    assert from_arrays(np.asfortranarray(some()), LABELS).identity == from_arrays(some(), LABELS).identity


def test_identity_changes_with_a_pixel_a_label_a_class_or_the_test_split() -> None:
    pixel = some()
    pixel[2, 1, 1] ^= 1
    several: list[ImageData] = [
        from_arrays(some(), LABELS),
        from_arrays(pixel, LABELS),
        from_arrays(some().reshape(6, 2, 8, 1), LABELS),
        from_arrays(some().astype(float), LABELS),
        from_arrays(some(), LABELS[::-1]),
        from_arrays(some(), LABELS, classes=["a", "b", "c"]),
        from_arrays(some(), LABELS, test=(some(2), [0, 1])),
        from_arrays(some(), LABELS, test=(some(2), [1, 0])),
    ]
    assert len({data.identity for data in several}) == len(several)
    assert all(data.identity.startswith("arrays:") and len(data.identity) == 7 + 12 for data in several)
