"""Garbage collection, put off while much is made that stays."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Puts garbage collection off while modules are loaded or a network is traced, which then take a quarter less time.

    Hundreds of thousands of objects are made, nearly all of which stay, and time and again Python would look through
    them and all that there is besides.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
