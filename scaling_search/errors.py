"""`UserError`, for mistakes that the user can fix, and helpers for readable messages."""

import dataclasses
import math
import re
from typing import Any

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters other than white space, and those that turn text around."""


class UserError(Exception):
    """Bad input, explained in one line: what was given, what is allowed and what to try.

    The command line prints the message without a traceback and exits with status 2.
    """

    def __init__(self, given: str, allowed: str = "", hint: str = ""):
        sentences = (printable(part).rstrip(".") for part in (given, allowed, hint) if part)
        super().__init__("; ".join(" ".join(part.split()) for part in sentences))


class OutOfTimeError(UserError):
    """A run has ended before its plan did, as it was given so many hours; the message says how to go on.

    The command line exits with status 124, as `timeout` does.
    """


class Terminated(SystemExit):
    """A run was ended by SIGTERM, in order. The command line prints `line` and exits with status 143."""

    def __init__(self, line: str):
        super().__init__(143)
        self.line = line


def printable(text: str) -> str:
    """`text` without control codes and colours, and with lone surrogates escaped, so that any terminal can show it."""
    return _CONTROL.sub("", _ANSI.sub("", text)).encode("utf-8", "backslashreplace").decode()


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without control codes; the error's type where there is no message."""
    lines = printable(str(error)).strip().splitlines()
    return lines[0].rstrip() if lines else type(error).__name__


def in_one_line(error: Exception) -> str:
    """What went wrong, in one readable line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}".removesuffix(": ")[:500]


def check_finite(config: Any) -> None:
    """Raises UserError where a number of a dataclass is infinite or none."""
    for one in dataclasses.fields(config):
        value = getattr(config, one.name)
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{one.name} {value!r} given", "it must be a finite number")
