"""Score pictures that were finished elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench import progress
from bench.cli import _options as options
from bench.cli import run
from bench.cli._fields import FieldsOf, Typed, spread
from bench.cli.export import EXPORTED
from bench.types import Execution, RunSpec

Predictions = Annotated[
    Path, typer.Option(help="A model's folder MASK SET/BUCKET/IMAGE.png, or a folder of such folders.")
]
Manifest = Annotated[
    Path | None, typer.Option(help="What `bench export` wrote; stands for data set, masks, buckets and protocol.")
]
Kind = Annotated[
    str, typer.Option("--format", help="What the files end in; jpg and webp lose information and are marked.")
]

SCORED = (*EXPORTED, "metrics", "keep_images", "keep_vectors")
"""What may be asked of a score: all of a run that is not about models."""


@spread
def command(
    predictions: Predictions,
    wanted: Annotated[Typed, FieldsOf(RunSpec, SCORED)],
    manifest: Manifest = None,
    kind: Kind = "png",
    out: options.Out = None,
    device: options.Device = "auto",
    any_count: options.AnyCount = False,
    as_json: options.SummaryJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Score folders of finished pictures, made by any program, as if the models had run here.

    Names, sizes and modes are checked before anything is scored. The mask set may be left out of the path where there
    is one only, the bucket where there is one cell only. Example:

    bench score --predictions outputs --dataset places2 --root /data/places2 --masks freeform --limit 1000
    """
    from bench.run import export
    from bench.run.main import run as measure

    progress.quiet = quiet
    given = export.spec_from(manifest) if manifest else {}
    asked = RunSpec(**{**given, **wanted})
    spec = export.folders(asked, predictions, "" if kind == "png" else kind)
    execution = Execution(options.device_name(device))
    outcome = measure(spec, out, execution, any_count=any_count, manifest=manifest)
    run.report(outcome, shown=not quiet, as_json=as_json, quiet=quiet)
