"""Standard output that is full, closed or read by nobody."""

import os
import subprocess
import sys

import pytest

from scaling_search.cli import main
from scaling_search.cli.commands import COMMANDS
from scaling_search.cli.commands.table import Table

START = [sys.executable, "-c", "from scaling_search.cli import main; main()"]
FULL = "/dev/full"

needs_full = pytest.mark.skipif(not os.path.exists(FULL), reason="no /dev/full")  # noqa: PTH110


def ends_with_1_and_one_line(words, stream, capsys, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", stream)
        with pytest.raises(SystemExit) as stop:
            main(words)
    (line,) = capsys.readouterr().err.splitlines()
    assert stop.value.code == 1
    return line


@needs_full
@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        *([name, "--help"] for name in COMMANDS),
        ["cost", "efficientnet_b0"],
        ["cost", "efficientnet_b0", "--format", "json"],
        ["table", "published"],
        ["table", "published", "--format", "csv"],
    ],
    ids=" ".join,
)
def test_a_full_disk_is_one_line(words, capsys, monkeypatch):
    with open(FULL, "w") as full:
        line = ends_with_1_and_one_line(words, full, capsys, monkeypatch)
    assert line == "error: cannot write the output: No space left on device"


@needs_full
def test_output_longer_than_any_buffer_is_one_line_too(capsys, monkeypatch):
    monkeypatch.setattr(Table, "execute", lambda command: print("x" * 10**6))
    with open(FULL, "w") as full:
        assert "No space left" in ends_with_1_and_one_line(["table", "published"], full, capsys, monkeypatch)


@pytest.mark.parametrize("words", [["--help"], ["fit", "--help"], ["table", "published"]], ids=" ".join)
def test_closed_output_is_one_line(words, capsys, monkeypatch):
    assert "cannot write the output" in ends_with_1_and_one_line(words, None, capsys, monkeypatch)


def test_an_output_that_is_read_no_further_is_no_error(capsys, monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as pipe, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", pipe)
        main(["table", "published", "--format", "csv"])
    assert capsys.readouterr().err == ""


def test_without_stderr_nothing_of_it_comes_to_stdout():
    done = subprocess.run(
        ["sh", "-c", '"$@" 2>&-', "sh", *START, "table", "/no/such/run"], stdout=subprocess.PIPE, check=False
    )
    assert done.returncode != 0 and done.stdout == b""


@needs_full
def test_what_python_writes_as_it_ends_does_not_fail_again():
    with open(FULL, "w") as full:
        done = subprocess.run([*START, "--help"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "error: cannot write the output: No space left on device\n")


def test_errors_of_other_files_are_not_taken_for_those_of_the_output(monkeypatch):
    def fails(command):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Table, "execute", fails)
    with pytest.raises(OSError, match="No space left"):
        main(["table", "published"])
