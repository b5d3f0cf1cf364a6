"""Measure models: the main job."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench import progress
from bench.cli import _options as options
from bench.errors import BadInput
from bench.runfolder.names import RESULTS, SUMMARY
from bench.types import PRECISIONS, Execution, RunSpec

if TYPE_CHECKING:
    from bench.run.main import Outcome

Models = Annotated[
    str | None,
    typer.Option(
        help="`all` (by default), names, globs, path/to/file.py:Class, a folder of pictures; comma-separated."
    ),
]
Batch = Annotated[
    int | None,
    typer.Option(min=1, help="Images that a network sees at once; by default the quickest size, measured once a run."),
]
Exact = Annotated[
    bool, typer.Option("--exact", help="On a GPU too, only batches with the bits of one image at a time; slower.")
]
Shard = Annotated[int | None, typer.Option(min=1, help="Images of a part; changes no number.")]
Workers = Annotated[
    int | None,
    typer.Option(min=0, help="Processes that do the work; 0: this one. By default one a device, on a CPU one a core."),
]
Devices = Annotated[str | None, typer.Option(help="cuda:0,cuda:1: a worker on each of them, in place of --device.")]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Threads of one operation on a CPU; by default each worker's share of cores.")
]
TimeLimit = Annotated[
    float,
    typer.Option(min=1, callback=options.finite, help="Seconds that a batch may take before its worker is replaced."),
]
Share = Annotated[
    str | None,
    typer.Option(help="3/16: do every sixteenth part, on any machine that sees --out; then `bench collect`."),
]
Executor = Annotated[str, typer.Option(help="local or ray.")]
SpecFile = Annotated[Path | None, typer.Option(help="A TOML file with the fields of a run; options above win.")]
Plan = Annotated[bool, typer.Option("--plan", help="Print what would be done and how long it takes, then stop.")]
Tiling = Annotated[
    str | None, typer.Option(help="`native`: networks fill larger pictures in tiles of their own size; moves numbers.")
]
Fetch = Annotated[bool, typer.Option("--fetch", help="First fetch published weights that models lack here.")]
Precision = Annotated[
    str | None, typer.Option(help=f"In which networks compute: {', '.join(PRECISIONS)}; moves numbers, is recorded.")
]
Compiled = Annotated[bool, typer.Option("--compile", help="Networks by torch's compiler; moves numbers, is recorded.")]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first failed cell.")]


def command(
    models: Models = None,
    dataset: options.Dataset = None,
    root: options.Root = None,
    split: options.Split = None,
    masks: options.Masks = None,
    buckets: options.Buckets = None,
    metrics: options.Metrics = None,
    protocol: options.Protocol = None,
    limit: options.Limit = None,
    domain: options.Domain = None,
    guides: options.Guides = None,
    settings: options.Settings = None,
    out: options.Out = None,
    precision: Precision = None,
    compiled: Compiled = False,
    tiling: Tiling = None,
    device: options.Device = "auto",
    batch_size: Batch = None,
    exact: Exact = False,
    shard_size: Shard = None,
    workers: Workers = None,
    devices: Devices = None,
    threads: Threads = None,
    time_limit: TimeLimit = Execution.time_limit_s,
    share: Share = None,
    keep_images: options.Kept = None,
    keep_vectors: options.KeptVectors = None,
    executor: Executor = "local",
    spec: SpecFile = None,
    plan: Plan = False,
    fail_fast: FailFast = False,
    fetch: Fetch = False,
    any_count: options.AnyCount = False,
    as_json: options.SummaryJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Run models on a data set under frozen masks and leave a folder of results.

    The same command again goes on where a stopped run was. Example:

    bench run --models telea,ce --dataset places2 --root /data/places2 --masks freeform --buckets deciles
    """
    progress.quiet = quiet
    given = _from_file(spec)
    wanted = options.run_spec(
        given,
        *(
            models,
            dataset,
            root,
            split,
            masks,
            buckets,
            metrics,
            protocol,
            limit,
            keep_images,
            keep_vectors,
            settings,
            domain,
            guides,
            precision,
            compiled or None,
            tiling,
        ),
    )
    places = Execution(
        batch=batch_size or 0, exact=exact, shard=shard_size, threads=threads or 0, time_limit_s=time_limit
    )
    execution = replace(_on(places, device, devices, workers), fail_fast=fail_fast, share=_share(share))
    _check_arithmetic(wanted, execution.device)
    if executor not in {"local", "ray"}:
        raise BadInput(f"No executor '{executor}'. There are: local, ray.")
    if fetch:
        _fetch(wanted)
    if plan:
        _print_plan(wanted, execution, out, as_json=as_json)
    else:
        _measure(wanted, execution, out, executor, any_count=any_count, as_json=as_json, quiet=quiet)


def _share(text: str | None) -> tuple[int, int] | None:
    from bench.run import shares

    return shares.parse(text) if text is not None else None


def _check_arithmetic(spec: RunSpec, device: str) -> None:
    if spec.precision != RunSpec.precision:  # what it takes to ask imports torch
        from bench.models import arithmetic

        arithmetic.check(spec.precision, device)


def _on(execution: Execution, device: str, devices: str | None, workers: int | None) -> Execution:
    """The same on these devices with so many workers."""
    from bench.run import machine

    if devices and device != "auto":
        raise BadInput("Give --device or --devices, not both.")
    chosen = machine.choose_devices(options.names(devices or ""))
    first = chosen[0] if chosen else machine.choose_device(device)
    return replace(execution, device=first, devices=chosen, workers=machine.workers(workers, first, chosen))


def _from_file(path: Path | None) -> dict[str, Any]:
    from bench.run.spec import from_file

    return from_file(path) if path else {}


def _fetch(spec: RunSpec) -> None:
    """Bring what models lack; what each file is stands on standard error, where progress goes."""
    from bench.models import fetching

    for one in fetching.wanted(spec.models):
        assert one.download is not None
        size, url = fetching.size_and_address(one)
        progress.Ticker().say(f"{one.name}: {url}, {size}, licence {one.download.licence}")
        fetching.fetch(one)


def _measure(
    spec: RunSpec,
    execution: Execution,
    out: Path | None,
    executor: str,
    *,
    any_count: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    from bench.run.faults import CellFailed
    from bench.run.main import run

    try:
        outcome = run(spec, out, execution, executor=executor, any_count=any_count)
    except CellFailed as fault:
        reason = str(fault) if quiet else "stopped at the first failed cell"  # the reason was printed when it happened
        print(f"error: {reason}", file=sys.stderr)
        raise typer.Exit(1) from fault
    report(outcome, shown=not quiet, as_json=as_json, quiet=quiet)


def _print_plan(spec: RunSpec, execution: Execution, out: Path | None, *, as_json: bool) -> None:
    from bench.columns import align
    from bench.run.main import outline

    found = outline(spec, out, execution)
    if as_json:
        print(json.dumps(found, indent=1))
        return
    print(f"{found['images']} images, {len(found['cells'])} cells, {found['shard']} images a part, into {found['out']}")
    print("cells: " + ", ".join(found["cells"]))
    rows = [("model", "done", "s an image", "left")]
    for row in found["models"]:
        done = f"{row['done']}/{found['images']}"
        rows.append((row["model"], done, f"{row['seconds_per_image']:.3f}", progress.duration(row["left_s"])))
    print("\n".join(align(rows, right={1, 2})))
    print(f"all together about {progress.duration(found['left_s'])}, metrics not counted")
    for name, reason in found["missing"].items():
        print(f"missing: {name}: {reason}")


def report(outcome: Outcome, *, shown: bool, as_json: bool, quiet: bool) -> None:
    """Print what a run left, and end with status 1 where a model failed on a cell.

    shown: the reason of each failure was printed when it happened.
    """
    for line in _failures(outcome, shown=shown):
        print(line, file=sys.stderr)
    if as_json:
        print(outcome.summary.to_json(orient="records", indent=1))
    elif not quiet:
        print(_left_behind(outcome))
    raise typer.Exit(1 if outcome.faults else 0)


def _left_behind(outcome: Outcome) -> str:
    """What stands in the folder now, and what to type next."""
    folder = shlex.quote(str(outcome.root))
    if outcome.share:
        return f"{outcome.root}: share {outcome.share} is done. When all are: bench collect {folder}"
    return f"{outcome.root}: {RESULTS}, {SUMMARY}. Tables: bench report {folder}"


def _failures(outcome: Outcome, *, shown: bool) -> list[str]:
    """A line for each model and reason, with the cells that it left empty; reasons that were shown are not repeated."""
    from bench.run.faults import sentence

    cells: dict[tuple[str, str], list[str]] = {}
    for (model, cell), fault in outcome.faults.items():
        cells.setdefault((model, sentence(fault)), []).append(cell)
    reasons = {fault: "" if shown else f": {fault}" for _, fault in cells}
    return [f"failed: {model} on {', '.join(held)}{reasons[fault]}" for (model, fault), held in cells.items()]
