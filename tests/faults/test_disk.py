"""Disks that are full or gone, files that are damaged, a second driver: each is named, and the rest is kept."""

import errno
import os
import shutil
import time
import warnings
from functools import partial
from itertools import count

import pytest

from scaling_search import store
from scaling_search.errors import UserError
from scaling_search.experiments.check import check
from scaling_search.experiments.given_networks import sweep
from scaling_search.recorded import RecordedTable, table_bytes
from scaling_search.store import RunDirectory
from tests.faults.small_run import SmallFamily, config_of
from tests.training.conftest import barred_images

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def images():
    return barred_images()


@pytest.fixture
def run(tmp_path, pretended, images, monkeypatch):
    """Runs it, or goes on with it, less the pictures."""
    monkeypatch.setattr("scaling_search.experiments.study.write_outputs", lambda *_: [])
    return partial(sweep, config_of(tmp_path), family=SmallFamily(), data=images, progress=None)


def keys_of(tmp_path):
    return sorted(file.stem for file in (tmp_path / "small" / "trials").glob("*.json"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_takes_no_more_ends_the_run_in_a_line_and_finished_trials_are_kept(
    number, run, tmp_path, pretended, monkeypatch
):
    write = store.write_atomically

    def full(file, content):
        if file.parent.name == "trials" and len(keys_of(tmp_path)) == 2:
            raise OSError(number, os.strerror(number))
        write(file, content)

    monkeypatch.setattr(store, "write_atomically", full)
    with pytest.raises(UserError) as raised:
        run()
    said = str(raised.value)
    assert os.strerror(number) in said and str(tmp_path / "small" / "trials") in said
    assert said.endswith("then run the same command again; finished trials are kept")
    monkeypatch.setattr(store, "write_atomically", write)
    before = len(pretended.trained)
    run()
    assert len(pretended.trained) - before == 2 and len(keys_of(tmp_path)) == 4


def test_a_run_whose_folder_vanishes_ends_in_a_line(run, tmp_path, pretended):
    def vanish(spec):
        shutil.rmtree(tmp_path / "small", ignore_errors=True)
        return 0.5

    pretended.accuracy = vanish
    with pytest.raises(UserError, match=r"cannot write .*: No such file or directory"):
        run()


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)


def cut_off(file):
    file.write_bytes(file.read_bytes()[:-20])


def test_damaged_records_are_named_and_only_those_are_trained_again(run, tmp_path, pretended):
    run()
    files = [tmp_path / "small" / "trials" / f"{key}.json" for key in keys_of(tmp_path)]
    flip(files[0])
    cut_off(files[2])
    before = len(pretended.trained)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run()
    assert sorted(spec.key for spec in pretended.trained[before:]) == [files[0].stem, files[2].stem]
    for file in (files[0], files[2]):
        assert any(str(file) in str(warning.message) for warning in said)
    assert len({record["key"] for record in RunDirectory(tmp_path / "small").records()}) == 4


def test_a_changed_digit_of_a_record_is_found(run, tmp_path):
    run()
    file = tmp_path / "small" / "trials" / f"{keys_of(tmp_path)[0]}.json"
    file.write_text(file.read_text().replace('"accuracy": 0.5', '"accuracy": 0.6'))
    with pytest.warns(UserWarning, match="does not match its checksum"):
        assert len(list(RunDirectory(tmp_path / "small").records())) == 3


def test_a_table_with_a_flipped_bit_or_an_end_cut_off_is_refused_by_name_or_reads_as_it_was(run, tmp_path):
    run()
    content = table_bytes([RunDirectory(tmp_path / "small")], {"classes": 3, "training": 84})
    file = tmp_path / "table.parquet"
    file.write_bytes(content)
    whole = list(RecordedTable(file).records())
    refused = 0
    for place in range(0, len(content), len(content) // 60):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        try:
            assert list(RecordedTable(file).records()) == whole
        except UserError as error:
            assert str(file) in str(error)
            refused += 1
    assert refused > 30
    file.write_bytes(content[:-9])
    with pytest.raises(UserError, match=f"{file.name} is not a recorded table"):
        list(RecordedTable(file).records())


def test_a_second_driver_is_told(run, tmp_path, pretended):
    told = []

    def begin_again(spec):
        if not told:
            told.append(None)
            with pytest.raises(UserError, match="another process is working on"):
                run()
            told.append(spec)
        return 0.5

    pretended.accuracy = begin_again
    run()
    assert len(told) == 2 and len(keys_of(tmp_path)) == 4


def test_a_clock_that_goes_back_moves_nothing(run, tmp_path, monkeypatch):
    def written():
        return {file.name: file.read_bytes() for file in (tmp_path / "small" / "trials").iterdir()}

    run()
    expected = written()
    shutil.rmtree(tmp_path / "small")
    hours = count()
    monkeypatch.setattr(time, "time", lambda: 1e9 - 3600 * next(hours))
    monkeypatch.setattr(time, "time_ns", lambda: 10**18 - 3600 * 10**9 * next(hours))
    run()
    assert written() == expected and next(hours) > 1
    assert check(tmp_path / "small", family=SmallFamily(), progress=None).problems == ()
