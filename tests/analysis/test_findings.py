import pytest

from scaling_search.analysis import findings_of, frontier_frame, judge, load_run, step2_table
from scaling_search.analysis.figures import OF_RUNS
from scaling_search.errors import UserError


def test_findings_hold_what_each_part_says_by_itself(findings, whole):
    judgement = judge(whole.points, whole.trials)
    assert findings.winner == judgement.winner and findings.step1.equals(judgement.table)
    assert findings.step2.equals(step2_table(whole.models, whole.trials))
    assert findings.frontier.equals(frontier_frame(whole))
    assert findings.tested["fingerprint"].tolist() == [findings.winner.fingerprint]
    assert findings.sweep is None and findings.nas is None
    assert findings.complete and not findings.missing


def test_a_run_of_a_manifest_alone_has_found_nothing(new_run):
    findings = findings_of(load_run(new_run.path))
    parts = (findings.winner, findings.step1, findings.step2, findings.sweep, findings.nas, findings.frontier)
    assert all(part is None for part in (*parts, findings.tested))
    assert not findings.complete and len(findings.missing) == 3
    for name in OF_RUNS:
        with pytest.raises(UserError):
            findings.figure(name)


@pytest.mark.parametrize("name", ["frontier", "grid", "curves", "edf"])
def test_a_figure_is_shown_by_a_notebook(findings, name):
    picture, size = findings.figure(name)._repr_png_()
    assert picture.startswith(b"\x89PNG") and size["width"] > 400


def test_an_unknown_figure_is_refused_with_those_there_are(findings):
    with pytest.raises(UserError, match="figure 'pie' given; it must be one of frontier, grid"):
        findings.figure("pie")
