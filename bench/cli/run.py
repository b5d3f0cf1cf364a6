"""Measure models: the main job."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench import progress
from bench.errors import BadInput

if TYPE_CHECKING:
    from bench.run.main import Outcome
    from bench.types import Execution, RunSpec


Dataset = Annotated[str, typer.Option(help="A name from `bench datasets list`, or `folder`.")]
Root = Annotated[Path | None, typer.Option(help="Where the data set lies.")]
Split = Annotated[str | None, typer.Option(help="A split, an official folder name, or a .txt list of ids.")]
Masks = Annotated[str, typer.Option(help="Mask families or sets; the protocol's by default.")]
Buckets = Annotated[str, typer.Option(help="deciles, rnon, cfs, liu, or a list: 10-20,20-30 (per cent).")]
Metrics = Annotated[str, typer.Option(help="Metric variants, `all`, globs; the protocol's by default.")]
Protocol = Annotated[str, typer.Option(help="A name from `bench protocols list`.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only so many images, chosen by digest.")]
Out = Annotated[Path | None, typer.Option(help="Run folder; runs/DATASET-DIGEST by default.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1; `auto` takes a GPU where there is one.")]
Kept = Annotated[int, typer.Option(min=0, help="Images whose pictures are kept for the report.")]
AnyCount = Annotated[bool, typer.Option("--any-count", help="Give FID and its kin for few images too.")]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no table.")]


def command(
    context: typer.Context,
    models: Annotated[
        str, typer.Option(help="`all`, names, globs, path/to/file.py:Class, a folder of pictures; comma-separated.")
    ] = "all",
    dataset: Dataset = "demo",
    root: Root = None,
    split: Split = None,
    masks: Masks = "",
    buckets: Buckets = "",
    metrics: Metrics = "",
    protocol: Protocol = "bench@1",
    limit: Limit = None,
    out: Out = None,
    device: Device = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Images that a model sees at once; changes no number.")] = 8,
    shard_size: Annotated[int | None, typer.Option(min=1, help="Images of a part; changes no number.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Decoding threads (or Ray workers).")] = 2,
    keep_images: Kept = 4,
    executor: Annotated[str, typer.Option(help="local or ray.")] = "local",
    spec: Annotated[Path | None, typer.Option(help="A TOML file with the fields of a run; options above win.")] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print what would be done and how long it takes, then stop.")
    ] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first failed cell.")] = False,
    any_count: AnyCount = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run models on a data set under frozen masks and leave a folder of results.

    The same command again goes on where a stopped run was. Example:

    bench run --models telea,ce --dataset places2 --root /data/places2 --masks freeform --buckets deciles
    """
    progress.quiet = quiet
    wanted = asked(_from_file(spec), locals())
    execution = _execution(
        device=device, batch_size=batch_size, shard_size=shard_size, workers=workers, fail_fast=fail_fast
    )
    if executor not in {"local", "ray"}:
        raise BadInput(f"No executor '{executor}'. There are: local, ray.")
    if plan:
        _print_plan(wanted, execution, out, as_json=as_json)
        return
    from bench.run.main import run
    from bench.run.shard import CellFailed

    try:
        outcome = run(wanted, out, execution, executor=executor, any_count=any_count)
    except CellFailed as fault:
        print(f"error: {fault}", file=sys.stderr)
        raise typer.Exit(1) from fault
    tell(outcome, as_json=as_json, quiet=quiet)


def _from_file(path: Path | None) -> dict[str, Any]:
    from bench.run.spec import from_file

    return from_file(path) if path else {}


def asked(given: dict[str, Any], options: dict[str, Any]) -> RunSpec:
    """Options on the command line win over what a file has given, the file over the defaults."""
    from bench.types import RunSpec

    typed = {name for name in options if _typed(options["context"], name)}
    texts = {name: options[name] for name in ("dataset", "split", "buckets", "protocol", "limit", "keep_images")}
    lists = {name: _names(options[name]) for name in ("models", "masks", "metrics")}
    merged = texts | lists | {"root": str(options["root"]) if options["root"] else None}
    return RunSpec(**{name: given[name] if name in given and name not in typed else merged[name] for name in merged})


def _typed(context: typer.Context, name: str) -> bool:
    """Whether an option was typed on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _execution(*, device: str, batch_size: int, shard_size: int | None, workers: int, fail_fast: bool) -> Execution:
    from bench.run.toolbox import choose_device
    from bench.types import Execution

    return Execution(choose_device(device), batch_size, shard_size, workers, fail_fast)


def _print_plan(spec: RunSpec, execution: Execution, out: Path | None, *, as_json: bool) -> None:
    from bench.run.main import outline

    found = outline(spec, out, execution)
    if as_json:
        print(json.dumps(found, indent=1))
        return
    print(f"{found['images']} images, {len(found['cells'])} cells, {found['shard']} images a part, into {found['out']}")
    print("cells: " + ", ".join(found["cells"]))
    width = max([len(row["model"]) for row in found["models"]] + [5])
    print(f"{'model':{width}}  {'done':>12}  {'s an image':>10}  left")
    for row in found["models"]:
        done = f"{row['done']}/{found['images']}"
        print(
            f"{row['model']:{width}}  {done:>12}  {row['seconds_per_image']:>10.3f}  {progress.duration(row['left_s'])}"
        )
    print(f"all together about {progress.duration(found['left_s'])}, metrics not counted")
    for name, reason in found["missing"].items():
        print(f"missing: {name}: {reason}")


def tell(outcome: Outcome, *, as_json: bool, quiet: bool) -> None:
    """Say what a run left, and end with status 1 where a model failed on a cell."""
    if as_json:
        print(outcome.summary.to_json(orient="records", indent=1))
        raise typer.Exit(1 if outcome.faults else 0)
    for (model, cell), fault in outcome.faults.items():
        print(f"failed: {model} on {cell}: {fault}", file=sys.stderr)
    if not quiet:
        print(f"{outcome.root}: results.parquet, summary.parquet. Tables: bench report {outcome.root}")
    raise typer.Exit(1 if outcome.faults else 0)
