"""Write masked inputs and masks for models that run elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bench import progress
from bench.cli import run


def command(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.", show_default=False)],
    dataset: run.Dataset = "demo",
    root: run.Root = None,
    split: run.Split = None,
    masks: run.Masks = "",
    buckets: run.Buckets = "",
    protocol: run.Protocol = "bench@1",
    limit: run.Limit = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
    quiet: run.Quiet = False,
) -> None:
    """Write masked inputs and masks of every cell, and a manifest by which `bench score` knows them again.

    The same command again goes on where it was stopped. Example:

    bench export inputs --dataset places2 --root /data/places2 --masks freeform --limit 1000
    """
    from bench.run import export

    progress.quiet = quiet
    written = export.export(run.asked({}, locals() | {"models": "", "metrics": "", "keep_images": 0}), out)
    if as_json:
        print(json.dumps(written, indent=1))
    elif not quiet:
        print(
            f"{out}: {len(written['images'])} images in {len(written['settings']['cells'])} cells.\n"
            f"Fill {out}/masked/SET/BUCKET/IMAGE.png where {out}/masks is white, save as FOLDER/SET/BUCKET/IMAGE.png,\n"
            f"then: bench score --predictions FOLDER --manifest {out / export.MANIFEST}{_at(root)}"
        )


def _at(root: Path | None) -> str:
    return f" --root {root}" if root else ""
