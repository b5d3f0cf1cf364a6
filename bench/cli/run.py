"""Measure models: the main job."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench import progress
from bench.cli import _options as options
from bench.cli._fields import FieldsOf, Typed, spread
from bench.errors import BadInput, counted, printable
from bench.runfolder.names import RESULTS, SUMMARY
from bench.types import Execution, RunSpec

if TYPE_CHECKING:
    from bench.run.main import Outcome

Executor = Annotated[str, typer.Option(help="local, or ray (pip install '.[ray]').")]
SpecFile = Annotated[Path | None, typer.Option(help="A TOML file with the fields of a run; options above win.")]
Plan = Annotated[bool, typer.Option("--plan", help="Print what would be done and how long it takes, then stop.")]
Fetch = Annotated[bool, typer.Option("--fetch", help="First fetch published weights that models lack here.")]


@spread
def command(
    wanted: Annotated[Typed, FieldsOf(RunSpec)],
    means: Annotated[Typed, FieldsOf(Execution)],
    out: options.Out = None,
    executor: Executor = "local",
    spec: SpecFile = None,
    plan: Plan = False,
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
    asked = RunSpec(**{**_from_file(spec), **wanted})
    execution = _execution(means)
    _check_arithmetic(asked, execution.device)
    if executor not in {"local", "ray"}:
        raise BadInput(f"No executor '{executor}'. There are: local, ray.")
    if executor == "ray" and means.get("workers") == 0:
        raise BadInput("--executor ray works in processes of its own: leave out --workers 0, or --executor ray.")
    if fetch:
        _fetch(asked)
    if plan:
        _print_plan(asked, execution, out, as_json=as_json)
    else:
        _measure(asked, execution, out, executor, any_count=any_count, as_json=as_json, quiet=quiet)


def _check_arithmetic(spec: RunSpec, device: str) -> None:
    if spec.precision != RunSpec.precision:  # what it takes to ask imports torch
        from bench.models import arithmetic

        arithmetic.check(spec.precision, device)


def _execution(typed: Typed) -> Execution:
    """How the work is to be done, on the devices that are here."""
    from bench.run import machine, shares

    if "devices" in typed and typed.get("device", "auto") != "auto":
        raise BadInput("Give --device or --devices, not both.")
    devices = machine.choose_devices(typed.get("devices", ()))
    device = devices[0] if devices else machine.choose_device(typed.get("device", "auto"))
    machine.check_threads(typed.get("threads", 0))
    workers = machine.workers(typed.get("workers"), device, devices)
    share = shares.parse(typed["share"]) if "share" in typed else None
    return Execution(**{**typed, "device": device, "devices": devices, "workers": workers, "share": share})


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
    from bench.run import processes

    if execution.workers and executor == "local":
        processes.start_server()  # it imports while we do
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
    photographs, cells = counted(found["images"], "image"), counted(len(found["cells"]), "cell")
    print(f"{photographs}, {cells}, {counted(found['shard'], 'image')} a part, into {found['out']}")
    print("cells: " + ", ".join(found["cells"]))
    rows = [("model", "done", "batch", "s an image", "left")]
    for row in found["models"]:
        known = row["seconds_per_image"] is not None and not row["fault"]
        pace = (str(row["batch"]), _seconds(row["seconds_per_image"])) if known else ("", "")
        left = "not known" if row["fault"] else progress.duration(row["left_s"])
        rows.append((row["model"], f"{row['done']}/{found['images']}", *pace, left))
    print("\n".join(align(rows, right={1, 2, 3})))
    print(_needs(found))
    for name, reason in found["missing"].items():
        print(f"missing: {name}: {reason}")
    for row in found["models"]:
        if row["fault"]:
            print(f"fails: {row['model']}: {row['fault']}")


def _seconds(value: float) -> str:
    return f"{value:.3f}" if value < 1e6 else f"{value:.1e}"


def _needs(found: dict[str, Any]) -> str:
    """Time, memory and disk of what is left, as a line."""
    if not found["left_s"]:
        return "nothing is left"
    workers, gib = max(1, found["workers"]), 1 << 30
    gpu = f", {found['device_bytes'] / gib:.1f} GiB of a GPU's" if found["device_bytes"] else ""
    return (
        f"all together about {progress.duration(found['left_s'])} with {counted(workers, 'worker')} of "
        f"{counted(found['threads'], 'thread')}, metrics and collecting counted "
        f"({progress.duration(found['processor_s'])} of processors); {found['memory_bytes'] / gib:.1f} GiB of "
        f"memory{gpu}; {found['disk_bytes'] / (1 << 20):.1f} MiB of disk"
    )


def report(outcome: Outcome, *, shown: bool, as_json: bool, quiet: bool) -> None:
    """Print what a run left, and end with status 1 where a model failed on a cell, or one named could not be opened.

    shown: the reason of each failure was printed when it happened.
    """
    from bench.run import unmeasured
    from bench.runfolder import record

    made = record.read(outcome.root)
    lacking = unmeasured.named(made, outcome.summary, outcome.faults)
    if as_json:
        print(outcome.summary.to_json(orient="records", indent=1))
    elif not quiet:
        if not outcome.share:
            _print_summary(outcome.root)
        absent = [name for name, model in made.models.items() if model.reason and not model.contaminated]
        print(_left_behind(outcome, unmeasured.others(made.spec, absent, made.missing)))
    sys.stdout.flush()  # what failed or was not measured comes last
    for line in _failures(outcome, shown=shown):
        print(line, file=sys.stderr)
    for name, reason in lacking.items():
        print(printable(f"{name} was not measured: {reason}"), file=sys.stderr)
    for line in (short := not_whole(outcome)):
        print(line, file=sys.stderr)
    raise typer.Exit(1 if outcome.faults or lacking or short else 0)


def not_whole(outcome: Outcome) -> list[str]:
    """A line for each model that some images are missing of; none for a share, which is no whole."""
    if outcome.share:
        return []
    short = outcome.summary[outcome.summary["reason"].str.contains(" images are done")]
    first = short.drop_duplicates("model")
    return [
        printable(f"not whole: {model}: {reason}")
        for model, reason in zip(first["model"], first["reason"], strict=True)
    ]


def _print_summary(root: Path) -> None:
    from bench.report import results, summary

    options.write_report(summary.report(results.load(root)), None, None)
    print()


def _left_behind(outcome: Outcome, lacking: str) -> str:
    """What stands in the folder now, what to type next, and what is lacking."""
    folder = shlex.quote(str(outcome.root))
    if outcome.share:
        return f"{outcome.root}: share {outcome.share} is done. When all are: bench collect {folder}"
    return f"{outcome.root}: {RESULTS}, {SUMMARY}. Tables: bench report {folder}" + f"\n{lacking}" * bool(lacking)


def _failures(outcome: Outcome, *, shown: bool) -> list[str]:
    """A line for each model and reason, with the cells that it left empty; reasons that were shown are not repeated."""
    from bench.run.faults import sentence

    cells: dict[tuple[str, str], list[str]] = {}
    for (model, cell), fault in outcome.faults.items():
        cells.setdefault((model, sentence(fault)), []).append(cell)
    reasons = {fault: "" if shown else f": {fault}" for _, fault in cells}
    return [f"failed: {model} on {', '.join(held)}{reasons[fault]}" for (model, fault), held in cells.items()]
