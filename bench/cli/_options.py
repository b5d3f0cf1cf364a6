"""Options that several commands share, and what they do with them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.report import formats

if TYPE_CHECKING:
    from bench.report.table import Report

AnyCount = Annotated[bool, typer.Option("--any-count", help="Give FID and its kin for few images too.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1; `auto` takes a GPU where there is one.")]
Format = Annotated[
    str | None,
    typer.Option(
        "--format", help=f"{', '.join(formats.names())}; else as the suffix of --out says.", show_default=False
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
Out = Annotated[Path | None, typer.Option(help="Run folder; runs/DATASET-DIGEST by default.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no table.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)]
SummaryJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]
TextFile = Annotated[Path | None, typer.Option(help="Write to this file instead of printing.")]


def device_name(name: str) -> str:
    """`auto` as the device that is here; raises `BadInput` for one that is not, or that nobody knows."""
    from bench.run.machine import choose_device

    return choose_device(name)


def expanded(text: str) -> str:
    """A text that may name a file, `~` written out: a shell does not do it behind a comma or an equals sign."""
    return os.path.expanduser(text)  # noqa: PTH111 - leaves `~nobody` as it is


def names(text: str) -> tuple[str, ...]:
    """`a, b` as a tuple of names; `BadInput` for a text of commas or spaces alone."""
    from bench.errors import BadInput

    found = tuple(expanded(name.strip()) for name in text.split(",") if name.strip())
    if text and not found:
        raise BadInput(f"'{text}' holds no name: leave the option out, or name something.")
    return found


def refuse(option: str, others: Mapping[str, Any]) -> None:
    """Raise `BadInput` for options that were given beside one that passes them over."""
    from bench.errors import BadInput

    if given := [name for name, value in others.items() if value]:
        raise BadInput(f"{option} has no use for {', '.join(given)}: leave {'it' if len(given) == 1 else 'them'} out.")


def write_report(report: Report, form: str | None, out: Path | None, *, standalone: bool = False) -> None:
    """Print a report, styled on a terminal, or write it to a file in the format of its suffix."""
    from bench.disk import write_text

    styled = not out and sys.stdout.isatty()
    text = formats.render(report, formats.choose(form, out), standalone=standalone, styled=styled)
    if out:
        write_text(out, text)
    else:
        sys.stdout.write(text)
