"""Every notebook runs from top to bottom, and is kept without what came of it."""

import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest
from jupyter_client import KernelManager

from scaling_search import SweepConfig
from scaling_search.cli import commands, main
from scaling_search.family import load_family
from scaling_search.recorded import RecordedTable
from scaling_search.search.candidates import network_at
from scaling_search.search.grid import lay_out
from scaling_search.search.sweep import scales_of

ROOT = Path(__file__).parents[2]
TABLE = RecordedTable(ROOT / "tables" / "fashion_mnist.parquet")
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells_of(path, kind):
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


@every_notebook
def test_it_is_kept_clean(path):
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells_of(path, "code"))


@every_notebook
def test_it_begins_by_saying_what_it_shows_and_its_links_lead_somewhere(path):
    words = ["".join(cell["source"]) for cell in cells_of(path, "markdown")]
    assert words[0].startswith("# ")
    for link in re.findall(r"\]\(([^)#:]+)\)", "\n".join(words)):
        assert (path.parent / link).exists(), link


def commands_of(path):
    """The commands in a notebook's first cell that train, as lists of words, their variables filled in."""
    text = "".join(cells_of(path, "markdown")[0]["source"]).replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    same = next((shlex.split(line)[0].partition("=")[2] for line in lines if line.startswith("SAME=")), "")
    return [shlex.split(line.replace("$SAME", same))[1:] for line in lines if "$SAME" in line]


@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if commands_of(path)], ids=lambda path: path.stem)
def test_its_commands_are_those_that_made_the_table(path, monkeypatch):
    parsed = []
    for kind in (commands.Run, commands.Step1, commands.Sweep):
        monkeypatch.setattr(kind, "execute", lambda command: parsed.append(command))
    for words in commands_of(path):
        main(words)
    config = TABLE.config()
    run, *others = [command.config for command in parsed]
    assert run.what_it_computes() == config.what_it_computes()
    classes = TABLE.manifest()["images"]["classes"]
    named = {"name": config.family, "options": config.family_options}
    family = load_family(config.family, config.family_options)
    same = ("data", "split", "recipe", "seeds", "seed", "family", "family_options")
    for other in others:
        assert [getattr(other, name) for name in same] == [getattr(config, name) for name in same]
        if isinstance(other, SweepConfig):
            networks = [network_at(family, scale, classes, **named) for _, scale in scales_of(other)]
        else:
            networks = lay_out(family, other, classes).networks
        assert all(map(TABLE.has, networks))


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """A kernel beside a copy of the notebooks, so that nothing is written into the repository.

    One for all of them: each would load the same packages again.
    """
    place = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "notebooks", place / "notebooks")
    (place / "tables").symlink_to(ROOT / "tables")
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "IPYTHONDIR": str(place / "ipython"),
        "TMPDIR": str(place),
    }
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(place / "notebooks"), env=environment)
    yield manager
    manager.shutdown_kernel(now=True)


@pytest.mark.slow
@every_notebook
def test_it_runs_from_top_to_bottom(path, kernel):
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        # What is trained here, and not replayed, is less and for less long: nobody reads what comes of it.
        cell.source = re.sub(r"Recipe\(epochs=\d+", "Recipe(epochs=1", cell.source)
        cell.source = cell.source.replace("Grid(divisions=2)", "Grid(divisions=1)")
    # No name is left of the notebook before. Pictures beside a run's tables, at which none looks, are words.
    first = ("%reset -f", "import scaling_search.experiments.outputs as o", "o._drawn = lambda *_: b'words'", "del o")
    notebook.cells.insert(0, nbformat.v4.new_code_cell("\n".join(first)))
    nbclient.NotebookClient(notebook, km=kernel, timeout=600).execute()
    assert all(cell["execution_count"] for cell in notebook.cells if cell.cell_type == "code")
