"""Files that appear whole or not at all: written beside their place, flushed to disk and renamed."""

import os

from scaling_search.places import Place, Remote


def write_atomically(file: Place, content: bytes) -> None:
    """Writes or replaces `file`. Raises OSError where it cannot; what was there before then stays."""
    if isinstance(file, Remote):
        file.write_bytes(content)
        return
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        # Whatever lies there is not written through: it may be a link.
        beside.unlink(missing_ok=True)
        with open(beside, "xb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(beside, file)
    finally:
        beside.unlink(missing_ok=True)
