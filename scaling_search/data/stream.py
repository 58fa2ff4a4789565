"""Batches made ahead of the training that waits for them, by Grain (https://google-grain.readthedocs.io)."""

import os
import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    import grain

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

AHEAD = 2
"""Batches that are ready or being made for each thread."""


class Batches(Protocol[T_co]):
    """Batches by their number, each a function of it alone, so that any thread may make any of them."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> T_co: ...


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def stream(batches: "Batches[Any]", threads: int) -> "grain.DatasetIterator[Any]":
    """An iterator over batches that `threads` make ahead; its `get_state` and `set_state` save and restore where it is.

    Threads rather than processes, as Pillow decodes and resizes without Python's lock. Needs the extra `images`.
    """
    import grain

    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=AHEAD * threads)
    return iter(grain.MapDataset.source(batches).to_iter_dataset(options))  # type: ignore[return-value]


def ahead(batches: Batches[T_co]) -> Iterator[T_co]:
    """All batches in order, made ahead by as many threads as there are cores; where Grain is not installed, in turn."""
    if cores() > 1 and find_spec("grain") is not None:
        return stream(batches, cores())
    return (batches[number] for number in range(len(batches)))


def noting_waits(batches: Iterator[T], seconds: dict[str, float]) -> Iterator[T]:
    """The same batches; the time until each was there is added to `seconds["data"]`."""
    while True:
        began = time.perf_counter()
        batch = next(batches, None)
        seconds["data"] = seconds.get("data", 0.0) + time.perf_counter() - began
        if batch is None:
            return
        yield batch
