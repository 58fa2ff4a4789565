"""Figures as files, the same on every machine: nothing of the user's matplotlib settings enters."""

import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any

from scaling_search.errors import UserError, in_one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OURS: Any = {
    "font.family": "DejaVu Sans",
    "svg.fonttype": "path",
    "svg.hashsalt": "figure",
    "pdf.fonttype": 42,
    # Names of runs and families are text, dollar signs and all.
    "text.parse_math": False,
}
_NO_DATES: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
}


def import_matplotlib() -> ModuleType:
    """matplotlib, also where MPLBACKEND names a backend that it does not know and would refuse to start with.

    Raises:
        UserError: the user's settings file keeps it from being imported.

    """
    backend = None if "matplotlib" in sys.modules else os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib as mpl
    except ValueError as error:
        reason = in_one_line(error)
        raise UserError(f"matplotlib cannot be imported ({reason})", hint="check your matplotlibrc file") from None
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend:
        # As matplotlib does itself: the user's own plots go where they should.
        with suppress(ValueError):
            mpl.rcParams["backend"] = backend
    return mpl


@contextmanager
def house_settings() -> Iterator[None]:
    """matplotlib's own defaults with a few of ours, in place of the user's settings, which come back afterwards."""
    mpl = import_matplotlib()
    defaults = {name: value for name, value in mpl.rcParamsDefault.items() if not name.startswith("backend")}
    with mpl.rc_context({**defaults, **_OURS}), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; that is no news on the terminal.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def render(figure: "Figure", format: str) -> bytes:
    """The figure as a PNG, SVG or PDF file with its fonts embedded. The same figure gives the same bytes."""
    buffer = io.BytesIO()
    with house_settings():
        figure.savefig(buffer, format=format, dpi=200, metadata=_NO_DATES.get(format))
    return buffer.getvalue()
