"""Models: which there are, what is known of them, their weights, and whether one keeps the contract."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import _options as options
from bench.cli._fields import finite
from bench.paths import expanded
from bench.types import Execution

if TYPE_CHECKING:
    from bench.models.contract import Finding
    from bench.models.fetching import Published
    from bench.models.registry import ModelRef
    from bench.models.speed import Speed
    from bench.types import ModelCard

app = typer.Typer()

MAX_SIDE = 4096
"""Pixels of the pictures on which a model is tried."""

Name = Annotated[str, typer.Argument(metavar="MODEL", help="A name from `bench models list`, or path/to/file.py.")]


@app.command("list")
def list_models(as_json: options.Json = False) -> None:
    """List the models: parameters, cost, what each was held against, and the weights at hand or what to type.

    Seconds are the processor's for one image of 256 x 256, as docs/speed.md has them. Example: bench models list
    """
    from bench.columns import align
    from bench.models import registry as model_registry
    from bench.models import speed

    costs = speed.measured()
    rows = [_row(ref) | _cost(costs.get(ref.id)) for ref in model_registry.choose(["all"])]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    heads = ("model", "title", "year", "kind", "parameters", "CPU s", "held against", "weights")
    texts = [
        (
            *(str(row[name] or "") for name in ("id", "title", "year", "kind")),
            *_size(row),
            row["evidence"],
            _weights(row),
        )
        for row in rows
    ]
    print("\n".join(align([heads, *texts], right={4, 5})))
    print("\n".join(f"{name}  {what}" for name, what in model_registry.elsewhere().items()))


def _size(row: dict[str, Any]) -> tuple[str, str]:
    """Parameters and seconds, as people read them."""
    size = f"{row['parameters'] / 1e6:.1f}M" if row["parameters"] else ""
    seconds = "" if row["seconds"] is None else f"{row['seconds']:.2g}"
    return size, f"{seconds} ({row['timed_variant']})" if row["timed_variant"] else seconds


def _cost(found: Speed | None) -> dict[str, Any]:
    return {"seconds": found.seconds if found else None, "timed_variant": found.variant if found else ""}


def _weights(row: dict[str, Any]) -> str:
    if row["kind"] != "learned":
        return "needs none"
    return ", ".join(row["weights"]) or f"none here; type: bench models show {row['id']}"


def _row(ref: ModelRef) -> dict[str, Any]:
    from bench.models import weights

    return {
        "id": ref.id,
        "title": ref.card.title,
        "year": ref.card.year,
        "kind": ref.card.kind,
        "parameters": ref.card.parameters.get(ref.variant or next(iter(ref.card.variants), "")),
        "evidence": ref.card.evidence,
        "weights": sorted(weights.find(ref.id)),
        "reason": ref.reason,
    }


@app.command()
def show(name: Name, as_json: options.Json = False) -> None:
    """Print all that is known of a model: paper, form, limits, weights here and where the authors put theirs.

    Example: bench models show pconv
    """
    from bench.models import registry as model_registry
    from bench.models import sheet, weights

    for ref in {ref.id: ref for ref in model_registry.choose([name])}.values():
        records = {tag: weights.record(path) for tag, path in weights.find(ref.id).items()}
        if as_json:
            facts = {tag: known.facts for tag, known in records.items()}
            print(json.dumps({"id": ref.id, **dataclasses.asdict(ref.card), "weights": facts}, indent=1))
        else:
            print("\n".join(sheet.lines(ref, records)))


@app.command("import")
def import_weights(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="The model, with :VARIANT where it is not the default.")],
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="The authors' file, files in any order, or a folder or archive of them."
        ),
    ],
    tag: Annotated[str, typer.Option(help="Name of the weights: MODEL@TAG.")] = "official",
    part: Annotated[str, typer.Option(help="Which of several networks in the file: generator_ema.")] = "",
    number: Annotated[
        list[str] | None, typer.Option(help="Numbers that the file lacks, where the import asks: mean=0.46,0.45,0.42.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace weights of this tag.")] = False,
    as_json: options.Json = False,
) -> None:
    """Take over the authors' checkpoint: its names are mapped, checked, and stored as safetensors.

    Code inside a checkpoint is never run. `bench models show MODEL` says the line to type. Which file is which is seen
    by name or by its tensors; NETWORK=FILE says it. Example: bench models import pconv places.pth --tag places2
    """
    from bench.errors import BadInput
    from bench.models import importing, weights
    from bench.models import registry as model_registry

    if "@" in name:
        raise BadInput(f"{name}: the tag is given beside the model: {name.replace('@', ' FILE --tag ', 1)}.")
    ref = model_registry.only(name)
    given = _given(files, ref.card)
    variant = ref.variant if ":" in name else ""
    numbers = _numbers(number or ())
    record = importing.import_checkpoint(ref.id, given, tag, variant=variant, part=part, numbers=numbers, force=force)
    if as_json:
        print(json.dumps(record, indent=1))
    else:
        print("\n".join(_imported(ref, record, weights.folder(ref.id) / f"{tag}{weights.SUFFIX}")))


def _numbers(texts: Iterable[str]) -> dict[str, list[float]]:
    from bench.errors import BadInput

    found: dict[str, list[float]] = {}
    for text in texts:
        name, _, values = text.partition("=")
        if name in found:
            raise BadInput(f"--number {text}: {name} is given twice. Leave one of them out.")
        try:
            found[name] = [float(value) for value in values.split(",")]
        except ValueError:
            raise BadInput(f"--number {text}: write it as NAME=NUMBER,NUMBER,... : mean=0.46,0.45,0.42.") from None
    return found


def _imported(ref: ModelRef, record: dict[str, Any], place: Path) -> list[str]:
    """What an import took, what it left, and what to type next."""
    other = record["variant"] not in ("", next(iter(ref.card.variants), ""))
    label = f"{ref.id}:{record['variant']}" if other else ref.id
    wrapped = f", taken out of {record['unwrapped']}" if "unwrapped" in record else ""
    lines = [
        f"{place}: sha256 {record['sha256']}",
        f"took: the tensors of {label} from {record['source']}{wrapped}",
        f"left: {record.get('left', 'nothing')}",
        f"Output on the stored input: sha256 {record['output_sha256'][:12]}. Use it: --models {label}@{place.stem}",
    ]
    return [*lines, f"Stored as {record['stored_as']}; kept as float32."] if "stored_as" in record else lines


@app.command()
def fetch(
    names: Annotated[
        list[str], typer.Argument(metavar="MODEL@TAG...", help="Published weights, globs ('pconv@*'), or `all`.")
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before the transfer.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace weights that are here.")] = False,
) -> None:
    """Bring weights that others publish: address, size and licence are shown, the file is checked, then imported.

    A transfer that broke off goes on. BENCH_MIRROR and HF_ENDPOINT name other servers. What lies where only a browser
    gets it is named with what to do. Example: bench models fetch pconv@places2
    """
    from bench.errors import BadInput, Unavailable
    from bench.models import fetching

    chosen = fetching.choose(names)
    todo = [one for one in chosen if one.fetchable and (force or not one.here)]
    for one in chosen:
        if one.here and not force:
            print(f"{one.name} is here already.")
        elif one in todo:
            print("\n".join(_offer(one)))
    if todo and not yes:
        if not sys.stdin.isatty():
            raise BadInput("Nobody can be asked here whether to fetch this: say --yes.")
        typer.confirm(f"Fetch {len(todo)} of them?", abort=True)
    for one in todo:
        _fetched(one, force=force)
    if by_hand := [f"{one.name}: {one.by_hand()}" for one in chosen if not one.fetchable and not one.here]:
        print("\n".join(by_hand))
        if len(by_hand) == len(chosen):
            raise Unavailable("A program cannot fetch these: see above.")


def _offer(one: Published) -> list[str]:
    """What is known of a file before it comes."""
    from bench.models import fetching

    assert one.download is not None
    size, url = fetching.size_and_address(one)
    return [
        f"{one.name}  {one.download.file}, {size}, licence {one.download.licence}",
        f"  {url}",
        f"  digest: {fetching.digest_from(one.download)}",
    ]


def _fetched(one: Published, *, force: bool = False) -> None:
    from bench.models import fetching

    record = fetching.fetch(one, force=force)
    print(f"{one.name}: {record['source']} (sha256 {record['source_sha256']}) is imported. Use it: --models {one.name}")


def _given(files: list[str], card: ModelCard) -> list[Path] | dict[str, Path]:
    """Files as paths, by network where every one says its own."""
    named = [word.partition("=") for word in files]
    if all(part in card.parts for part, _, _ in named):
        return {part: expanded(file) for part, _, file in named}
    return [expanded(file) for file in files]


@app.command()
def verify(
    name: Name,
    size: Annotated[
        int | None, typer.Option(min=8, max=MAX_SIDE, help="Side of the pictures it is tried on; its own by default.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...")] = "cpu",
    published: Annotated[bool, typer.Option("--published", help="Hold a run against printed numbers instead.")] = False,
    run: Annotated[Path | None, typer.Option(help="With --published: the run; without it, what makes one.")] = None,
    as_json: options.Json = False,
) -> None:
    """Prove a contribution: card, weights, shapes, range, polarity, no leak, batch, determinism, training step, demo.

    Prints what a pull request needs; exit status 1 if a check fails; a note is no failure.
    Example: bench models verify my/model.py
    """
    from bench.models import registry as model_registry

    ref = model_registry.only(name)
    if published or run:
        _against_print(ref, run, as_json=as_json)
        return
    findings = []
    for finding in _checks(ref, name, size or 0, options.device_name(device)):
        findings.append(finding)
        if not as_json:
            print(_line(finding))
    failed = sum(1 for finding in findings if finding.fault)
    if as_json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=1))
    else:
        print(f"{ref.name}, digest {ref.digest[:12]}: {len(findings) - failed} of {len(findings)} checks passed")
    raise typer.Exit(1 if failed else 0)


@app.command("serve-check")
def serve_check(
    command: Annotated[str, typer.Argument(help="What starts the served model: 'path/to/python their_script.py'.")],
    size: Annotated[int, typer.Option(min=8, max=MAX_SIDE, help="Side of the pictures it is tried on.")] = 256,
    time_limit: Annotated[
        float, typer.Option(min=1, callback=finite, help="Seconds that a batch may take.")
    ] = Execution.time_limit_s,
) -> None:
    """Prove a model that another environment serves: what it says, contract, no leak, repeatability, speed.

    Exit status 1 if a check fails. Example: bench models serve-check '/opt/old/bin/python their_script.py'
    """
    from bench.models import registry as model_registry
    from bench.models import served, verify

    ref = model_registry.only(command if command.startswith(served.PREFIX) else f"{served.PREFIX}{command}")
    assert isinstance(ref.adapter, served.Command)
    asked = dataclasses.replace(ref.adapter, limit_s=time_limit)
    ref, hello = dataclasses.replace(ref, adapter=asked), asked.hello
    print(f"says: {hello.name or 'no name'}, weights {hello.digest[:12] or 'without digest'}, seeds {hello.seeds}")
    failed = 0
    for finding in verify.verify(ref, size):
        failed += bool(finding.fault)
        print(_line(finding))
    if not failed:
        model, pipe = served.speed(asked, size)
        print(f"speed: the model {model:.2f} ms an image of {size} x {size}, the pipe {pipe:.2f} ms more")
    print(f"Use it: --models {shlex.quote(ref.name)}" if not failed else f"{failed} checks failed")
    raise typer.Exit(1 if failed else 0)


def _against_print(ref: ModelRef, run: Path | None, *, as_json: bool) -> None:
    """How far a run is from what is printed of its model; without a run what to type, and status 1."""
    from bench.report import footer, results
    from bench.report.analysis import printed

    lines = printed.lines_of(ref.id)
    if run is None:
        print("\n".join([*printed.ways(ref.name, lines), *([f"missing: {ref.reason}"] if ref.reason else [])]))
        raise typer.Exit(1)
    measured = results.load(run)
    found = printed.compare(measured, ref.name, lines)
    if as_json:
        print(json.dumps([dataclasses.asdict(one) for one in found], indent=1))
        return
    print(printed.text(found))
    print("\n".join([f"measured on {measured.record.images} images of {measured.dataset}", *footer.cautions(measured)]))


def _checks(ref: ModelRef, name: str, size: int, device: str) -> Iterator[Finding]:
    """The contract; a training step where the model can be trained; the demo if all else passed."""
    from bench.models import verify as contract
    from bench.models.contract import Finding

    passed = not ref.reason
    for finding in contract.verify(ref, size, device):
        passed &= not finding.fault
        yield finding
    if ref.card.kind == "learned" and ref.attribute == "model":
        from bench.training import selftest

        fault = selftest.training_fault(ref.member)
        passed &= not fault
        yield Finding("trains: a step of the starter recipe", fault)
    if passed:
        yield _on_the_demo(name, ref.name)


def _on_the_demo(name: str, model: str) -> Finding:
    """The numbers of `make demo` for one model, held against those that this project records."""
    from bench.models.contract import Finding
    from bench.report.analysis import regression
    from bench.run.faults import sentence
    from bench.run.main import run
    from bench.types import RunSpec

    families = ("rectangular", "freeform", "cellular")
    metrics = ("psnr", "ssim-wang", "l1")
    spec = RunSpec((name,), masks=families, buckets="deciles", metrics=metrics, limit=4, keep_images=0)
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(spec, Path(folder) / "demo")
        if faults := sorted({sentence(fault) for fault in outcome.faults.values()}):
            return Finding("numbers on the demo", "; ".join(faults))
        return Finding(*regression.recorded(outcome.root, model))


def _line(finding: Finding) -> str:
    word = "FAIL" if finding.fault else "note" if finding.remark else "pass"
    return ": ".join(filter(None, (f"{word}  {finding.title}", finding.fault, finding.remark)))
