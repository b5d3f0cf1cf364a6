"""Hold a run against what an earlier one left: the regression gate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import _options as options


def command(
    run: options.RunFolder,
    against: Annotated[Path | None, typer.Option(help="The file to hold it against.", show_default=False)] = None,
    write: Annotated[Path | None, typer.Option(help="Write such a file from this run.", show_default=False)] = None,
    tolerance: Annotated[
        list[str] | None,
        typer.Option(help="With --write: METRIC=NUMBER, may be repeated; else one unit of the last printed digit."),
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML too.", show_default=False)] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write a Markdown summary too.", show_default=False)] = None,
    as_json: options.Json = False,
) -> None:
    """Check that a run still gives the numbers that an earlier one left in a file.

    Exit status: 0 all equal, 1 a number is worse, better or gone, 2 not comparable (other images, masks, protocol).

    Example: bench check runs/demo --write reports/regression/demo.json

    Example: bench check runs/demo --against reports/regression/demo.json --junit regression.xml
    """
    from bench.errors import BadInput

    if (against is None) == (write is None):
        raise BadInput("Give either --against FILE or --write FILE.")
    if write:
        options.refuse("--write", {"--junit": junit, "--markdown": markdown, "--json": as_json})
        _write(run, write, tolerance or [])
    elif against:
        options.refuse("--against", {"--tolerance": tolerance})
        _check(run, against, junit, markdown, as_json=as_json)


def _write(run: Path, file: Path, tolerances: list[str]) -> None:
    from bench.errors import counted
    from bench.report.analysis import regression

    expected = regression.expectations(run, regression.tolerances(tolerances))
    regression.write(file, expected)
    print(f"{file}: {counted(len(expected.values), 'number')} of {counted(len(expected.digests), 'model')}")


def _check(run: Path, file: Path, junit: Path | None, markdown: Path | None, *, as_json: bool) -> None:
    from bench.disk import write_text
    from bench.report.analysis import regression, regression_text

    verdict = regression.check(run, regression.read(file))
    if junit:
        write_text(junit, regression_text.junit(verdict))
    if markdown:
        write_text(markdown, regression_text.markdown(verdict))
    print(json.dumps(regression_text.plain(verdict), indent=1) if as_json else regression_text.text(verdict))
    raise typer.Exit(0 if verdict.passed else 1)
