"""Build one page over many submissions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of archives.", show_default=False)],
    html: Annotated[Path, typer.Option(help="The page's folder.")] = Path("board"),
) -> None:
    """Check the archives of a folder and build one page over those that pass; the others are named with the reason.

    Exit status 1 if one is refused. Example: bench board submissions --html board
    """
    from bench.errors import counted, printable
    from bench.report import board

    made = board.write(folder, html)
    for archive, reason in made.refused.items():
        print(printable(f"refused: {archive}: {reason}"), file=sys.stderr)
    print(f"{made.page}: {counted(len(made.accepted), 'submission')}, {len(made.refused)} refused")
    raise typer.Exit(1 if made.refused else 0)
