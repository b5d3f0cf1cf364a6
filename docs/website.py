"""What the site has beside the pages of this folder: README, CONTRIBUTING, CHANGELOG, a page a model in its place.

Links to files outside `docs/` (code, licence) become their text, pictures from elsewhere are left out.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

HOUSE = Path(__file__).parent.parent
PAGES = {"index.md": "README.md", "contributing.md": "CONTRIBUTING.md", "changes.md": "CHANGELOG.md"}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def on_config(config: Any) -> Any:
    """A page for each model stands below the models."""
    models = next(part["Models"] for part in config.nav if "Models" in part)
    models.append({"One by one": [f"models/{path.name}" for path in sorted((HOUSE / "docs" / "models").glob("*.md"))]})
    return config


def on_files(files: Any, config: Any) -> Any:
    """The pages that lie in the root of the project."""
    from mkdocs.structure.files import File

    for page, source in PAGES.items():
        files.append(File.generated(config, page, content=(HOUSE / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links as they are on the site."""
    uri = page.file.src_uri
    folder = HOUSE if uri in PAGES else HOUSE / "docs" / Path(uri).parent
    here = HOUSE / "docs" / Path(uri).parent
    return LINK.sub(lambda found: _link(found, folder, here), markdown)


def _link(found: re.Match[str], folder: Path, here: Path) -> str:
    """A link as the page at `here` has it, from the text that lies in `folder`."""
    picture, text, target = found.groups()
    path, _, anchor = target.partition("#")
    if "://" in path and picture:  # a badge
        return ""
    if not path or "://" in path:
        return found[0]
    whole = (folder / path).resolve()
    pages = {(HOUSE / source).resolve(): HOUSE / "docs" / page for page, source in PAGES.items()}
    whole = pages.get(whole, whole)
    docs = (HOUSE / "docs").resolve()
    if not whole.is_relative_to(docs) or whole.suffix in {".py", ".ipynb"}:
        return text
    there = Path(os.path.relpath(whole, here.resolve())).as_posix()
    return f"{picture}[{text}]({there}{'#' if anchor else ''}{anchor})"
