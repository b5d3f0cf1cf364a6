"""Print the table of a run, in a general layout or that of a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN", help="Run folders; several share one table.", show_default=False),
    ] = None,
    layout: Annotated[str, typer.Option(help="Name of a layout, or a .toml file of your own.")] = "general",
    form: Annotated[
        str | None,
        typer.Option(
            "--format", help="terminal, markdown, latex, csv, json or html; else as the suffix of --out says."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write to this file instead of printing.")] = None,
    published: Annotated[
        str | None,
        typer.Option(
            help="The paper's numbers: beside, only or none. Beside where the layout has them.", show_default=False
        ),
    ] = None,
    standalone: Annotated[bool, typer.Option("--standalone", help="LaTeX that compiles alone.")] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write a page with tables, curves and gallery into this folder.")
    ] = None,
    layouts: Annotated[bool, typer.Option("--layouts", help="List the layouts and leave.")] = False,
) -> None:
    """Print the table of one or several runs.

    Example: bench report runs/demo

    Example: bench report runs/celeba runs/places2 --layout rnon-table3 --format latex --out table3.tex

    Example: bench report --layout survey-table1

    Example: bench report runs/demo --html page
    """
    import sys

    from bench.disk import write_text
    from bench.report import main

    if layouts:
        print("\n".join(main.listing()))
        return
    if html:
        print(main.page(runs or [], html))
        return
    form = main.choose_format(form, out)
    text = main.text(runs or [], layout, form, published, standalone=standalone, styled=not out and sys.stdout.isatty())
    if out:
        write_text(out, text)
    else:
        sys.stdout.write(text)
