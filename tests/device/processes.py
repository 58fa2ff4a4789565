"""Processes that measure: started side by side, asked one at a time, ended when their time is up."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class TimeUpError(Exception):
    """A process did not answer in time."""


class EndedError(Exception):
    """A process ended without an answer."""


class Process:
    """A process that prints a JSON object a line and may be told things a line at a time."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        self._answers: queue.Queue[str | None] = queue.Queue()
        with open(log, "wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, *words],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                self._answers.put(line)
        self._answers.put(None)

    def answer(self, until: float) -> dict[str, Any]:
        """The next object. Raises TimeUpError at the time `until`, and EndedError where there is none to come."""
        try:
            line = self._answers.get(timeout=max(0.01, until - time.time()))
        except queue.Empty:
            raise TimeUpError("no answer in the time it was given") from None
        if line is None:
            self._answers.put(None)
            raise EndedError(f"ended with {self._process.wait()}: {self.last_words()}")
        return json.loads(line)  # type: ignore[no-any-return]

    def tell(self, line: str) -> None:
        """Writes a line to the process."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except OSError:
            # It has ended; its last answer says so.
            return

    def last_words(self) -> str:
        """The end of what it wrote on stderr, in one line."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        telling = [line for line in lines if "Error" in line or "error" in line]
        return " ".join((telling or lines)[-1:])[-400:]

    def end(self) -> None:
        """Ends it and what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
