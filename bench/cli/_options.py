"""Options that several commands share, and what they do with them."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer

from bench.report import formats
from bench.types import DOMAINS, RunSpec

if TYPE_CHECKING:
    from bench.report.table import Report

AnyCount = Annotated[bool, typer.Option("--any-count", help="Give FID and its kin for few images too.")]
Buckets = Annotated[
    str | None,
    typer.Option(help="deciles, rnon, cfs, liu, or a list: 10-20,20-30 (per cent); the protocol's by default."),
]
Dataset = Annotated[
    str | None, typer.Option(help=f"A name from `bench datasets list`, or `folder`; {RunSpec.dataset} by default.")
]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1; `auto` takes a GPU where there is one.")]
Domain = Annotated[
    str | None, typer.Option(help=f"What the photographs of a folder show: {', '.join(DOMAINS)}.", show_default=False)
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format", help=f"{', '.join(formats.names())}; else as the suffix of --out says.", show_default=False
    ),
]
Guides = Annotated[
    Path | None,
    typer.Option(help="Folder of IMAGE.png for models that take guides, as `bench models show` says."),
]
Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
Kept = Annotated[
    int | None,
    typer.Option(min=0, help=f"Images whose pictures are kept for the report; {RunSpec.keep_images} by default."),
]
KeptVectors = Annotated[
    int | None,
    typer.Option(min=2, help=f"Images whose feature vectors are kept, if there are more; {RunSpec.keep_vectors}."),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Only so many images, chosen by digest.")]
Masks = Annotated[str | None, typer.Option(help="Mask families or sets; the protocol's by default.")]
Metrics = Annotated[str | None, typer.Option(help="Metric variants, `all`, globs; the protocol's by default.")]
Out = Annotated[Path | None, typer.Option(help="Run folder; runs/DATASET-DIGEST by default.")]
Protocol = Annotated[
    str | None, typer.Option(help=f"A name from `bench protocols list`; {RunSpec.protocol} by default.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no table.")]
Root = Annotated[Path | None, typer.Option(help="Where the data set lies.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)]
Split = Annotated[str | None, typer.Option(help="A split, an official folder name, or a .txt list of ids.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="MODEL.SETTING=VALUE, as `bench models show MODEL` lists them; may be repeated."),
]
SummaryJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]
TextFile = Annotated[Path | None, typer.Option(help="Write to this file instead of printing.")]


def run_spec(
    given: Mapping[str, Any],
    models: str | None,
    dataset: str | None,
    root: Path | None,
    split: str | None,
    masks: str | None,
    buckets: str | None,
    metrics: str | None,
    protocol: str | None,
    limit: int | None,
    keep_images: int | None,
    keep_vectors: int | None = None,
    settings: Sequence[str] | None = None,
    domain: str | None = None,
    guides: Path | None = None,
    precision: str | None = None,
    compiled: bool | None = None,
    tiling: str | None = None,
) -> RunSpec:
    """Options that were typed win over the fields that a file has given, these over the defaults of `RunSpec`.

    The options stand in the order of the fields; None: not typed, or no option of the command.
    """
    typed = {
        "models": models if models is None else names(models),
        "dataset": dataset,
        "root": root if root is None else str(root),
        "split": split if split is None else expanded(split),
        "masks": masks if masks is None else names(masks),
        "buckets": buckets,
        "metrics": metrics if metrics is None else names(metrics),
        "protocol": protocol,
        "limit": limit,
        "keep_images": keep_images,
        "keep_vectors": keep_vectors,
        "set": tuple(settings) if settings else None,
        "domain": domain,
        "guides": guides if guides is None else str(guides),
        "precision": precision,
        "compile": compiled,
        "tiling": tiling,
    }
    return RunSpec(**{**given, **{name: value for name, value in typed.items() if value is not None}})


def device_name(name: str) -> str:
    """`auto` as the device that is here; raises `BadInput` for one that is not, or that nobody knows."""
    from bench.run.machine import choose_device

    return choose_device(name)


def expanded(text: str) -> str:
    """A text that may name a file, `~` written out: a shell does not do it behind a comma or an equals sign."""
    return os.path.expanduser(text)  # noqa: PTH111 - leaves `~nobody` as it is


def names(text: str) -> tuple[str, ...]:
    """`a, b` as a tuple of names; `BadInput` for a text of commas alone."""
    from bench.errors import BadInput

    found = tuple(expanded(name.strip()) for name in text.split(",") if name.strip())
    if text and not found:
        raise BadInput(f"'{text}' holds no name: leave the option out, or name something.")
    return found


def finite(value: float) -> float:
    """A number that is one; the range of an option lets NaN pass."""
    if not math.isfinite(value):
        raise click.BadParameter(f"{value} is no number.")
    return value


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
