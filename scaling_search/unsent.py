"""Records of trials that could not be written where their run lies, kept on this machine until they can be.

    ~/.local/state/scaling-search/unsent/RUN/KEY.json

The next command that works on the run from this machine writes them, and removes them here.
"""

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from scaling_search.atomic import write_atomically
from scaling_search.places import Remote


def keep(run: Remote, name: str, content: bytes) -> Path:
    """Keeps a record that could not be written, and returns its file."""
    folder = _folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / name, content)
    return folder / name


def kept(run: Remote) -> Iterator[tuple[str, bytes]]:
    """The records that are kept for a run, each with its name."""
    for file in sorted(_folder(run).glob("*.json")):
        yield file.name, file.read_bytes()


def forget(run: Remote, name: str) -> None:
    """Removes a record that has been written."""
    (_folder(run) / name).unlink(missing_ok=True)


def _folder(run: Remote) -> Path:
    root = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return root / "scaling-search" / "unsent" / f"{run.name}-{sha256(run.url.encode()).hexdigest()[:12]}"
