"""Score pictures that were finished elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench import progress
from bench.cli import _options as options
from bench.cli import run
from bench.types import Execution

Predictions = Annotated[
    Path, typer.Option(help="A model's folder MASK SET/BUCKET/IMAGE.png, or a folder of such folders.")
]
Manifest = Annotated[
    Path | None, typer.Option(help="What `bench export` wrote; stands for data set, masks, buckets and protocol.")
]
Kind = Annotated[
    str, typer.Option("--format", help="What the files end in; jpg and webp lose information and are marked.")
]


def command(
    predictions: Predictions,
    manifest: Manifest = None,
    dataset: options.Dataset = None,
    root: options.Root = None,
    split: options.Split = None,
    masks: options.Masks = None,
    buckets: options.Buckets = None,
    metrics: options.Metrics = None,
    protocol: options.Protocol = None,
    limit: options.Limit = None,
    kind: Kind = "png",
    out: options.Out = None,
    device: options.Device = "auto",
    keep_images: options.Kept = None,
    keep_vectors: options.KeptVectors = None,
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
    wanted = options.run_spec(
        given, None, dataset, root, split, masks, buckets, metrics, protocol, limit, keep_images, keep_vectors
    )
    spec = export.folders(wanted, predictions, "" if kind == "png" else kind)
    execution = Execution(options.device_name(device))
    outcome = measure(spec, out, execution, any_count=any_count, manifest=manifest)
    run.report(outcome, shown=not quiet, as_json=as_json, quiet=quiet)
