"""A run as one HTML page that needs nothing else: its question, answer, tables, plots, and how to make it again.

The page is drawn here and whole without a script; its script adds sorting, filters and details on hover. Every word
of the run is escaped by the template, and the page's own policy lets nothing run or load but what it was made with.
"""

import base64
import hashlib
from importlib import resources
from typing import TYPE_CHECKING

from scaling_search.analysis.findings.run import check_manifest, findings_of
from scaling_search.analysis.frames import load_run
from scaling_search.analysis.report.plots import plots_of, surface_plot
from scaling_search.analysis.report.svg import draw
from scaling_search.analysis.report.tables import settings_of, tables_of
from scaling_search.analysis.report.words import answer, certainty, question, status, subject, tested
from scaling_search.store import RunDirectory

if TYPE_CHECKING:
    from scaling_search.analysis.frames import Run


def report_of(directory: RunDirectory, *, watch: bool = False) -> bytes:
    """The report of a run as it stands; see `report_page`."""
    run = load_run(directory.path)
    check_manifest(run)
    return report_page(run, directory.command(), watch=watch)


def report_page(run: "Run", command: str, *, watch: bool = False) -> bytes:
    """The report of a run as an HTML file in UTF-8. The same run gives the same bytes.

    `command` is what to type to have the same run again. With `watch` the page asks the server it came from for a
    newer one. Works on a run of which there is nothing but the manifest. Raises UserError where the manifest does not
    say what the run is about, or a step file cannot be understood.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    findings = findings_of(run)
    surface = surface_plot(findings)
    style, script = _asset("report.css"), _asset("report.js")
    environment = Environment(
        loader=PackageLoader("scaling_search.analysis.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    page = environment.get_template("report.html").render(
        name=run.path.resolve().name,
        subject=subject(findings),
        watch=watch,
        policy=_policy(style, script, watch),
        style=style,
        script=script,
        question=question(findings),
        answer=answer(findings),
        status=status(findings),
        tested=tested(findings),
        missing=findings.missing,
        networks=findings.names,
        drawings=[draw(plot) for plot in plots_of(findings)],
        certainty=certainty(findings),
        surface=None if surface is None else draw(surface),
        tables=tables_of(findings),
        command=command,
        settings=settings_of(findings),
    )
    # A name that is no Unicode, which a folder may have, must not keep the page from being written.
    return page.encode("utf-8", "replace")


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath("page", name).read_text(encoding="utf-8")


def _policy(style: str, script: str, watch: bool) -> str:
    """A content security policy by which nothing is loaded, and only this style and this script are used."""
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    rules = [
        "default-src 'none'",
        f"style-src 'sha256-{digests[0]}'",
        f"script-src 'sha256-{digests[1]}'",
        "base-uri 'none'",
        "form-action 'none'",
        *(["connect-src 'self'"] if watch else []),
    ]
    return "; ".join(rules)
