"""Print the table of a run, in a general layout or that of a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import _options as options

Html = Annotated[
    Path | None,
    typer.Option(help="Write a page with tables, charts and pictures into this folder, or one file: --html page.html."),
]


def command(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN", help="Run folders; several share one table.", show_default=False),
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="Name of a layout, or a .toml file of your own; general unless given.")
    ] = None,
    form: options.Format = None,
    out: options.TextFile = None,
    published: Annotated[
        str | None,
        typer.Option(
            help="The paper's numbers: beside, only or none. Beside where the layout has them.", show_default=False
        ),
    ] = None,
    standalone: Annotated[bool, typer.Option("--standalone", help="LaTeX that compiles alone.")] = False,
    html: Html = None,
    layouts: Annotated[bool, typer.Option("--layouts", help="List the layouts and leave.")] = False,
) -> None:
    """Print the table of one or several runs.

    Example: bench report runs/demo

    Example: bench report runs/celeba runs/places2 --layout rnon-table3 --format latex --out table3.tex

    Example: bench report --layout survey-table1

    Example: bench report runs/demo --html page
    """
    table = {"--layout": layout, "--format": form, "--out": out, "--published": published, "--standalone": standalone}
    if layouts:
        options.refuse("--layouts", {"RUN": runs, "--html": html} | table)
        _print_layouts()
    elif html:
        options.refuse("--html", table)
        print(_page(runs or [], html))
    else:
        from bench.report import fill

        report = fill.report(runs or [], options.expanded(layout or "general"), published)
        options.write_report(report, form, out, standalone=standalone)


def _print_layouts() -> None:
    from bench.columns import align
    from bench.report import layout

    print("\n".join(align([(name, layout.load(name).title) for name in layout.names()])))


def _page(runs: list[Path], out: Path) -> Path:
    from bench.errors import BadInput
    from bench.report.page import build

    if len(runs) != 1:
        raise BadInput("--html takes one run: bench report RUN --html DIR, or --html FILE.html.")
    return build.write(runs[0], out)
