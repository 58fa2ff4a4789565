"""What the README and the guides tell people to type exists."""

import ast
import re
import shlex
from pathlib import Path

import pytest

from scaling_search.cli import main
from scaling_search.cli.commands import COMMANDS

ROOT = Path(__file__).parents[1]
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

every_guide = pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)


def commands_in(guide):
    """The commands in a guide as lists of words, their variables filled in."""
    text = guide.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    variables = dict(re.match(r'(\w+)="(.*)"', line).groups() for line in lines if re.match(r'\w+="', line))
    for line in lines:
        if line.startswith("scaling-search "):
            for name, value in variables.items():
                line = line.replace(f"${name}", value)
            yield shlex.split(line, comments=True)[1:]


@every_guide
def test_its_commands_are_understood(guide, monkeypatch):
    monkeypatch.chdir(ROOT)
    parsed = []
    for kind in COMMANDS.values():
        monkeypatch.setattr(kind, "execute", lambda command: parsed.append(command))
    for words in commands_in(guide):
        # The table that a reader has made by the command before.
        main(["tables/fashion_mnist.parquet" if word == "glyphs.parquet" else word for word in words])
    assert len(parsed) == len(list(commands_in(guide)))


@every_guide
def test_what_its_python_imports_is_there(guide):
    for block in re.findall(r"```python\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                exec(ast.unparse(node), {})
