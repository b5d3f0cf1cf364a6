"""Draw a figure of a run for a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import _options as options

KINDS_HELP = "curves (metric against ratio), costs (quality against seconds), or grid (pictures)."


def command(
    run: options.RunFolder,
    out: Annotated[Path, typer.Option(help="The file: .pdf or .png.")],
    kind: Annotated[str, typer.Option(help=KINDS_HELP)] = "curves",
    metric: Annotated[str, typer.Option(help="The run's first unless given.", show_default=False)] = "",
    masks: Annotated[str, typer.Option(help="Mask set or family; the run's first.", show_default=False)] = "",
    bucket: Annotated[str, typer.Option(help="For a grid; the middle one.", show_default=False)] = "",
    models: Annotated[str, typer.Option(help="Lines, dots or columns, comma-separated; all.", show_default=False)] = "",
    images: Annotated[str, typer.Option(help="Rows of a grid, comma-separated; four.", show_default=False)] = "",
    width: Annotated[str, typer.Option(help="column (84 mm), page (174 mm) or millimetres.")] = "column",
    serif: Annotated[bool, typer.Option("--serif", help="Letters with serifs.")] = False,
) -> None:
    """Draw curves, quality against cost, or a grid of pictures as PDF or PNG.

    Example: bench figure runs/demo --kind curves --metric psnr --masks freeform --serif --out psnr.pdf

    Example: bench figure runs/demo --kind grid --bucket 30-40 --width page --out pictures.pdf
    """
    from bench.report import figures

    choice = figures.Choice(metric, masks, bucket, options.names(models), options.names(images))
    print(figures.draw(run, kind, out, choice, width=width, serif=serif))
