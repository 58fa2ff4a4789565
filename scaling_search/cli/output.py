"""Standard output, which may be closed, on a full disk, or read by nobody any more."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO


class OutputError(Exception):
    """What was printed could not be written; its cause is the OSError."""


class _Checked:
    """A stream whose errors are OutputErrors, so that they are told from those of everything else."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with _as_output_errors():
            return self._stream.write(text)

    def flush(self) -> None:
        with _as_output_errors():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def checked_output() -> Iterator[None]:
    """Makes an OutputError of whatever goes wrong with standard output, by the end of the block at the latest."""
    # Where one is closed, Python has None. Nothing can be written to a file that is opened to be read.
    stream = sys.stdout or open(os.devnull)  # noqa: SIM115
    if sys.stderr is None:
        # print(file=None) means standard output, where nothing but results belongs.
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    checked: Any = _Checked(stream)
    try:
        with redirect_stdout(checked):
            try:
                yield
            except SystemExit:
                checked.flush()
                raise
            checked.flush()
    except OutputError:
        # What Python flushes at its own end must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise


@contextmanager
def _as_output_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(error.strerror or str(error)) from error
