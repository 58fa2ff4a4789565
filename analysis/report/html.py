"""A run as one self-contained HTML page: its question, answer, plots and tables, and how to repeat it.

The page is complete without its script, which adds sorting, filters and details on hover. The template escapes
everything that comes from the run, and the page's policy allows nothing but its own style and script.
"""

import base64
import hashlib
from importlib import resources
from typing import TYPE_CHECKING

from scaling_search.analysis.findings.facts import facts_of
from scaling_search.analysis.frames import load_run
from scaling_search.analysis.report.plots import plots_of
from scaling_search.analysis.report.svg import draw
from scaling_search.analysis.report.tables import settings_of, tables_of
from scaling_search.analysis.report.triangle import epochs_plot, triangle_plot
from scaling_search.analysis.report.words import answer, certainty, question, status, subject
from scaling_search.analysis.text.steps import tested_text
from scaling_search.analysis.text.words import use_of_weights
from scaling_search.store import RunDirectory

if TYPE_CHECKING:
    from scaling_search.analysis.findings.facts import Facts


def report_of(directory: RunDirectory, *, watch: bool = False) -> bytes:
    """The report of a run as it stands; see `report_page`."""
    return report_page(facts_of(load_run(directory.path)), directory.command(), watch=watch)


def report_page(findings: "Facts", command: str, *, watch: bool = False) -> bytes:
    """The report of a run as an HTML file in UTF-8. The same findings give the same bytes.

    Args:
        findings: of a run that may be nothing but a manifest yet.
        command: what to type to repeat the run.
        watch: whether the page asks the server it came from for newer versions.

    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    triangles = [plot for plot in (triangle_plot(findings), epochs_plot(findings)) if plot is not None]
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
        name=findings.run.path.resolve().name,
        subject=subject(findings),
        watch=watch,
        policy=_policy(style, script, watch),
        style=style,
        script=script,
        question=question(findings),
        answer=answer(findings),
        status=status(findings),
        tested=tested_text(findings.tested),
        missing=findings.missing,
        networks=findings.names,
        drawings=[draw(plot) for plot in plots_of(findings)],
        certainty=certainty(findings),
        certainty_title="How certain STEP 1 is" if findings.judgement else "Advice",
        triangles=[draw(plot) for plot in triangles],
        tables=tables_of(findings),
        command=command,
        weights=use_of_weights(findings.weights) if findings.weights else None,
        settings=settings_of(findings),
    )
    # A folder may have a name that is not Unicode.
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
