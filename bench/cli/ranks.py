"""Hold the order of a run's models against the orders that papers print."""

from __future__ import annotations

from bench.cli import _options as options
from bench.report import formats


def command(run: options.RunFolder, form: options.Format = None, out: options.TextFile = None) -> None:
    """Count the pairs of models that a run and each printed table put in the same order.

    Example: bench ranks runs/mine --format markdown
    """
    from bench.report import results
    from bench.report.analysis import ranks

    formats.choose(form, out)
    options.write_report(ranks.report(results.load(run)), form, out)
