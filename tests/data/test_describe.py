"""What data hold, and the sheet of what a network sees of them."""

import numpy as np
import pytest
from PIL import Image

from scaling_search.config import Split
from scaling_search.data import from_arrays, load
from scaling_search.data.describe import contact_sheet, describe
from scaling_search.errors import UserError
from scaling_search.recipe import Recipe


def test_digits_are_described_with_the_split_that_is_used() -> None:
    found = describe(load("digits"), Split())
    assert (found["images"], found["size"], found["channels"], found["skipped"]) == (1797, "8x8", 1, 0)
    assert found["split"] == "55 % validation, 20 % test, the rest training"
    assert found["bytes"] == 1797 * 64
    assert [row["class"] for row in found["classes"]] == list("0123456789")
    for part, total in (("train", 450), ("validation", 988), ("test", 359)):
        assert sum(row[part] for row in found["classes"]) == total


def test_data_of_different_sizes_with_parts_of_their_own_are_described(tmp_path) -> None:
    for part, count in (("train", 3), ("val", 1), ("test", 2)):
        for name in ("cat", "dog"):
            for number in range(count):
                file = tmp_path / part / name / f"{number}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB" if number < 2 else "P", ((5, 3), (4, 4), (4, 5))[number]).save(file)
    found = describe(load(f"folder:{tmp_path}"), Split())
    assert (found["images"], found["size"], found["channels"]) == (12, "5x3 to 4x4", 3)
    assert found["modes"] == "RGB 10, P 2"
    assert found["bytes"] == sum(file.stat().st_size for file in tmp_path.rglob("*.png"))
    assert found["split"] == "its own validation part, its own test part, the rest training"
    assert found["classes"][1] == {"class": "dog", "train": 3, "validation": 1, "test": 2}


def test_files_that_are_not_there_take_no_bytes(tmp_path) -> None:
    for number in range(6):
        Image.new("RGB", (number + 2, 3)).save(tmp_path / f"{number}.png")
    table = tmp_path / "table.csv"
    table.write_text("path,label\n" + "".join(f"{number}.png,{number % 2}\n" for number in range(7)))
    with pytest.warns(UserWarning, match="No such file|1 file skipped"):
        found = describe(load(f"csv:{table}", on_bad="skip"), Split())
    assert found["skipped"] == 1
    assert found["bytes"] == sum(file.stat().st_size for file in tmp_path.glob("*.png"))


def test_a_sheet_shows_training_images_of_each_class_in_turn() -> None:
    labels = np.arange(90) % 3
    images = np.broadcast_to((labels * 100).astype(np.uint8)[:, None, None], (90, 6, 6))
    sheet = np.asarray(contact_sheet(from_arrays(images, labels), Split(), 6, count=6))
    # Six images in three columns and two rows, between lines of white.
    assert sheet.shape == (2 * 8 + 2, 3 * 8 + 2, 3)
    tiles = [sheet[2 + 8 * row, 2 + 8 * column, 0] for row in range(2) for column in range(3)]
    assert tiles == [0, 0, 100, 100, 200, 200]


def test_a_sheet_shows_what_augmentation_does_and_floats_over_their_range() -> None:
    images = np.random.default_rng(0).normal(size=(40, 16, 16)).astype(np.float32)
    data = from_arrays(images, np.arange(40) % 2)
    plain, moved = (
        np.asarray(contact_sheet(data, Split(), 16, recipe=Recipe(augment=kind))) for kind in ("none", "shift")
    )
    assert plain.shape == moved.shape
    assert not np.array_equal(plain, moved)
    assert plain.min() == 0


def test_a_sheet_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="at least 1"):
        contact_sheet(load("digits"), Split(), 8, count=0)
