"""Standard output, which may be closed, on a full disk, or read by nobody any more."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")
_COMMANDS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
"""What moves a terminal's cursor, has it type, or turns text around, and what is no text; colours are none of these."""


def shown(text: str) -> str:
    """Text as a terminal may have it: what would command it, in the name of a class for example, is spelt out."""
    parts = _COLOUR.split(text) if "\x1b" in text else [text]
    spelt = (
        part if place % 2 else _COMMANDS.sub(lambda found: repr(found[0])[1:-1], part)
        for place, part in enumerate(parts)
    )
    return "".join(spelt)


class OutputError(Exception):
    """What was printed could not be written; its cause is the OSError."""


class _Checked:
    """A stream whose errors are OutputErrors, so that they are told from those of everything else."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with _as_output_errors():
            return self._stream.write(shown(text))

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
