import base64
import hashlib
import json
import os
import re
import shutil
from html.parser import HTMLParser

import pytest
from made_up import network_at, outcome_of, spec_of, step2_document, write_step1

from scaling_search.analysis import findings_of, load_run
from scaling_search.analysis.report.html import report_page
from scaling_search.analysis.text.region import region_text
from scaling_search.analysis.text.step1 import separation_text
from scaling_search.config import RunConfig, SweepConfig, TrainConfig, to_dict
from scaling_search.errors import UserError
from scaling_search.rule import PAPER_RULE, Grid, Scale
from scaling_search.store import RunDirectory, start_run
from scaling_search.trial import Outcome, to_record

COMMAND = "scaling-search run --name made-up"


class Page(HTMLParser):
    """Elements of a page as (name, attributes), and its text by the element that it is in."""

    def __init__(self, content):
        super().__init__()
        self.elements, self.texts, self._open = [], [], []
        self.feed(content.decode())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag):
        if tag in self._open:
            del self._open[len(self._open) - 1 - self._open[::-1].index(tag) :]

    def handle_data(self, data):
        self.texts.append((self._open[-1] if self._open else "", data))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def text_of(self, tag):
        return " ".join(" ".join(text for name, text in self.texts if name == tag).split())


def page_of(path, **options):
    return Page(report_page(findings_of(load_run(path)), COMMAND, **options))


@pytest.fixture(scope="module")
def content(findings):
    return report_page(findings, COMMAND)


@pytest.fixture(scope="module")
def page(content):
    return Page(content)


def test_the_same_run_gives_the_same_bytes_wherever_it_lies(whole_run, content, tmp_path):
    shutil.copytree(whole_run.path, tmp_path / "made-up")
    assert report_page(findings_of(load_run(tmp_path / "made-up")), COMMAND) == content


def test_it_names_its_language_and_itself(page):
    assert page.all("html")[0]["lang"] == "en"
    assert page.text_of("title") == "made-up: compound scaling"
    assert (
        page.text_of("h1") == "In which ratios should depth, width and resolution of efficientnet_tiny grow on digits?"
    )


def test_it_needs_nothing_from_elsewhere(page):
    assert not {name for name, _ in page.elements} & {"link", "img", "iframe", "object", "base"}
    loads = [value for _, attributes in page.elements for name, value in attributes.items() if name in ("src", "href")]
    assert loads == ["#main"]
    css = page.text_of("style")
    assert "url(" not in css and "@import" not in css


def test_its_policy_lets_in_its_own_style_and_script_alone(page, content):
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'" and "connect-src" not in rules
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        (inside,) = re.findall(f"<{tag}>(.*?)</{tag}>".encode(), content, re.DOTALL)
        assert rules[rule] == f"'sha256-{base64.b64encode(hashlib.sha256(inside).digest()).decode()}'"
    assert not any(name.startswith("on") or name == "style" for _, attributes in page.elements for name in attributes)


def test_nothing_moves(page):
    assert not re.search("transition|animation|scroll-behavior", page.text_of("style"))


def test_the_answer_has_winner_tie_frontier_and_extrapolation_with_their_uncertainty(page, judgement, step2):
    text, winner = page.text_of("p"), judgement.winner
    assert f"alpha {winner.alpha:.2f}, beta {winner.beta:.2f}, gamma {winner.gamma:.2f} wins STEP 1" in text
    assert f"95 % interval {100 * winner.low:.1f} to {100 * winner.high:.1f}" in text
    assert f"the cheapest of {len(judgement.ties)} networks tied with the best" in text
    assert "the measured frontier rises from" in text
    b7 = step2[(step2["model"] == "B7") & (step2["coefficients"] == "found")].iloc[0]
    said = f"{100 * b7['val_accuracy']:.1f} ({100 * b7['low']:.1f}-{100 * b7['high']:.1f}) %"
    assert f"B7 by the found coefficients, not trained, is extrapolated to {said}" in text
    assert "So far" not in text and "Test split, evaluated once" in text


def test_every_row_of_every_table_is_there_under_headings_with_scope(page, judgement, step2, whole):
    measured = whole.trials["fingerprint"][whole.trials["val_accuracy"].notna()].nunique()
    headings = [attributes.get("scope") for attributes in page.all("th")]
    settings = sum(1 for scope in headings if scope == "row") - len(judgement.table) - len(step2) - measured
    assert None not in headings and settings > 10
    outputs = [text for name, text in page.texts if name == "output"]
    assert outputs == [f"{len(judgement.table)} rows", f"{len(step2)} rows", f"{measured} rows"]


def test_every_network_with_an_accuracy_is_a_point_that_says_all_about_it(page, judgement, step2):
    said = {point["data-network"]: point["aria-label"] for point in page.all("svg") if "aria-label" in point}
    known = step2[step2["val_accuracy"].notna()]
    assert {*judgement.table["fingerprint"], *known["fingerprint"]} <= said.keys()
    labels = [
        point["aria-label"] for point in page.all("svg") if point.get("data-network") == judgement.winner.fingerprint
    ]
    assert any("winner of STEP 1" in label and "3 seeds" in label and "multiply-adds" in label for label in labels)
    assert sum("extrapolated" in label for label in said.values()) == (known["source"] == "extrapolated").sum()


def test_learning_curves_are_there_where_networks_were_looked_at_more_than_once(page):
    figures = [figure["id"] for figure in page.all("figure")]
    assert figures == ["accuracy", "step1-plot", "curves-train-loss"]


def test_it_says_how_sure_step_1_is(page, judgement):
    text = page.text_of("p")
    assert separation_text(judgement) in text and region_text(judgement) in text


def test_a_run_without_step_1_is_not_said_to_be_sure_of_it(new_run):
    assert "How certain" not in page_of(new_run.path).text_of("h2")


def test_a_grid_too_small_for_a_surface_says_so(new_run):
    page = page_of(write_step1(new_run, grid=Grid("coefficients", step=0.2)).path)
    assert "There is no region of best shares of growth" in page.text_of("p")


def test_every_control_has_a_label(content):
    for control in re.findall(rb"<(?:input|select)[^>]*>", content):
        before = content[: content.index(control)]
        assert before.rfind(b"<label") > before.rfind(b"</label>")


def test_config_and_command_are_there(page):
    assert page.text_of("pre") == COMMAND
    text = page.text_of("td")
    assert "made-up:0" in text and "efficientnet_tiny" in text


def test_a_run_of_a_manifest_alone_says_what_there_is_not(new_run):
    page = page_of(new_run.path)
    text = page.text_of("p")
    assert "There is no answer yet." in text and "No trainings are planned yet." in text
    assert "The grid of STEP 1 is not planned" in text and "No training has finished" in text
    assert not page.all("figure") and len(page.all("table")) == 1


def test_a_grid_without_a_finished_training_says_so(new_run):
    write_step1(new_run, grid=Grid("coefficients", step=0.1), seeds=())
    text = page_of(new_run.path).text_of("p")
    assert "There is no answer yet." in text and "no network of STEP 1 has a finished training" in text
    assert re.search(r"0 of \d+ planned trainings have finished", text)


def test_a_run_cut_short_answers_so_far(step1_run):
    for file in sorted((step1_run.path / "trials").glob("*.json"))[::2]:
        file.unlink()
    page = page_of(step1_run.path)
    assert "So far, at phi 1" in page.text_of("p") and "STEP 2 is not planned" in page.text_of("p")
    assert [figure["id"] for figure in page.all("figure")][:2] == ["accuracy", "step1-plot"]


def test_a_published_model_that_is_trained_before_step_2_is_laid_out_is_shown(step1_run):
    early = network_at(PAPER_RULE.at(3.0))
    step1_run.directory.write_record(to_record(spec_of(early, 0), outcome_of(early, 0)))
    page = page_of(step1_run.path)
    points = [point for point in page.all("svg") if point.get("data-network") == early.fingerprint]
    assert points[0]["aria-label"].startswith("depth 1.728, width 1.331, resolution 1.521")
    assert any("other networks" in text for _, text in page.texts)


def test_a_network_without_rivals_is_not_said_to_be_ahead_of_any(new_run):
    run = write_step1(new_run, grid=Grid("coefficients", step=0.1), seeds=())
    network = network_at(next(iter(Grid("coefficients", step=0.1).rules())).at(1.0))
    for seed in range(3):
        new_run.write_record(to_record(spec_of(network, seed), outcome_of(network, seed)))
    assert "the only network of the grid that has finished" in page_of(run.path).text_of("p")


def test_step_1_alone_is_whole_once_its_winner_is_tested(step1_run):
    manifest = step1_run.directory.manifest()
    manifest["config"]["steps"] = [1]
    step1_run.directory.write_document("manifest", manifest)
    winner = next(iter(step1_run.networks.values()))
    step1_run.directory.write_record(to_record(spec_of(winner, 0, "test"), Outcome("ok", 0.5)))
    text = page_of(step1_run.path).text_of("p")
    assert "So far" not in text and "not planned" not in text


def test_step_2_alone_can_be_shown(new_run):
    new_run.write_document("step2", step2_document())
    small = network_at(PAPER_RULE.at(0.0))
    new_run.write_record(to_record(spec_of(small, 0), outcome_of(small, 0)))
    page = page_of(new_run.path)
    assert "B0 by the found coefficients reaches" in page.text_of("p")
    assert page.all("figure")[0]["id"] == "accuracy"


def test_networks_of_a_sweep_are_shown(tmp_path):
    config = SweepConfig(name="made-up", family="efficientnet_tiny", data="digits", runs=str(tmp_path))
    new_run = start_run(config, "made-up:0")
    names = {"baseline": (1.0, 1.0, 1.0), "width": (1.0, 2.0, 1.0), "compound": (1.4, 1.2, 1.3)}
    networks = {name: network_at(Scale(*scale)) for name, scale in names.items()}
    rows = [{"scaling": name, "network": to_dict(network)} for name, network in networks.items()]
    new_run.write_document("sweep", {"rows": rows, "init": None})
    for network in networks.values():
        for seed in range(3):
            new_run.write_record(to_record(spec_of(network, seed), outcome_of(network, seed)))
    page = page_of(new_run.path)
    assert page.text_of("h1") == "How accurate is efficientnet_tiny on digits?"
    assert "STEP" not in page.text_of("p") and "9 of 9 planned trainings" in page.text_of("p")
    assert "width 2" in page.text_of("th") and page.all("table")[0]["id"] == "sweep"


def test_a_training_can_be_reported(tmp_path):
    new_run = start_run(TrainConfig(name="made-up", runs=str(tmp_path)), "made-up:0")
    network = network_at(Scale(1.0, 1.5, 1.0))
    new_run.write_document("sweep", {"rows": [{"scaling": "network", "network": to_dict(network)}], "init": None})
    new_run.write_record(to_record(spec_of(network, 0), outcome_of(network, 0)))
    page = page_of(new_run.path)
    assert page.text_of("title") == "made-up: training" and "network" in page.text_of("option")


def test_failures_are_rows_with_their_reasons(new_run):
    def outcome(network, seed):
        return outcome_of(network, seed) if seed else Outcome("failed", reason="the training loss was nan")

    page = page_of(write_step1(new_run, grid=Grid("coefficients", step=0.1), outcome=outcome).path)
    assert "failures" in [table.get("id") for table in page.all("table")]
    assert "the training loss was nan" in page.text_of("td") and "failed." in page.text_of("p")


HOSTILE = "<script>window.hacked = 1</script></script><img src=x onerror='window.hacked = 2'>\"'`&lt;{{ 7 * 7 }}\u202e"


@pytest.fixture
def hostile_run(tmp_path):
    """A run that names everything it can after an attack on its report."""
    made = write_step1(
        start_run(RunConfig(name="h", runs=str(tmp_path), family=HOSTILE, data=HOSTILE), HOSTILE),
        grid=Grid("coefficients", step=0.1),
        outcome=lambda network, seed: outcome_of(network, seed) if seed else Outcome("failed", reason=HOSTILE),
    )
    made.directory.write_document("step2", step2_document())
    name = json.dumps(HOSTILE)
    for file in [*made.path.glob("step*.json"), *made.path.glob("trials/*.json")]:
        text = file.read_text().replace('"made_up"', name).replace('"B3"', name).replace('"6x64@16"', name)
        # Whoever writes such a record gives it no checksum, as earlier versions did.
        file.write_text(json.dumps({name: part for name, part in json.loads(text).items() if name != "checksum"}))
    return made.path.rename(tmp_path / 'h"><script>window.hacked=3<')


def test_names_of_a_run_are_text_whatever_they_are(hostile_run):
    page = page_of(hostile_run)
    assert len(page.all("script")) == 1 and not page.all("img")
    assert HOSTILE in {text for name, text in page.texts if name == "td"}
    assert any(HOSTILE in text for name, text in page.texts if name == "h1")
    assert 'h"><script>window.hacked=3<: compound scaling' in page.text_of("title")
    assert HOSTILE in {row.get("data-network") for row in page.all("tr")}
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


def test_a_folder_whose_name_is_no_unicode_can_be_reported(new_run):
    odd = new_run.path.rename(os.fsdecode(os.fsencode(new_run.path.parent) + b"/odd-\xff"))
    assert page_of(odd).text_of("title") == "odd-?: compound scaling"


@pytest.mark.parametrize("config", [None, [], {"family": "f", "data": "d", "phi": 1.0}, {"family": 3}])
def test_a_manifest_that_says_nothing_is_refused(tmp_path, config):
    RunDirectory(tmp_path).write_document("manifest", {"config": config})
    with pytest.raises(UserError, match=r"the manifest of .* does not state .*seeds"):
        findings_of(load_run(tmp_path))
