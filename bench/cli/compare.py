"""Compare two models, or two runs of one, on the same images and masks."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def command(
    a: Annotated[str, typer.Argument(metavar="A", help="RUN or RUN:MODEL.")],
    b: Annotated[str, typer.Argument(metavar="B", help="RUN or RUN:MODEL.")],
    moved: Annotated[int, typer.Option(min=0, help="Images to name that moved most, for each metric.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Compare two models image by image: difference with interval, Wilcoxon's test with Holm's correction, win rate.

    Example: bench compare runs/demo:telea runs/demo:ns

    Example: bench compare runs/before:ce runs/after:ce
    """
    from bench.report import compare

    found = compare.compare(compare.side(a, b), compare.side(b, a), moved=moved)
    print(json.dumps(compare.plain(found), indent=1) if as_json else compare.text(found))
