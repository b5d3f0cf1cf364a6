"""Hold the order of a run's models against the orders that papers print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)],
    form: Annotated[
        str | None, typer.Option("--format", help="terminal, markdown, latex, csv, json or html.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write to this file instead of printing.")] = None,
) -> None:
    """Count the pairs of models that a run and each printed table put in the same order.

    Example: bench ranks runs/mine --format markdown
    """
    from bench.disk import write_text
    from bench.report import main, results
    from bench.report.analysis import ranks

    report = ranks.report(results.load(run))
    text = main.render(report, main.choose_format(form, out), styled=not out and sys.stdout.isatty())
    if out:
        write_text(out, text)
    else:
        sys.stdout.write(text)
