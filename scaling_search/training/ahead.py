"""What the next training begins with, made ready in a thread while another trains."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from scaling_search.trial import Spec

T = TypeVar("T")


class Ahead(Generic[T]):
    """Makes one thing ready at a time. Lives as long as the process that trains."""

    following: Spec | None = None
    """What will probably be trained next, if that is known."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._making: tuple[str, Future[T]] | None = None

    def begin(self, make: Callable[[Spec], T]) -> None:
        """Begins to make ready what follows. To be called once nothing is left to do but to train."""
        if self.following is None or (self._making is not None and self._making[0] == self.following.key):
            return
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1)
        self._making = self.following.key, self._executor.submit(make, self.following)

    def take(self, spec: Spec, make: Callable[[Spec], T]) -> tuple[T, float | None]:
        """What a spec needs, and the seconds for which it was waited where it was begun ahead; else it is made now.

        Raises what `make` does. What was begun for another spec is left to itself: a guess that was wrong.
        """
        (key, future), self._making = self._making or ("", None), None
        if future is None or key != spec.key:
            return make(spec), None
        began = time.perf_counter()
        return future.result(), time.perf_counter() - began
