"""The index of images: what is kept, when it is believed, and that it never costs more than time."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scaling_search.data import index, load
from scaling_search.data.encoded import Files
from scaling_search.data.index import Index, index_files, index_of, inspect

OLD = 1_600_000_000


def same(one: Index, other: Index) -> bool:
    arrays = ("digests", "sizes", "channels", "modes")
    equal = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays)
    return equal and one.remarks == other.remarks and one.problems == other.problems


def fresh(files: Files) -> Index:
    return index_of(inspect(files.read(number)) for number in range(len(files)))


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
    assert sorted(opened) == list(files.paths)
    opened.clear()
    assert same(index_files(files, tmp_path / "kept"), first)
    assert opened == []
    assert first.sizes.tolist() == [[1, 2], [2, 2], [3, 2], [0, 0]]
    assert first.channels.tolist() == [1, 1, 1, 0]
    assert first.modes.tolist() == [b"L", b"L", b"L", b""]
    assert first.problems == {3: "not an image"}


def test_a_file_that_is_new_or_changed_is_read_alone(files, opened, tmp_path) -> None:
    first = index_files(files, tmp_path / "kept")
    root = Path(files.root)
    Image.new("L", (2, 2), 99).save(root / "1.png")
    Image.new("L", (9, 9), 1).save(root / "new.png")
    opened.clear()
    again = index_files(Files(files.root, (*files.paths, "new.png")), tmp_path / "kept")
    assert sorted(opened) == ["1.png", "new.png"]
    assert np.array_equal(again.digests[0], first.digests[0])
    assert not np.array_equal(again.digests[1], first.digests[1])
    assert again.sizes[4].tolist() == [9, 9]


def test_the_index_is_what_reading_every_file_would_find_whatever_happened_to_them(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(index, "WORTH_KEEPING", 2)
    monkeypatch.setattr(index, "_AT_ONCE", 3)
    monkeypatch.setattr(index, "SAVED_EVERY", 6)
    rng, root, kept = np.random.default_rng(0), tmp_path / "images", tmp_path / "kept"
    root.mkdir()
    changed = OLD
    for _ in range(12):
        for number in rng.choice(20, 6):
            file = root / f"{number}.png"
            what = rng.integers(4)
            if what == 0:
                file.unlink(missing_ok=True)
            elif what == 1:
                file.write_bytes(rng.bytes(3))
            else:
                mode = ("L", "RGBA")[what - 2]
                Image.new(mode, tuple(rng.integers(1, 9, 2).tolist()), int(rng.integers(99))).save(file)
            if file.exists():
                changed += 1
                os.utime(file, (changed, changed))
        files = Files(str(root), tuple(rng.permutation(sorted(file.name for file in root.iterdir())).tolist()))
        assert same(index_files(files, kept), fresh(files))
        assert same(index_files(files, kept), fresh(files))


def test_what_was_read_before_an_interruption_is_not_read_again(files, opened, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(index, "_AT_ONCE", 1)
    monkeypatch.setattr(index, "SAVED_EVERY", 1)
    monkeypatch.setattr(index, "cores", lambda: 1)
    real = Files.read

    def interrupted(of: Files, number: int) -> bytes:
        if number == 2:
            raise KeyboardInterrupt
        return real(of, number)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Files, "read", interrupted)
        index_files(files, tmp_path / "kept")
    opened.clear()
    assert same(index_files(files, tmp_path / "kept"), fresh(files))
    assert opened[:2] == ["2.png", "3.jpg"]


def test_a_file_that_had_just_changed_is_read_again_though_its_time_is_the_same(files, opened, tmp_path) -> None:
    just_now = time.time_ns() + 60 * 10**9
    os.utime(Path(files.root) / "1.png", ns=(just_now, just_now))
    first = index_files(files, tmp_path / "kept")
    # As long, and of the same time: only its content tells.
    Image.new("L", (2, 2), 51).save(Path(files.root) / "1.png")
    os.utime(Path(files.root) / "1.png", ns=(just_now, just_now))
    opened.clear()
    assert not np.array_equal(index_files(files, tmp_path / "kept").digests[1], first.digests[1])
    assert opened == ["1.png"]


@pytest.mark.parametrize("content", [b"", b"no table", b"PAR1" * 9])
def test_a_broken_index_is_made_again(files, tmp_path, content) -> None:
    first = index_files(files, tmp_path)
    kept = next(tmp_path.glob("*.parquet"))
    kept.write_bytes(content)
    assert same(index_files(files, tmp_path), first)
    assert len(kept.read_bytes()) > 100


def test_an_index_of_another_reader_is_not_believed(files, opened, tmp_path, monkeypatch) -> None:
    index_files(files, tmp_path)
    opened.clear()
    monkeypatch.setattr(index, "READER_VERSION", 10**6)
    index_files(files, tmp_path)
    assert sorted(opened) == list(files.paths)


def test_an_index_that_cannot_be_written_costs_nothing_but_time(files, tmp_path) -> None:
    (tmp_path / "file").touch()
    assert len(index_files(files, tmp_path / "file" / "below")) == 4


def test_a_file_that_could_not_be_opened_is_tried_again(files, tmp_path, monkeypatch) -> None:
    def denied(of: Files, number: int) -> bytes:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Files, "read", denied)
        assert index_files(files, tmp_path / "kept").problems == dict.fromkeys(range(4), "Permission denied")
    assert same(index_files(files, tmp_path / "kept"), fresh(files))


def test_few_files_leave_no_index_behind(files, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(index, "WORTH_KEEPING", 5)
    index_files(files, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_names_that_are_no_text_are_indexed(files, tmp_path) -> None:
    name = os.fsdecode(b"\xff.png")
    (Path(files.root) / name).write_bytes((Path(files.root) / "0.png").read_bytes())
    both = Files(files.root, ("0.png", name))
    assert same(index_files(both, tmp_path / "kept"), index_files(both, tmp_path / "kept"))


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
