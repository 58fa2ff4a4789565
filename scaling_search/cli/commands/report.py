"""`report`: a run as one HTML page."""

import sys
from dataclasses import dataclass
from typing import Annotated

import tyro

from scaling_search.cli.command import Command, Folder
from scaling_search.errors import UserError
from scaling_search.store import open_run


@dataclass(frozen=True)
class Report(Command):
    """Writes a run as one HTML page that works offline: its answer, tables and plots, and how to repeat it.

    Example: scaling-search report runs/digits, or scaling-search report runs/digits --watch
    """

    run: Folder
    """Folder of the run, finished or not."""
    output: Annotated[str | None, tyro.conf.arg(aliases=["-o"])] = None
    """File to write (.html); by default report.html beside the run's tables."""
    watch: bool = False
    """Instead of writing a file, serve a page that follows the run, to this machine only."""
    port: int | None = None
    """With --watch: the port to serve at; by default any free one."""

    def execute(self) -> None:
        """Writes the page and prints its path, or serves it and prints its address."""
        if self.watch and self.output is not None:
            raise UserError("--watch and --output given", "--watch writes no file", "give one of them")
        if self.port is not None and not self.watch:
            raise UserError("--port given without --watch", "a file needs no port", "try --watch")
        if self.watch:
            _watch(self.run, self.port or 0)
        else:
            _write(self.run, self.output)


def _write(run: str, output: str | None) -> None:
    from scaling_search.analysis import findings_of, load_run

    print(findings_of(load_run(open_run(run).path)).report(output))


def _watch(run: str, port: int) -> None:
    """Serves the report of a run to this machine only, until Ctrl-C; port 0 is any free one."""
    from scaling_search.cli.server import LOOPBACK, ReportServer

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
            print("the page follows the run; stop with Ctrl-C", file=sys.stderr)
            server.serve_forever()
    except KeyboardInterrupt:
        print("stopped; the run is not affected", file=sys.stderr)
