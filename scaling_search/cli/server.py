"""Serves the report of a run on a page that follows it, to this machine only."""

import hashlib
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from scaling_search.analysis.report.html import report_of
from scaling_search.errors import UserError
from scaling_search.places import Place
from scaling_search.store import RunDirectory

LOOPBACK = "127.0.0.1"


class ReportServer(ThreadingHTTPServer):
    """Sends the report of a run, made anew when the run has written something since."""

    daemon_threads = True

    def __init__(self, directory: RunDirectory, port: int) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._state: Any = None
        self._page: _Page | None = None
        super().__init__((LOOPBACK, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of a browser that has gone."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def page(self) -> "_Page":
        """The report as the run now is, whole. Raises UserError where the run cannot be read."""
        with self._lock:
            # Looked at before it is read: what is written meanwhile makes the next request read again.
            state = _state_of(self._directory.path)
            if self._page is None or state != self._state:
                content = report_of(self._directory, watch=True)
                self._page = _Page(content, f'"{hashlib.sha256(content).hexdigest()[:20]}"')
                self._state = state
            return self._page


@dataclass(frozen=True)
class _Page:
    content: bytes
    tag: str


class _Handler(BaseHTTPRequestHandler):
    server: ReportServer
    server_version, sys_version = "scaling-search", ""

    def do_GET(self) -> None:
        # A page from elsewhere may have its own name point here; it must not read the run.
        if self.headers.get("Host") not in {f"{name}:{self.server.server_port}" for name in (LOOPBACK, "localhost")}:
            self._send(403, b"ask for 127.0.0.1\n")
        elif self.path != "/":
            self._send(404, b"the report is at /\n")
        else:
            self._send_report()

    def _send_report(self) -> None:
        try:
            page = self.server.page()
        except UserError as error:
            self._send(503, f"{error}\n".encode("utf-8", "replace"))
            return
        if self.headers.get("If-None-Match") == page.tag:
            self._send(304, b"", page.tag)
        else:
            self._send(200, page.content, page.tag, kind="text/html")

    def _send(self, status: int, content: bytes, tag: str | None = None, kind: str = "text/plain") -> None:
        self.send_response(status)
        if status != 304:
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
        if tag is not None:
            self.send_header("ETag", tag)
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Security-Policy", "frame-ancestors 'none'")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the terminal is the person's."""


def _state_of(run: Place) -> Any:
    """What changes when the run writes a record or a step; files made from these are no news."""
    files = [*run.glob("*.json"), *(run / "trials").glob("*.json")]
    return sorted((str(file), _stamp(file)) for file in files)


def _stamp(file: Place) -> tuple[int, int]:
    try:
        status = file.stat()
    except FileNotFoundError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)
