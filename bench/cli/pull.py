"""Copy a run from an object store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench import progress
from bench.cli import _options as options
from bench.errors import counted


def command(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where `bench push` has put it.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder, or one of the same run.")],
    quiet: options.Quiet = False,
) -> None:
    """Copy a run from a URL; what is here already is not fetched again. `bench run` goes on in it.

    Example: bench pull s3://ours/places2 runs/places2
    """
    from bench.runfolder import copies

    progress.quiet = quiet
    count = copies.pull(url, folder)
    print(f"{folder}: {counted(count, 'file')} fetched.")
