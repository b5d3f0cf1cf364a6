"""Print the table of a run, in a general layout or that of a paper."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import _options as options
from bench.errors import printable
from bench.report import formats

if TYPE_CHECKING:
    from bench.report.table import Report

Html = Annotated[
    Path | None,
    typer.Option(help="Write a page with tables, charts and pictures into this folder, or one file: --html page.html."),
]


Runs = Annotated[
    list[Path] | None,
    typer.Argument(metavar="RUN", help="Run folders; several share one table.", show_default=False),
]
Layout = Annotated[
    str | None, typer.Option(help="Name of a layout, or a .toml file of your own; general unless given.")
]
Published = Annotated[
    str | None,
    typer.Option(
        help="The paper's numbers: beside, only or none. Beside where the layout has them.", show_default=False
    ),
]
Shown = Annotated[str, typer.Option(help="Only these, by name, family or glob; comma-separated.", show_default=False)]
Sort = Annotated[str, typer.Option(help="`name`, or the metric by which models stand best first.", show_default=False)]
Summary = Annotated[bool, typer.Option("--summary", help="One row a model: means over all cells.")]
Long = Annotated[bool, typer.Option("--long", help="With protocol, command and digests, as files have them.")]


def command(
    runs: Runs = None,
    layout: Layout = None,
    form: options.Format = None,
    out: options.TextFile = None,
    published: Published = None,
    models: Shown = "",
    metrics: Shown = "",
    masks: Shown = "",
    buckets: Shown = "",
    sort: Sort = "",
    summary: Summary = False,
    long: Long = False,
    standalone: Annotated[bool, typer.Option("--standalone", help="LaTeX that compiles alone.")] = False,
    html: Html = None,
    layouts: Annotated[bool, typer.Option("--layouts", help="List the layouts and leave.")] = False,
) -> None:
    """Print the table of one or several runs.

    Example: bench report runs/demo

    Example: bench report runs/celeba runs/places2 --layout rnon-table3 --format latex --out table3.tex

    Example: bench report runs/demo --summary

    Example: bench report runs/demo --models 'deepfill*,telea' --metrics psnr --masks freeform

    Example: bench report runs/demo --html page
    """
    named = {"--models": models, "--metrics": metrics, "--masks": masks, "--buckets": buckets, "--sort": sort}
    table = {"--layout": layout, "--format": form, "--out": out, "--published": published, "--standalone": standalone}
    table |= named | {"--summary": summary, "--long": long}
    formats.choose(form, out)
    if layouts:
        options.refuse("--layouts", {"RUN": runs, "--html": html} | table)
        _print_layouts()
    elif html:
        options.refuse("--html", table)
        print(_page(runs or [], html))
    else:
        if summary:
            options.refuse("--summary", {"--layout": layout, "--published": published, "--long": long})
        report = _report(runs or [], layout, published, named, summary=summary, long=bool(long or out or form))
        options.write_report(report, form, out, standalone=standalone)
        _check_used(report)


def _check_used(report: Report) -> None:
    """End with status 1 where a run was given in vain."""
    for sentence in report.unused:
        print(printable(sentence), file=sys.stderr)
    if report.unused:
        raise typer.Exit(1)


def _report(
    runs: list[Path], layout: str | None, published: str | None, named: dict[str, str], *, summary: bool, long: bool
) -> Report:
    from bench.errors import BadInput
    from bench.report import fill, results
    from bench.report import summary as summaries
    from bench.report.filters import Selection

    if published == "only":
        options.refuse("--published only", {"RUN": runs})
    models, metrics, masks, buckets = (
        options.names(named[f"--{name}"]) for name in ("models", "metrics", "masks", "buckets")
    )
    selection = Selection(models, metrics, masks, buckets, named["--sort"])
    if not summary:
        return fill.report(runs, options.expanded(layout or "general"), published, selection=selection, long=long)
    if len(runs) != 1:
        raise BadInput("--summary takes one run: bench report RUN --summary")
    return summaries.report(results.load(runs[0]), selection)


def _print_layouts() -> None:
    from bench.columns import align
    from bench.report import layout

    print("\n".join(align([("layout", "title"), *((name, layout.load(name).title) for name in layout.names())])))


def _page(runs: list[Path], out: Path) -> Path:
    from bench.errors import BadInput
    from bench.report.page import build

    if len(runs) != 1:
        raise BadInput("--html takes one run: bench report RUN --html DIR, or --html FILE.html.")
    return build.write(runs[0], out)
