"""Copy a run to an object store."""

from __future__ import annotations

from typing import Annotated

import typer

from bench import progress
from bench.cli import _options as options
from bench.errors import counted


def command(
    run: options.RunFolder,
    url: Annotated[str, typer.Argument(metavar="URL", help="s3://BUCKET/NAME or whatever fsspec knows.")],
    quiet: options.Quiet = False,
) -> None:
    """Copy a run, also one at work, to a URL; parts that are there already are not sent again.

    Example: bench push runs/places2 s3://ours/places2
    """
    from bench.runfolder import copies

    progress.quiet = quiet
    count = copies.push(run, url)
    print(f"{url}: {counted(count, 'file')} sent. Back: bench pull {url} DIR")
