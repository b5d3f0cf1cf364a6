"""Score pictures that were finished elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench import progress
from bench.cli import run


def command(
    context: typer.Context,
    predictions: Annotated[
        Path, typer.Option(help="A model's folder MASK SET/BUCKET/IMAGE.png, or a folder of such folders.")
    ],
    manifest: Annotated[
        Path | None, typer.Option(help="What `bench export` wrote; stands for data set, masks, buckets and protocol.")
    ] = None,
    dataset: run.Dataset = "demo",
    root: run.Root = None,
    split: run.Split = None,
    masks: run.Masks = "",
    buckets: run.Buckets = "",
    metrics: run.Metrics = "",
    protocol: run.Protocol = "bench@1",
    limit: run.Limit = None,
    kind: Annotated[
        str, typer.Option("--format", help="What the files end in; jpg and webp lose information and are marked.")
    ] = "png",
    out: run.Out = None,
    device: run.Device = "auto",
    keep_images: run.Kept = 4,
    any_count: run.AnyCount = False,
    as_json: run.Json = False,
    quiet: run.Quiet = False,
) -> None:
    """Score folders of finished pictures, made by any program, as if the models had run here.

    Names, sizes and modes are checked before anything is scored. The mask set may be left out of the path where there
    is one only, the bucket where there is one cell only. Example:

    bench score --predictions outputs --dataset places2 --root /data/places2 --masks freeform --limit 1000
    """
    from bench.run import export
    from bench.run.main import run as measure
    from bench.run.toolbox import choose_device
    from bench.types import Execution

    progress.quiet = quiet
    given = export.asked(manifest) if manifest else {}
    spec = export.folders(run.asked(given, locals() | {"models": ""}), predictions, "" if kind == "png" else kind)
    outcome = measure(spec, out, Execution(choose_device(device)), any_count=any_count, manifest=manifest)
    run.tell(outcome, as_json=as_json, quiet=quiet)
