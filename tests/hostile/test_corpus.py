"""Every entry of the corpus is refused in one line, or read without harm."""

import re
import resource
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest

from scaling_search.errors import UserError
from tests.hostile.corpus import ATTACKS, RAN

MORE_MEMORY = 2 * 2**30
"""Bytes that an entry may take beside what this process has already."""


@contextmanager
def little_memory():
    pages = Path("/proc/self/statm")
    if not pages.exists():
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    now = int(pages.read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MORE_MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def outside(folder):
    """What lies beside the folder that an entry may write to."""
    return sorted(file.name for file in folder.parent.iterdir())


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name.replace("\0", "0"))
def test_it_is_refused_in_one_line_or_read_without_harm(attack, tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    place = attack.make(folder)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    before = outside(folder)
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        with little_memory():
            if attack.refused:
                with pytest.raises(UserError) as refused:
                    attack.read(place)
                line = str(refused.value)
                assert re.search(attack.refused, line), line
                assert "\n" not in line and "\x1b" not in line and len(line) < 1500
            else:
                attack.read(place)
    said = [str(one.message) for one in given]
    assert not attack.warned or any(re.search(attack.warned, line) for line in said), said
    assert not (folder / RAN).exists()
    assert outside(folder) == before
    assert "hostile_module" not in sys.modules
