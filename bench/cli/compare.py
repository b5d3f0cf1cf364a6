"""Compare two models, or two runs of one, on the same images and masks."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from bench.cli import _options as options


def command(
    a: Annotated[str, typer.Argument(metavar="A", help="RUN or RUN:MODEL.")],
    b: Annotated[str, typer.Argument(metavar="B", help="RUN or RUN:MODEL.")],
    metrics: Annotated[str, typer.Option(help="Metrics or globs, comma-separated; else all that both have.")] = "",
    moved: Annotated[int, typer.Option(min=0, help="Images to name that moved most, for each metric.")] = 3,
    as_json: options.Json = False,
) -> None:
    """Compare two models image by image: difference with interval, Wilcoxon's test with Holm's correction, win rate.

    Metrics of whole sets (FID) are compared by the interval of their difference, from the vectors that the runs stored.

    Example: bench compare runs/demo:telea runs/demo:ns

    Example: bench compare runs/before:ce runs/after:ce --metrics psnr,fid
    """
    from bench.report.analysis import compare, compare_text

    one, other = compare.side(a, b), compare.side(b, a)
    found = compare.compare(one, other, options.names(metrics), moved=moved)
    if found.sets:
        from bench.report.analysis import set_differences

        sources = set_differences.Source(one.run.root, one.model), set_differences.Source(other.run.root, other.model)
        found = compare.with_sets(found, set_differences.differences(*sources, found.sets))
    print(json.dumps(compare_text.plain(found), indent=1) if as_json else compare_text.text(found))
