"""Hostile names of runs, classes, families, architectures, notes and errors: on the page, alive, and in a terminal."""

import http.client
import json
import threading
from contextlib import closing
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from scaling_search.analysis import findings_of, load_run
from scaling_search.analysis.report.html import report_of
from scaling_search.cli.output import shown
from scaling_search.cli.server import ReportServer
from scaling_search.config import to_dict
from scaling_search.rule import Grid
from scaling_search.store import RunDirectory, start_run
from scaling_search.trial import Outcome
from tests.analysis.made_up import CONFIG, outcome_of, step2_document, write_step1
from tests.cli.commands import in_this_process
from tests.fuzz import seeds

SCRIPTS = {
    "the script's end": "</script><script>window.hacked=1</script>",
    "an attribute's end": '" autofocus onfocus="window.hacked=1',
    "an attribute's other end": "' onmouseover='window.hacked=1",
    "an attribute without quotes": "x onerror=window.hacked=1 ",
    "an element": "<img src=x onerror=window.hacked=1>",
    "an SVG's element": "</text></svg><svg onload=window.hacked=1>",
    "an SVG's link": '<a xlink:href="javascript:window.hacked=1"><set attributeName=href to=javascript:hacked>',
    "a comment's end": "--><script>window.hacked=1</script><!--",
    "a section's end": "]]><script>window.hacked=1</script>",
    "a style's end": "</style><style>*{background:url(//x)}</style>",
    "a title's end": "</title><base href=//x>",
    "a template": "{{ 7 * 7 }}{% raw %}{# x #}${7*7}",
    "line separators": "a\u2028</script>\u2029\x85<b>",
    "JSON's end": '"}]</script><script>window.hacked=1//',
    "text that is turned around": "\u202e\u2066<b>txt.exe",
    "a character that is none": "\ud800<b>",
    "zero bytes": "a\0<scr\0ipt>",
    "a policy": "'; script-src 'unsafe-inline' *",
    "a character reference": "&lt;script&gt;&#60;b&#62;&quot; onload=&quot;",
}
TERMINAL = {
    "a title": "\x1b]0;owned\x07",
    "a cleared screen": "\x1b[2J\x1b[H",
    "typed text": '\x1b[6n\x1bP$q"p\x1b\\',
    "a clipboard": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "a link": "\x1b]8;;http://x\x1b\\y\x1b]8;;\x1b\\",
    "eight-bit controls": "\x9b2J\x9d0;owned\x9c",
    "text over text": "failed\rok    \b\b",
    "hidden text": "\x1b[8mx\x1b[0m\x7f",
    "text that is turned around": "\u202eko\u202c",
}
_SHELL = "html head meta title style script body header main section details summary a"
_TEXT = "p strong h1 h2 h3 pre ul li br em output figcaption"
_TABLES = "table thead tbody tr th td div label select option input fieldset legend"
_DRAWN = "figure svg g line text tspan path circle rect"
_ELEMENTS = frozenset(f"{_SHELL} {_TEXT} {_TABLES} {_DRAWN}".split())
_ACTIVE = ("script", "style", "base", "meta", "img", "a")


class Page(HTMLParser):
    """Elements of a page with their attributes, and all of its text."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.text: list[str] = []
        self.feed(content.decode())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A finished run whose every text is the word that hostile ones replace."""
    directory = start_run(
        replace(CONFIG, runs=str(tmp_path_factory.mktemp("runs")), family="WORD", family_options=("WORD=1",)), "WORD:0"
    )
    made = write_step1(
        directory,
        grid=Grid("coefficients", step=0.2),
        outcome=lambda network, seed: (
            replace(outcome_of(network, seed), device="WORD", machine="WORD", note="WORD")
            if seed
            else Outcome("failed", reason="WORD", device="WORD", machine="WORD", note="WORD")
        ),
    )
    step1 = directory.document("step1")
    point = {"rival": "WORD", **step1["points"][0]}
    directory.write_document("step1", {**step1, "notes": ["WORD"], "rivals": [point]})
    directory.write_document("step2", step2_document())
    return made


def named_after(plain, text, tmp_path):
    """The run with a text in place of each of its words, as who forges one writes it: without checksums."""
    run = tmp_path / "run"
    written = json.dumps(text)[1:-1]
    for file in plain.path.rglob("*.json"):
        content = file.read_text().replace("WORD", written).replace("made_up", written)
        tree = json.loads(content.replace('"B3"', f'"{written}"').replace("6x64@16", written))
        place = run / file.relative_to(plain.path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps({name: part for name, part in tree.items() if name != "checksum"}))
    try:
        return run.rename(tmp_path / text.replace("/", "_").replace("\0", "_"))
    except (OSError, ValueError):
        return run


def assert_harmless(content, usual):
    page = Page(content)
    assert {tag for tag, _ in page.elements} <= _ELEMENTS
    scripts = [
        attributes for tag, attributes in page.elements if tag in ("script", "style", "base", "meta", "img", "a")
    ]
    expected = [
        attributes for tag, attributes in usual.elements if tag in ("script", "style", "base", "meta", "img", "a")
    ]
    assert scripts == expected
    for _, attributes in page.elements:
        assert not any(name.startswith("on") or name in ("src", "style", "xlink:href", "action") for name in attributes)
    assert content.count(b"</script") == 1 and content.count(b"</style") == 1


@pytest.fixture(scope="module")
def usual(plain):
    """The page of a run whose names do no harm."""
    return Page(report_of(plain.directory, watch=True))


@pytest.fixture(scope="module")
def hostile(plain, tmp_path_factory):
    """The run with all of the scripts in place of each of its words."""
    return named_after(plain, " ".join(SCRIPTS.values()), tmp_path_factory.mktemp("hostile"))


def test_a_page_has_names_as_text_and_no_more(hostile, usual):
    content = report_of(RunDirectory(hostile), watch=True)
    assert_harmless(content, usual)
    parts = Page(content).text
    for text in SCRIPTS.values():
        if text.isprintable():
            assert sum(text in part for part in parts) > 3, text


@pytest.mark.filterwarnings("ignore:skipped")
def test_the_live_page_and_its_errors_are_as_harmless(hostile, usual, tmp_path):
    server = ReportServer(RunDirectory(hostile), 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        status, headers, content = answer(server, "/")
        assert status == 200 and headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert_harmless(content, usual)
        # A path is not read back, and what an error says is no page.
        for path in ("/<script>", "/../manifest.json", "/%2e%2e/etc/passwd", "//x/", "/?<script>"):
            status, headers, content = answer(server, path)
            assert (
                status == 404
                and content == b"the report is at /\n"
                and headers["Content-Type"].startswith("text/plain")
            )
        (hostile / "manifest.json").write_text(json.dumps({"kind": SCRIPTS["an element"], "config": {}}))
        status, headers, content = answer(server, "/")
        assert status == 503 and headers["Content-Type"].startswith("text/plain")
    finally:
        server.shutdown()
        server.server_close()


def answer(server, path):
    with closing(http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)) as connection:
        connection.putrequest("GET", path)
        connection.endheaders()
        found = connection.getresponse()
        return found.status, dict(found.getheaders()), found.read()


def test_the_script_never_makes_elements_of_text():
    script = (Path(__file__).parents[2] / "analysis/report/page/report.js").read_text()
    for word in (
        "innerHTML",
        "outerHTML =",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
        "setAttribute(name",
    ):
        assert word not in script
    templates = [file.read_text() for file in (Path(__file__).parents[2] / "analysis/report/page").glob("*.html")]
    assert sum(text.count("| safe") for text in templates) == 2, "its own style and script alone"


def test_a_terminal_is_not_commanded(plain, tmp_path):
    run = named_after(plain, " ".join(TERMINAL.values()), tmp_path)
    for words in (
        ("table", str(run)),
        ("runs", str(tmp_path)),
        ("check", str(run)),
        ("table", str(run), "--format", "csv"),
    ):
        done = in_this_process(tmp_path, *words)
        assert done.stdout or done.stderr
        assert not commands_in(done.stdout + done.stderr), words


def commands_in(text):
    """Characters that a terminal acts upon."""
    return {
        char for char in text if (ord(char) < 32 and char != "\n") or 127 <= ord(char) < 160 or char in "\u202e\u2066"
    }


def test_names_of_classes_are_spelt_out(tmp_path):
    hostile = [text.replace("/", "_") for text in TERMINAL.values()]
    for name in (*hostile, "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(4):
            (tmp_path / "data" / name / f"{number}.png").write_bytes(seeds.pictures()["PNG L"])
    (tmp_path / "data" / "dog" / f"{hostile[0]}.txt").write_text("passed over")
    done = in_this_process(tmp_path, "data", "stat", "folder:data")
    assert done.returncode == 0 and "dog" in done.stdout
    assert not commands_in(done.stdout + done.stderr)


def test_what_is_text_stays():
    assert shown("\x1b[1mé\t\u4e2d\n\U0001f600") == "\\x1b[1mé\t\u4e2d\n\U0001f600"


def test_a_picture_has_names_as_text(plain, tmp_path):
    run = named_after(plain, "$\\frac{ $x a_{ \\ ^{}$$ <script> \x1b[2J", tmp_path)
    findings = findings_of(load_run(run))
    for name in ("frontier", "grid"):
        figure = findings.figure(name)
        figure.savefig(tmp_path / f"{name}.svg")
        assert b"<script" not in (tmp_path / f"{name}.svg").read_bytes()


def test_manifests_hold_what_they_were_given(plain):
    assert to_dict(plain.directory.config())["family"] == "WORD"
