"""`report`: a run as one HTML page, in a file or, while the run goes on, on a page that follows it."""

import hashlib
import shlex
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling_search.cli.flags import flags_of
from scaling_search.config import QUICK, NasConfig, RunConfig, nas_config_from_dict, run_config_from_dict, to_dict
from scaling_search.errors import UserError
from scaling_search.store import RunDirectory, open_run

if TYPE_CHECKING:
    from scaling_search.analysis.frames import Run

LOOPBACK = "127.0.0.1"


def write_report(run: str, output: str | None) -> None:
    """Writes the report of a run and prints where it lies."""
    directory = open_run(run)
    page = _rendered(directory)
    if output is None:
        print(directory.write_file("report.html", page))
        return
    file = Path(output).expanduser()
    if file.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"report {output!r} given", "its name ends in .html")
    if not file.parent.is_dir():
        raise UserError(f"{file.parent} is no folder", hint="make it, or write elsewhere")
    print(RunDirectory(file.parent).write_file(file.name, page))


def watch_report(run: str, port: int) -> None:
    """Serves the report of a run on this machine alone until Ctrl-C; port 0 is any free one."""
    directory = open_run(run)
    if not 0 <= port <= 65535:
        raise UserError(f"port {port} given", "a port is 1 to 65535, or 0 for any free one")
    try:
        server = ReportServer(directory, port)
    except OSError as error:
        said = error.strerror or error
        raise UserError(f"cannot listen on port {port}: {said}", hint="give another --port") from None
    try:
        with server:
            print(f"http://{LOOPBACK}:{server.server_port}/", flush=True)
            print("the page follows the run; Ctrl-C ends it", file=sys.stderr)
            server.serve_forever()
    except KeyboardInterrupt:
        print("ended; the run is not touched", file=sys.stderr)


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
                content = _rendered(self._directory, watch=True)
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


def _state_of(run: Path) -> Any:
    """What changes when the run writes a record or a step; files made from these are no news."""
    files = [*run.glob("*.json"), *(run / "trials").glob("*.json")]
    return sorted((str(file), _stamp(file)) for file in files)


def _stamp(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except FileNotFoundError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


def _rendered(directory: RunDirectory, *, watch: bool = False) -> bytes:
    from scaling_search.analysis import findings_of, load_run
    from scaling_search.analysis.report.html import report_page

    findings = findings_of(load_run(directory.path))
    return report_page(findings, command_of(directory, findings.run), watch=watch)


def command_of(directory: RunDirectory, run: "Run") -> str:
    """What to type to have the same run again, as a POSIX shell reads it: only what differs from the defaults."""
    search = (directory.document("nas") or {}).get("config")
    try:
        config = run_config_from_dict(run.manifest["config"])
        nas = None if search is None else nas_config_from_dict(search)
    except UserError:
        # A run of another version: what its options were called is not known here.
        return shlex.join(["scaling-search", "resume", str(directory.path)])
    if nas is not None:
        words = ["nas", *flags_of(to_dict(nas), to_dict(NasConfig()))]
    else:
        words = _method_words(run, config) if run.sweep.empty else _sweep_words(directory, run, config)
    return shlex.join(["scaling-search", *words])


def _method_words(run: "Run", config: RunConfig) -> list[str]:
    """`run`, `step1` or `step2`, by what the run has."""
    words = ["step1" if run.steps == (1,) else "run"]
    if run.steps == (2,) and not run.models.empty:
        rule = run.models[run.models["coefficients"] == "found"].iloc[0]
        words = ["step2", "--coefficients", *(str(rule[name]) for name in ("alpha", "beta", "gamma"))]
    given, quick = (flags_of(to_dict(config), to_dict(default)) for default in (RunConfig(), QUICK))
    return [*words, *min(given, ["--quick", *quick], key=len)]


def _sweep_words(directory: RunDirectory, run: "Run", config: RunConfig) -> list[str]:
    """`train` or `sweep`, by the networks that were given."""
    from scaling_search.cli.commands import Sweep, Train

    init = (directory.document("sweep") or {}).get("init") or {}
    if set(run.sweep["scaling"]) == {"network"}:
        scale = {name: float(run.sweep[name].iloc[0]) for name in ("depth", "width", "resolution")}
        given: dict[str, Any] = {
            **to_dict(config),
            **scale,
            "init": init.get("weights"),
            "trained": init.get("trained", "all"),
        }
        return ["train", *flags_of(given, to_dict(Train()))]
    factors = {
        name: run.sweep[name][run.sweep["scaling"] == name].tolist() for name in ("depth", "width", "resolution")
    }
    compound, scales = (
        run.sweep[run.sweep["scaling"] == name][list(factors)].to_numpy().tolist() for name in ("compound", "given")
    )
    usual = to_dict(Sweep())
    given = {
        **to_dict(config),
        "dims": [name[0] for name, values in factors.items() if values],
        **{f"{name}s": values or usual[f"{name}s"] for name, values in factors.items()},
        "compound_scale": compound[0] if compound else usual["compound_scale"],
        "scales": [",".join(map(str, scale)) for scale in scales],
    }
    return ["sweep", *flags_of(given, usual), *["--compound"] * bool(compound)]
