"""The records of a run in one file beside their own: what it may stand for, and what may befall it."""

import os

import pytest

from scaling_search import compacted
from scaling_search.config import RunConfig
from scaling_search.store import start_run
from scaling_search.trial import Outcome, to_record
from tests.test_store import spec


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run with records of its own and together, of which three are enough."""
    monkeypatch.setattr(compacted, "LEAST", 3)
    run = start_run(RunConfig(runs=str(tmp_path)), "digits:0")
    for seed in range(3):
        run.write_record(to_record(spec(seed), Outcome("ok", accuracy=seed / 7)))
    run.write_file(compacted.NAME, run.gathered())
    return run


def apart(run):
    """The records as their own files have them."""
    together = run.path / compacted.NAME
    aside = together.rename(run.path / "aside")
    try:
        return list(run.records())
    finally:
        aside.rename(together)


def file_of(run, seed):
    return run.path / "trials" / f"{spec(seed).key}.json"


def test_records_are_the_same_together_and_apart(run):
    assert list(run.records()) == apart(run) and len(apart(run)) == 3


def test_a_record_whose_file_is_as_it_was_is_not_read_again(run):
    stamp = file_of(run, 1).stat()
    file_of(run, 1).write_bytes(b"x" * stamp.st_size)
    os.utime(file_of(run, 1), ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert [record["spec"]["seed"] for record in sorted(run.records(), key=lambda one: one["spec"]["seed"])] == [
        0,
        1,
        2,
    ]
    with pytest.warns(UserWarning, match="skipped"):
        assert len(apart(run)) == 2


def test_what_was_written_since_counts_and_what_is_gone_does_not(run):
    run.write_record(to_record(spec(0), Outcome("ok", accuracy=0.9)))
    run.write_record(to_record(spec(3), Outcome("failed", reason="the loss was nan")))
    file_of(run, 2).unlink()
    assert list(run.records()) == apart(run)
    assert sorted(record["spec"]["seed"] for record in run.records()) == [0, 1, 3]


def test_it_is_written_anew_where_there_is_enough_that_it_has_not(run):
    assert run.gathered() is None
    for seed in (3, 4):
        run.write_record(to_record(spec(seed), Outcome("ok", accuracy=0.5)))
    assert run.gathered() is None
    run.write_record(to_record(spec(0), Outcome("ok", accuracy=0.9)))
    run.write_file(compacted.NAME, run.gathered())
    assert len(compacted.read(run.path / compacted.NAME)) == 5


def damages(content):
    """The file with a bit flipped, in many places, cut off, and empty."""
    for place in range(0, len(content), 97):
        yield content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]
    yield content[: len(content) // 2]
    yield b""


def test_damage_to_it_loses_nothing(run, recwarn):
    expected, file = apart(run), run.path / compacted.NAME
    for damaged in damages(file.read_bytes()):
        file.write_bytes(damaged)
        assert list(run.records()) == expected
    assert not recwarn


def test_a_record_that_cannot_be_read_is_not_gathered(run):
    file_of(run, 1).write_text("{")
    run.write_record(to_record(spec(0), Outcome("ok", accuracy=0.9)))
    run.write_record(to_record(spec(2), Outcome("ok", accuracy=0.9)))
    with pytest.warns(UserWarning, match="skipped"):
        run.write_file(compacted.NAME, run.gathered())
    assert compacted.read(run.path / compacted.NAME).keys() == {file_of(run, 0).name, file_of(run, 2).name}


@pytest.mark.parametrize("content", [[], "x", {"key": 1}, {"key": "", "spec": 3, "outcome": {}}, {"spec": {}}])
def test_content_that_is_no_record_is_none(run, content):
    files = sorted((run.path / "trials").iterdir())
    others = {f"{record['key']}.json": record for record in run.records()}
    gathered = compacted.content_of(compacted.stamps(files), others | {files[0].name: content})
    run.write_file(compacted.NAME, gathered)
    with pytest.warns(UserWarning, match=f"skipped {files[0]}"):
        assert len(list(run.records())) == 2
