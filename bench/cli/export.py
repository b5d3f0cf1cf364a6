"""Write masked inputs and masks for models that run elsewhere."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from bench import progress
from bench.cli import _options as options
from bench.cli._fields import FieldsOf, Typed, spread
from bench.errors import counted
from bench.types import RunSpec

EXPORTED = ("dataset", "root", "split", "masks", "buckets", "protocol", "limit")
"""What decides which pictures there are."""


@spread
def command(
    out: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.", show_default=False)],
    wanted: Annotated[Typed, FieldsOf(RunSpec, EXPORTED)],
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
    quiet: options.Quiet = False,
) -> None:
    """Write masked inputs and masks of every cell, and a manifest by which `bench score` knows them again.

    The same command again goes on where it was stopped. Example:

    bench export inputs --dataset places2 --root /data/places2 --masks freeform --limit 1000
    """
    from bench.run import export

    progress.quiet = quiet
    asked = RunSpec(**wanted)
    written = export.export(asked, out)
    if as_json:
        print(json.dumps(written, indent=1))
    elif not quiet:
        _print_next(written, out, out / export.MANIFEST, asked.root)


def _print_next(written: dict[str, Any], out: Path, manifest: Path, root: str | None) -> None:
    words = ["bench", "score", "--predictions", "FOLDER", "--manifest", str(manifest)]
    words += ["--root", root] if root else []
    print(
        f"{out}: {counted(len(written['images']), 'image')} in {counted(len(written['settings']['cells']), 'cell')}.\n"
        f"Fill {out}/masked/SET/BUCKET/IMAGE.png where {out}/masks is white, save as FOLDER/SET/BUCKET/IMAGE.png,\n"
        f"then: {shlex.join(words)}"
    )
