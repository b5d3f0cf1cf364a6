"""Draw a figure of a run for a paper."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import _options as options

KINDS_HELP = "curves (metric against ratio), costs (quality against seconds), or grid (pictures); curves unless given."
Runs = Annotated[
    list[Path] | None,
    typer.Argument(metavar="RUN", help="A run folder; layouts may take several.", show_default=False),
]
Out = Annotated[Path | None, typer.Option(help="The file: .pdf or .png.", show_default=False)]


def command(
    runs: Runs = None,
    out: Out = None,
    kind: Annotated[str, typer.Option(help=KINDS_HELP, show_default=False)] = "",
    layout: Annotated[str, typer.Option(help="A paper's figure by name, or a .toml file.", show_default=False)] = "",
    metric: Annotated[str, typer.Option(help="The run's first unless given.", show_default=False)] = "",
    masks: Annotated[str, typer.Option(help="Mask set or family; the run's first.", show_default=False)] = "",
    bucket: Annotated[str, typer.Option(help="For a grid; the middle one.", show_default=False)] = "",
    models: Annotated[str, typer.Option(help="Lines, dots or columns, comma-separated; all.", show_default=False)] = "",
    images: Annotated[str, typer.Option(help="Rows of a grid, comma-separated; four.", show_default=False)] = "",
    width: Annotated[
        str, typer.Option(help="column (84 mm), page (174 mm) or millimetres; a layout's is page.", show_default=False)
    ] = "",
    serif: Annotated[bool, typer.Option("--serif", help="Letters with serifs.")] = False,
    layouts: Annotated[bool, typer.Option("--layouts", help="List the figure layouts and leave.")] = False,
) -> None:
    """Draw curves, quality against cost, or pictures as PDF or PNG; a paper's figure by its layout.

    Example: bench figure runs/demo --kind curves --metric psnr --masks freeform --serif --out psnr.pdf

    Example: bench figure runs/demo --kind grid --bucket 30-40 --width page --out pictures.pdf

    Example: bench figure runs/celeba runs/places2 --layout rnon-figure7 --out figure7.pdf
    """
    from bench.errors import BadInput, printable
    from bench.report import figures

    named = {"--metric": metric, "--masks": masks, "--bucket": bucket, "--models": models, "--images": images}
    if layouts:
        options.refuse("--layouts", {"RUN": runs, "--out": out, "--kind": kind, "--layout": layout} | named)
        _print_layouts()
        return
    if not runs or out is None:
        raise BadInput(f"{'--out' if runs else 'RUN'} is missing: bench figure RUN --out FILE.pdf")
    if layout:
        options.refuse("--layout", {"--kind": kind} | named)
        drawn, lacks = figures.draw_layout(runs, options.expanded(layout), out, width=width or "page", serif=serif)
        print(drawn)
        if lacks:
            print(printable(lacks), file=sys.stderr)
        return
    if len(runs) > 1:
        raise BadInput("Only a --layout takes several runs.")
    choice = figures.Choice(metric, masks, bucket, options.names(models), options.names(images))
    print(figures.draw(runs[0], kind or "curves", out, choice, width=width or "column", serif=serif))


def _print_layouts() -> None:
    from bench.columns import align
    from bench.report import figure_layout

    held = [(name, found.source, found.title) for name in figure_layout.names() for found in [figure_layout.load(name)]]
    print("\n".join(align([("layout", "figure", "what it shows"), *held])))
