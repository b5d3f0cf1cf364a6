"""A report from run folders, a layout and a format; what `bench report` and the library call."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from bench.errors import BadInput, UnknownName
from bench.report import fill, layout, results
from bench.report.formats import html, latex, markdown, records, terminal
from bench.report.table import Report

SUFFIXES = {
    ".txt": "terminal",
    ".md": "markdown",
    ".tex": "latex",
    ".csv": "csv",
    ".json": "json",
    ".html": "html",
}
WIDTH = 120
"""Columns of a text that is not shown on a terminal."""


def choose_format(name: str | None, out: Path | None) -> str:
    """The format asked for, or that of the file's suffix, or the terminal's."""
    if name is None:
        return SUFFIXES.get(out.suffix, "terminal") if out else "terminal"
    if name not in SUFFIXES.values():
        raise UnknownName("format", [name], SUFFIXES.values(), "bench report --help")
    return name


def build(runs: Sequence[Path], name: str, published: str | None = None) -> Report:
    """Fill a layout (by name or file) from run folders; `published` as in `fill.build`, None for what fits."""
    chosen = layout.load(name)
    if published is None:
        both = runs and chosen.source != "print"
        published = "none" if not chosen.published else "beside" if both else "only"
    return fill.build(chosen, [results.load(root) for root in runs], published)


def text(
    runs: Sequence[Path],
    name: str,
    form: str = "terminal",
    published: str | None = None,
    *,
    standalone: bool = False,
    styled: bool = False,
) -> str:
    """A report as text in one of the formats; the same arguments give the same bytes."""
    if standalone and form != "latex":
        raise BadInput("--standalone is for --format latex.")
    return render(build(runs, name, published), form, standalone=standalone, styled=styled)


def render(report: Report, form: str = "terminal", *, standalone: bool = False, styled: bool = False) -> str:
    """A report in one of the formats of `SUFFIXES`."""
    if form == "latex":
        return latex.render(report, standalone=standalone)
    if form == "terminal":
        width = shutil.get_terminal_size((WIDTH, 0)).columns if styled else WIDTH
        return terminal.render(report, width=width, styled=styled)
    renderers = {
        "markdown": markdown.render,
        "csv": records.render_csv,
        "json": records.render_json,
        "html": html.render,
    }
    return renderers[form](report)


def page(runs: Sequence[Path], out: Path) -> Path:
    """Write the page of one run into a folder; its `index.html` is returned."""
    from bench.report.page import build as pages

    if len(runs) != 1:
        raise BadInput("--html takes one run: bench report RUN --html DIR.")
    return pages.write(runs[0], out)


def listing() -> list[str]:
    """A line for each shipped layout: name and title."""
    titles = {name: layout.load(name).title for name in layout.names()}
    return [f"{name:<{max(map(len, titles))}}  {title}" for name, title in titles.items()]
