"""A folder to run in, with the recorded tables in it as in a checkout."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current directory, with `tables/` in it."""
    (tmp_path / "tables").symlink_to(ROOT / "tables")
    monkeypatch.chdir(tmp_path)
    return tmp_path
