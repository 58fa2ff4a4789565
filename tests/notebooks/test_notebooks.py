"""Every notebook runs from top to bottom, and is kept without what came of it."""

import json
import os
import re
import shutil
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).parents[2]
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


@pytest.mark.slow
@every_notebook
def test_it_runs_from_top_to_bottom(path, tmp_path):
    # A copy, so that nothing is written into the repository.
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    (tmp_path / "tables").symlink_to(ROOT / "tables")
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "TMPDIR": str(tmp_path),
    }
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(tmp_path / "notebooks")}}
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=where).execute(env=environment)
    assert all(cell["execution_count"] for cell in notebook.cells if cell.cell_type == "code")
