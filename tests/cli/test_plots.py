import pytest

from scaling_search.cli import main
from scaling_search.config import RunConfig
from scaling_search.rule import Grid
from scaling_search.store import start_run
from tests.analysis.made_up import write_step1, write_step2


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Folder of a small finished run, relative to the current one."""
    monkeypatch.chdir(tmp_path)
    directory = start_run(RunConfig(name="made-up", runs="runs"), "made-up:0")
    write_step1(directory, grid=Grid("coefficients", step=0.1))
    write_step2(directory)
    return directory.path


@pytest.mark.parametrize("figure", ["1", "3", "5", "8"])
def test_the_papers_figures_need_no_run(figure, tmp_path, capsys):
    file = tmp_path / "figure.pdf"
    main(["plot", "paper", "--figure", figure, "-o", str(file)])
    assert file.read_bytes().startswith(b"%PDF") and capsys.readouterr().out == f"{file}\n"


@pytest.mark.parametrize(
    ("figure", "stem"),
    [
        ("frontier", "accuracy_against_multiply_adds"),
        ("curves", "learning_curves"),
        ("grid", "step1_grid"),
        ("edf", "error_distributions"),
    ],
)
def test_figures_of_a_run_lie_beside_its_tables(run, figure, stem, capsys):
    main(["plot", str(run), "--figure", figure])
    assert capsys.readouterr().out.split() == [str(run / f"{stem}.png"), str(run / f"{stem}.svg")]
    assert (run / f"{stem}.png").read_bytes().startswith(b"\x89PNG")
    assert (run / f"{stem}.svg").read_bytes().startswith(b"<?xml")


def test_several_runs_are_drawn_by_a_pattern(run, tmp_path):
    main(["plot", "runs/*", "--figure", "edf", "-o", "edf.SVG"])
    assert (tmp_path / "edf.SVG").read_bytes().startswith(b"<?xml")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["runs/made-up", "--figure", "3"], "scaling-search sweep --family made_up --data DATA"),
        (["runs/made-up", "--figure", "4"], "pairs of depth and resolution here have three widths"),
        (["runs/made-up", "--figure", "8"], "Figure 8 lacks the baseline and networks with one of"),
        (["runs/made-up", "--figure", "1"], "try scaling-search plot paper --figure 1"),
        (["runs/made-up", "--figure", "2"], "invalid choice '2'"),
        (["paper", "-o", "figure.pdf"], "figures 1, 3, 5 and 8"),
        (["paper", "--figure", "5"], "add --output figure_5.pdf"),
        (["runs/*", "--figure", "edf"], "add --output figure_edf.pdf"),
        (["runs/none*", "--figure", "edf", "-o", "edf.pdf"], "no run matches 'runs/none*'"),
        (["runs/made-up", "-o", "figure.jpg"], ".png, .svg, .pdf"),
        (["runs/made-up", "-o", "nowhere/figure.png"], "nowhere is not a folder"),
    ],
)
def test_what_cannot_be_drawn_gets_one_line_and_writes_nothing(run, words, complaint, tmp_path, capsys):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as stop:
        main(["plot", *words])
    printed = capsys.readouterr()
    assert stop.value.code == 2 and printed.out == ""
    assert complaint in printed.err and printed.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
