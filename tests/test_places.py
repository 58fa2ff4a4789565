"""Folders here and elsewhere do the same, and what cannot be reached ends in one line."""

from pathlib import Path
from types import SimpleNamespace

import fsspec
import pytest

from scaling_search import places
from scaling_search.errors import UserError
from scaling_search.places import Remote, UnreachableError, contents, inside, is_url, matching, place_of, rename
from scaling_search.store import RunDirectory


@pytest.fixture
def memory(memory_store):
    """A folder in this process's memory, as fsspec has it."""
    return place_of("memory://bucket/folder")


@pytest.fixture(params=["here", "elsewhere"])
def folder(request, tmp_path):
    return tmp_path if request.param == "here" else request.getfixturevalue("memory")


@pytest.fixture
def no_pauses(monkeypatch):
    monkeypatch.setattr(places, "PAUSES", (0.0, 0.0))


def names(found):
    return [one.name for one in found]


def test_a_folder_does_the_same_here_and_elsewhere(folder):
    deep = folder / "deep"
    deep.mkdir()
    for name in ("b.json", "a.json", "c.txt"):
        (deep / name).write_bytes(name.encode())
    file = deep / "a.json"
    assert (file.name, file.stem, file.suffix, file.parent, file.with_name("x")) == (
        *("a.json", "a", ".json", deep),
        deep / "x",
    )
    assert (file.exists(), file.is_file(), file.is_dir()) == (True, True, False)
    assert (deep.exists(), deep.is_file(), deep.is_dir()) == (True, False, True)
    assert (file.read_text(encoding="utf-8"), file.stat().st_size) == ("a.json", 6)
    assert 1.7e9 < file.stat().st_mtime < 4e9
    assert names(inside(deep, "*.json")) == ["a.json", "b.json"]
    assert names(inside(folder)) == ["deep"] and names(inside(folder / "nothing")) == []
    assert sorted(names(one for one in folder.rglob("*") if one.is_file())) == ["a.json", "b.json", "c.txt"]
    assert matching(f"{folder}/*/a.json") == [file]
    file.write_bytes(b"other")
    rename(file, "a.json")
    rename(file, "b.json")
    assert [*contents(inside(deep))] == [b"other", b"c.txt"]
    (missing,) = contents([file])
    assert isinstance(missing, FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        file.read_bytes()
    file.unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        file.unlink()


def test_what_a_listing_says_is_not_asked_for_again(memory, monkeypatch):
    (memory / "a").write_bytes(b"12")
    (listed,) = inside(memory)
    monkeypatch.setattr(Remote, "_try", None)
    assert listed.is_file() and listed.stat().st_size == 2


def test_a_name_is_a_folder_here_or_a_url(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert place_of("~/runs") == tmp_path / "runs" and place_of("file:///tmp/runs") == Path("/tmp/runs")
    assert place_of(Path("runs")) == Path("runs")
    there = place_of("memory://bucket/runs/")
    assert there == Remote("memory://bucket/runs") == place_of(there)
    assert is_url("s3://bucket") and not is_url("C:/runs") and not is_url("runs/a://b")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "nowhere://bucket/runs",
            "'nowhere://bucket/runs' given: Protocol not known: nowhere; a folder, or a URL such as",
        ),
        ("s3://", "'s3://' given: it names no bucket; as in s3://BUCKET/FOLDER"),
    ],
)
def test_what_is_no_place_is_refused_in_a_line(name, line):
    with pytest.raises(UserError) as raised:
        place_of(name)
    assert str(raised.value).startswith(line)


def test_what_is_not_installed_is_named_with_how_to_install_it(monkeypatch):
    def missing(*_, **__):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "url_to_fs", missing)
    with pytest.raises(UserError) as raised:
        place_of("s3://bucket/runs")
    assert str(raised.value) == (
        "'s3://bucket/runs' given: Install s3fs to access S3; try pip install 'scaling-search[s3]'"
    )


def failing(monkeypatch, *errors, name="cat_file"):
    """Has calls fail, one error each, before they go through; returns what they were made with."""
    left, calls = list(errors), []
    files = type(fsspec.filesystem("memory"))
    call = getattr(files, name)

    def once(self, *args, **options):
        calls.append(args)
        if left:
            raise left.pop(0)
        return call(self, *args, **options)

    monkeypatch.setattr(files, name, once)
    return calls


class NoCredentialsError(Exception):
    """As botocore calls it, which has no class of errors of files."""


def test_what_may_pass_is_tried_again(memory, monkeypatch, no_pauses):
    (memory / "a").write_bytes(b"1")
    calls = failing(monkeypatch, TimeoutError("slow"), RuntimeError("503"))
    assert (memory / "a").read_bytes() == b"1" and len(calls) == 3


@pytest.mark.parametrize(
    ("error", "tries", "reason"),
    [
        (ConnectionError("gone"), 3, "gone"),
        (PermissionError("Access Denied"), 1, "Access Denied"),
        (NoCredentialsError("none"), 1, "there are no credentials for it: none"),
        (FileNotFoundError("The specified bucket does not exist"), 1, "The specified bucket does not exist"),
    ],
)
def test_what_does_not_pass_is_one_line(memory, monkeypatch, no_pauses, error, tries, reason):
    calls = failing(monkeypatch, *[error] * 3)
    with pytest.raises(UnreachableError) as raised:
        (memory / "a").read_bytes()
    assert len(calls) == tries
    assert str(raised.value) == (
        f"cannot reach memory://bucket/folder/a: {reason}; run the same command again once it can be reached"
    )
    assert isinstance(raised.value, OSError) and isinstance(raised.value, UserError)


def test_who_is_in_a_hurry_tries_once(memory, monkeypatch):
    calls = failing(monkeypatch, TimeoutError("slow"))
    with pytest.raises(UnreachableError):
        (memory.hasty() / "a").read_bytes()
    assert len(calls) == 1


def test_files_that_cannot_be_reached_are_not_taken_for_missing_ones(memory, monkeypatch, no_pauses):
    (memory / "a").write_bytes(b"1")
    files = inside(memory)
    failing(monkeypatch, *[ConnectionError("gone")] * 3)
    with pytest.raises(UnreachableError, match="gone"):
        list(contents(files))
    (memory / "trials" / "a.json").write_bytes(b"{}")
    failing(monkeypatch, *[ConnectionError("gone")] * 6)
    with pytest.raises(UnreachableError, match="gone"):
        list(RunDirectory(memory).records())


def test_one_of_two_creates_an_object(memory):
    memory.create(b"one")
    with pytest.raises(FileExistsError):
        memory.create(b"two")
    assert memory.read_bytes() == b"one"


def test_an_object_that_was_created_although_nobody_said_so_is_one_s_own(monkeypatch, no_pauses):
    held = {}

    def pipe_file(path, content, mode):
        if path in held:
            raise FileExistsError(path)
        held[path] = content
        raise ConnectionError("the answer was lost")

    files = SimpleNamespace(pipe_file=pipe_file, cat_file=held.__getitem__)
    monkeypatch.setattr(places, "_reached", lambda url: (files, "a"))
    Remote("any://a").create(b"mine")
    with pytest.raises(FileExistsError):
        Remote("any://a").create(b"mine")
    assert held == {"a": b"mine"}
