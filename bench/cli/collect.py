"""Join what the shares of a run have left into its results."""

from __future__ import annotations

import sys

import typer

from bench import progress
from bench.cli import _options as options
from bench.cli.run import not_whole, report


def command(
    run: options.RunFolder,
    any_count: options.AnyCount = False,
    as_json: options.SummaryJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Write results and summary from the parts of all shares (`bench run --share`); nothing is measured.

    Cells of which images are missing say so, and the exit status is 1 then. Example:

    bench collect runs/places2
    """
    from bench.run.main import collect

    progress.quiet = quiet
    outcome = collect(run, any_count=any_count)
    short = not_whole(outcome)
    if short and not as_json:
        print("\n".join(short), file=sys.stderr)
        raise typer.Exit(1)
    report(outcome, shown=True, as_json=as_json, quiet=quiet)
