"""Fill a paper's table: every run that its layout asks for, and the table of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench import progress
from bench.cli import _options as options
from bench.report import formats
from bench.types import Execution, RunSpec

if TYPE_CHECKING:
    from bench.report.needs import Need

Named = Annotated[list[str] | None, typer.Option("--root", help="DATASET=DIR for each data set of the table.")]
Splits = Annotated[
    list[str] | None, typer.Option("--split", help="DATASET=SPLIT, a split or a list of ids; the default otherwise.")
]


Weights = Annotated[
    list[str] | None,
    typer.Option("--weights", help="MODEL=TAG, weights of a model of the table; the table's own choice otherwise."),
]


def command(
    layout: Annotated[str, typer.Argument(help="A name from `bench report --layouts`, or a .toml file.")],
    roots: Named = None,
    splits: Splits = None,
    weights: Weights = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many images, chosen by digest.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the runs; runs/LAYOUT by default.")] = None,
    device: options.Device = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: this one alone.")] = 0,
    form: Annotated[
        str | None,
        typer.Option("--format", help=f"{', '.join(formats.names())}; else as the suffix of --table says."),
    ] = None,
    table: options.TextFile = None,
    any_count: options.AnyCount = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure what a paper's table asks for, by its protocol, and print the table with ours above the paper's.

    The same command again goes on where a stopped one was. A model without weights leaves its reason in its cells.

    Example:
    bench reproduce rnon-table3 --root celeba=/data/celeba --root places2=/data/places2
    """
    from dataclasses import replace

    from bench.report import fill, needs
    from bench.report import layout as layouts
    from bench.run.main import run

    progress.quiet = quiet
    formats.choose(form, table)
    name = options.expanded(layout)
    chosen = layouts.load(name)
    models = [model for need in needs.runs(replace(chosen, weights={})) for model in need.models]
    tags = _named("--weights", weights, "model", models)
    wanted = needs.runs(replace(chosen, weights=chosen.weights | tags))
    datasets = [need.dataset for need in wanted]
    where, parts = _named("--root", roots, "data set", datasets), _named("--split", splits, "data set", datasets)
    _check_roots(datasets, where)
    specs = [(need, _spec(need, where, parts, limit)) for need in wanted]
    execution = Execution(options.device_name(device), workers=workers)
    home = out or Path("runs") / chosen.name
    done = [run(spec, home / need.name, execution, any_count=any_count).root for need, spec in specs]
    options.write_report(fill.report(done, name), form, table)


def _check_roots(datasets: Iterable[str], roots: Collection[str]) -> None:
    """Raise `BadInput` that names all data sets of the table whose place nobody gave."""
    from bench.errors import BadInput

    if lacking := [name for name in dict.fromkeys(datasets) if name not in (*roots, "demo")]:
        roots_of = " ".join(f"--root {name}=DIR" for name in lacking)
        shown = ", ".join(f"bench datasets show {name}" for name in lacking)
        raise BadInput(f"The table needs {' and '.join(lacking)}; say where: {roots_of}. Official folders: {shown}")


def _spec(need: Need, roots: dict[str, str], splits: dict[str, str], limit: int | None) -> RunSpec:
    return RunSpec(
        models=need.models,
        dataset=need.dataset,
        root=roots.get(need.dataset),
        split=splits.get(need.dataset),
        protocol=need.protocol,
        limit=limit,
    )


def _named(option: str, given: list[str] | None, kind: str, known: list[str]) -> dict[str, str]:
    """`NAME=VALUE` of an option by the names of the table's data sets or models."""
    from bench.errors import BadInput, UnknownName

    names, found = list(dict.fromkeys(known)), {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not value:
            shape = f"{kind.replace(' ', '').upper()}=VALUE"
            raise BadInput(f"{option} {text}: write it as {shape}; the table's {kind}s: {', '.join(names)}.")
        if name not in names:
            raise UnknownName(f"{kind} of the table", [name], names, "bench reproduce --help")
        if name in found:
            raise BadInput(f"{option} {text}: {name} is given twice. Leave one of them out.")
        found[name] = value if kind == "model" else options.expanded(value)
    return found
