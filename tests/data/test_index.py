"""The index of images: what is kept, when it is believed, and that it never costs more than time."""

import os
import time
from pathlib import Path

import pytest
from PIL import Image

from scaling_search.data import index, load
from scaling_search.data.encoded import Files
from scaling_search.data.index import index_files, inspect

OLD = 1_600_000_000


@pytest.fixture
def files(tmp_path, monkeypatch) -> Files:
    monkeypatch.setattr(index, "WORTH_KEEPING", 2)
    root = tmp_path / "images"
    root.mkdir()
    for number in range(3):
        Image.new("L", (number + 1, 2), number).save(root / f"{number}.png")
        os.utime(root / f"{number}.png", (OLD, OLD))
    (root / "3.jpg").write_bytes(b"no image")
    os.utime(root / "3.jpg", (OLD, OLD))
    return Files(str(root), ("0.png", "1.png", "2.png", "3.jpg"))


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """Names of the files that were read."""
    names: list[str] = []
    real = Files.read

    def read(files: Files, number: int) -> bytes:
        names.append(files.paths[number])
        return real(files, number)

    monkeypatch.setattr(Files, "read", read)
    return names


def test_files_that_have_not_changed_are_not_opened_again(files, opened, tmp_path) -> None:
    first = index_files(files, tmp_path / "kept")
    assert opened == list(files.paths)
    opened.clear()
    assert index_files(files, tmp_path / "kept") == first
    assert opened == []
    assert [(entry.width, entry.height, entry.channels) for entry in first[:3]] == [(1, 2, 1), (2, 2, 1), (3, 2, 1)]
    assert first[3].problem == "not an image"


def test_a_file_that_is_new_or_changed_is_read_alone(files, opened, tmp_path) -> None:
    first = index_files(files, tmp_path / "kept")
    root = Path(files.root)
    Image.new("L", (2, 2), 99).save(root / "1.png")
    Image.new("L", (9, 9), 1).save(root / "new.png")
    opened.clear()
    again = index_files(Files(files.root, (*files.paths, "new.png")), tmp_path / "kept")
    assert opened == ["1.png", "new.png"]
    assert again[0] == first[0]
    assert again[1].digest != first[1].digest
    assert again[4].width == 9


def test_a_file_that_had_just_changed_is_read_again_though_its_time_is_the_same(files, opened, tmp_path) -> None:
    just_now = time.time_ns() + 60 * 10**9
    os.utime(Path(files.root) / "1.png", ns=(just_now, just_now))
    first = index_files(files, tmp_path / "kept")
    # As long, and of the same time: only its content tells.
    Image.new("L", (2, 2), 51).save(Path(files.root) / "1.png")
    os.utime(Path(files.root) / "1.png", ns=(just_now, just_now))
    opened.clear()
    assert index_files(files, tmp_path / "kept")[1].digest != first[1].digest
    assert opened == ["1.png"]


@pytest.mark.parametrize("content", [b"", b"no table", b"PAR1" * 9])
def test_a_broken_index_is_made_again(files, tmp_path, content) -> None:
    first = index_files(files, tmp_path)
    kept = next(tmp_path.glob("*.parquet"))
    kept.write_bytes(content)
    assert index_files(files, tmp_path) == first
    assert len(kept.read_bytes()) > 100


def test_an_index_of_another_reader_is_not_believed(files, opened, tmp_path, monkeypatch) -> None:
    index_files(files, tmp_path)
    opened.clear()
    monkeypatch.setattr(index, "READER_VERSION", 10**6)
    index_files(files, tmp_path)
    assert opened == list(files.paths)


def test_an_index_that_cannot_be_written_costs_nothing_but_time(files, tmp_path) -> None:
    (tmp_path / "file").touch()
    assert len(index_files(files, tmp_path / "file" / "below")) == 4


def test_few_files_leave_no_index_behind(files, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(index, "WORTH_KEEPING", 5)
    index_files(files, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_names_that_are_no_text_are_indexed(files, tmp_path) -> None:
    name = os.fsdecode(b"\xff.png")
    (Path(files.root) / name).write_bytes((Path(files.root) / "0.png").read_bytes())
    both = Files(files.root, ("0.png", name))
    assert index_files(both, tmp_path / "kept") == index_files(both, tmp_path / "kept")


def test_data_opened_by_the_index_have_the_same_identity(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(index, "WORTH_KEEPING", 2)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, size in (("cat/a", 3), ("cat/b", 4), ("dog/a", 5)):
        file = tmp_path / "pets" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (size, 4), size).save(file)
        os.utime(file, (OLD, OLD))
    first = load(f"folder:{tmp_path}/pets").identity
    assert len(list((tmp_path / "cache").rglob("*.parquet"))) == 1
    assert load(f"folder:{tmp_path}/pets").identity == first
    Image.new("L", (3, 4), 77).save(tmp_path / "pets" / "cat" / "a.png")
    assert load(f"folder:{tmp_path}/pets").identity != first


def test_what_is_known_of_an_image_follows_from_its_bytes(tmp_path) -> None:
    Image.new("RGBA", (5, 3), (0, 0, 0, 0)).save(tmp_path / "a.png")
    entry = inspect((tmp_path / "a.png").read_bytes())
    assert (entry.width, entry.height, entry.channels, len(entry.remarks)) == (5, 3, 3, 1)
    assert inspect(b"").problem == "not an image"
