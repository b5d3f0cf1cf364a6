"""Pack a run into one archive for a board."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.errors import BadInput, counted


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="The archive; RUN.zip beside the run by default.")] = None,
) -> None:
    """Pack results, digests, versions and kept pictures of a run into one archive, and check it as a receiver would.

    Example: bench submit runs/demo --out ours.zip
    """
    import tempfile

    from bench.disk import whole_file
    from bench.report import submission

    if out and out.suffix != ".zip":
        raise BadInput(f"--out {out}: a submission is written as .zip, which is what `bench board` reads.")
    archive = out or run.with_name(f"{run.name}.zip")
    with whole_file(archive) as beside, tempfile.TemporaryDirectory() as scratch:
        size = submission.pack(run, beside)
        try:
            packed = submission.unpack(beside, Path(scratch))
        except BadInput as fault:
            raise BadInput(f"{run} cannot be submitted: {str(fault).rstrip('.')}.") from fault
    print(f"{archive}: {counted(len(packed.models), 'model')}, {size / 2**20:.1f} MiB, checked")
