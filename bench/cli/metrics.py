"""Metrics: which variants there are, what each is defined as, and the weight files that some need."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import _options as options

if TYPE_CHECKING:
    from bench.types import MetricCard

app = typer.Typer()

Name = Annotated[str, typer.Argument(metavar="METRIC", help="A name or glob from `bench metrics list`: 'ssim-*'.")]


Library = Annotated[
    str | None, typer.Option(help="The image metrics of an installed package: piq, pyiqa or torchmetrics.")
]


@app.command("list")
def list_metrics(library: Library = None, as_json: options.Json = False) -> None:
    """List the metric variants, and for each what is missing here. Example: bench metrics list"""
    from bench.columns import align
    from bench.metrics import libraries
    from bench.metrics import registry as metric_registry

    if library is not None:
        _list_library(libraries.cards(library), as_json=as_json)
        return
    rows = [_row(name, card) for name, card in metric_registry.cards().items()]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    keys = ("name", "title", "better", "unit", "kind", "scope")
    texts = [(*(row[key] for key in keys), _ready(row["missing"])) for row in rows]
    print("\n".join(align([(*keys, "here"), *texts])))
    for name in libraries.LIBRARIES:
        ready = f"of the installed package: bench metrics list --library {name}"
        print(f"{name}:NAME  {ready if libraries.installed(name) else f'missing; type: {libraries.INSTALL}'}")


def _list_library(cards: Mapping[str, MetricCard], *, as_json: bool) -> None:
    """Every metric of a package: its name, direction, and what it says of itself."""
    from bench.columns import align

    if as_json:
        print(json.dumps({name: dataclasses.asdict(card) for name, card in cards.items()}, indent=1))
    else:
        rows = [(name, card.better, card.formula) for name, card in cards.items()]
        print("\n".join(align([("name", "better", "what it says of itself"), *rows])))


def _ready(missing: list[str]) -> str:
    return f"missing; type: bench metrics fetch {' '.join(missing)}" if missing else "ready"


def _row(name: str, card: MetricCard) -> dict[str, Any]:
    from bench.metrics import registry as metric_registry

    facts = {key: getattr(card, key) for key in ("title", "better", "unit", "scope")}
    return {"name": name, "kind": metric_registry.kind(name), **facts, "missing": metric_registry.lacks(name)}


@app.command()
def show(name: Name, as_json: options.Json = False) -> None:
    """Print a variant's definition, reference, tolerance and who prints it. Example: bench metrics show ssim-wang"""
    from bench.metrics import registry as metric_registry

    sheets = {found: dataclasses.asdict(metric_registry.card(found)) for found in metric_registry.choose([name])}
    if as_json:
        print(json.dumps(sheets, indent=1))
        return
    print("\n\n".join(_sheet(found, facts) for found, facts in sheets.items()))


def _sheet(name: str, facts: dict[str, Any]) -> str:
    from bench.metrics import registry as metric_registry

    facts |= {"weights": ", ".join(metric_registry.weights(name)), "kind": metric_registry.kind(name)}
    if facts["kind"] == "pair":
        facts |= {"minimum": "", "flagged_below": ""}
    facts["here"] = metric_registry.unavailable(name) or "ready"
    return "\n".join([f"{'name':14} {name}", *(f"{k.replace('_', ' '):14} {v}" for k, v in facts.items() if v)])


def _files(name: str) -> Sequence[str]:
    """A weight file by its name, or those that a metric needs by the metric's; names of neither as they are."""
    from bench import downloads, plugins
    from bench.errors import UnknownName
    from bench.metrics import registry as metric_registry

    if name == "all" or plugins.matching(name, list(downloads.entries())):
        return [name]
    try:
        return [file for metric in metric_registry.choose([name]) for file in metric_registry.weights(metric)] or [name]
    except UnknownName:
        return [name]


@app.command()
def fetch(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="Weight files by name, or `all`; LIBRARY:NAME for what a library fetches."
        ),
    ],
    source: Annotated[
        Path | None, typer.Option("--from", help="Take the file from here instead of the network.")
    ] = None,
) -> None:
    """Bring the weight files of metric networks into BENCH_HOME, each checked against its digest.

    Example: bench metrics fetch inception-fid
    """
    from bench import downloads, plugins
    from bench.errors import BadInput
    from bench.metrics import libraries
    from bench.metrics import registry as metric_registry

    for name in metric_registry.choose([name for name in names if libraries.of(name)]):
        libraries.open_metric(name, "cpu").fetch()
        print(f"{name} is ready.")
    if not (names := [name for name in names if not libraries.of(name)]):
        return
    names = [file for name in names for file in _files(name)]
    chosen = plugins.choose("weight file", names, list(downloads.entries()), "bench doctor")
    if source and len(chosen) != 1:
        raise BadInput(f"--from brings one file, but {len(chosen)} are named.")
    for name in sorted(chosen, key=lambda name: not downloads.entry(name).sha256):  # what cannot be fetched comes last
        print(downloads.bring(name, source) if source else downloads.locate(name, fetch=True))
