"""Makes pages of the site from files outside docs/: the README, notebooks and examples, with links that lead there."""

import json
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)")
_FENCED = re.compile(r"(```.*?```)", re.DOTALL)


def _notebook(file: Path) -> str:
    """A notebook as Markdown. It is kept without outputs, and so is its page."""
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    sources = [("".join(cell["source"]), cell["cell_type"] == "code") for cell in cells]
    return "\n\n".join(f"```python\n{source}\n```" if is_code else source for source, is_code in sources)


def _example(file: Path) -> str:
    return f"# {file.name}\n\n```python\n{file.read_text(encoding='utf-8')}```\n"


def _list_of(notebooks: list[Path]) -> str:
    """The page that a link to the folder of notebooks leads to."""
    titles = {file: _notebook(file).partition("\n")[0].lstrip("# ") for file in notebooks}
    return "# Notebooks\n\n" + "\n".join(f"- [{title}](notebooks/{file.name})" for file, title in titles.items())


def _outside() -> dict[str, tuple[str, str]]:
    """By the path of a file in the repository: the path of its page in docs/, and the page."""
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    pages = {name: (page, (ROOT / name).read_text(encoding="utf-8")) for name, page in _DOCUMENTS.items()}
    for file in notebooks:
        pages[f"notebooks/{file.name}"] = (f"notebooks/{file.stem}.md", _notebook(file))
    for file in sorted((ROOT / "examples").glob("*.py")):
        pages[f"examples/{file.name}"] = (f"examples/{file.stem}.md", _example(file))
    return {**pages, "notebooks": ("notebooks/index.md", _list_of(notebooks))}


_DOCUMENTS = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
PAGES = _outside()
_SOURCES = {page: name for name, (page, _) in PAGES.items()}


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages."""
    for page, content in PAGES.values():
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **about: Any) -> str:
    """Turns links between files of the repository into links between pages."""
    here = page.file.src_uri
    # Where the text lies in the repository; of the list of notebooks, links are from the root.
    folder = {"notebooks": ""}.get(source := _SOURCES.get(here, f"docs/{here}"), posixpath.dirname(source))

    def moved(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[1]))
        led_to = PAGES[target][0] if target in PAGES else target.removeprefix("docs/")
        return posixpath.relpath(led_to, posixpath.dirname(here) or ".")

    parts = _FENCED.split(markdown)
    return "".join(part if part.startswith("```") else _LINK.sub(moved, part) for part in parts)
