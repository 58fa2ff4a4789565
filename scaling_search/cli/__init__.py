"""The command line: parse, call, print."""

import contextlib
import difflib
import io
import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling_search import __version__
from scaling_search.cli import clock as clock  # First, as its time is when the command started.
from scaling_search.cli.output import OutputError, checked_output, shown
from scaling_search.errors import OutOfTimeError, Terminated, UserError
from scaling_search.training.environment import keep_off_accelerators

if TYPE_CHECKING:
    from scaling_search.cli.command import Command


def main(argv: list[str] | None = None) -> None:
    """Runs `scaling-search`.

    Exits with 0; 1 where all training failed or output could not be written; 2 where the input was bad; 124 where the
    hours it was given were not enough; 130 and 143 where it was interrupted by Ctrl-C or SIGTERM.
    """
    argv = sys.argv[1:] if argv is None else argv
    # A user's own family is found from the current directory; last, so that no file there hides an installed module.
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        with checked_output(), warnings.catch_warnings():
            warnings.showwarning = _show_warning
            if argv[:1] != ["doctor"]:
                keep_off_accelerators()
            _parse(argv).execute()
    except OutOfTimeError as error:
        _fail(str(error), 124)
    except UserError as error:
        _fail(f"error: {error}", 2)
    except Terminated as end:
        _fail(end.line, 143)
    except OutputError as error:
        # Whoever read the output may have seen enough.
        if not isinstance(error.__cause__, BrokenPipeError):
            _fail(f"error: cannot write the output: {error}", 1)
    except KeyboardInterrupt as error:
        _fail(str(error) or "interrupted: finished trials are kept; run the same command again to continue", 130)


def _show_warning(message: Warning | str, *about: Any, **more: Any) -> None:
    print(shown(f"warning: {message}"), file=sys.stderr)


def _fail(line: str, status: int) -> None:
    print(shown(line), file=sys.stderr)
    sys.exit(status)


def _parse(argv: list[str]) -> "Command":
    if argv == ["--version"]:
        print(f"scaling-search {__version__}")
        sys.exit(0)
    from scaling_search.cli.commands import COMMANDS, overview

    if not argv or argv[0] in ("-h", "--help"):
        print(overview())
        sys.exit(0)
    name, *options = argv
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        raise UserError(
            f"unknown command {name!r}",
            f"commands are {', '.join(COMMANDS)}",
            f"did you mean {close[0]}?" if close else "see scaling-search --help",
        )
    import tyro

    options = COMMANDS[name].reworded(options)
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                COMMANDS[name],
                prog=f"scaling-search {name}",
                args=options,
                **COMMANDS[name].defaults(options),
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise UserError(_one_line(complaint.getvalue()), hint=f"see scaling-search {name} --help") from None


def _one_line(box: str) -> str:
    """What tyro's boxed message says, less the box and the help that follows its first rule."""
    lines: list[str] = []
    for line in re.sub(r"\x1b\[[0-9;]*m", "", box).splitlines():
        text = line.strip("│╭╮╰╯─ \t")
        if "───" in line and not line.startswith("╭") and lines:
            break
        if text and not line.startswith("╭"):
            lines.append(text)
    return " ".join(lines) or "the command line cannot be read"
