"""Data sets: what is known of them, and whether a copy is whole."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import _options as options

if TYPE_CHECKING:
    from bench.datasets.registry import DatasetEntry
    from bench.datasets.verify import Findings

app = typer.Typer()


@app.command("list")
def list_datasets(as_json: options.Json = False) -> None:
    """List the data sets that can be named. Example: bench datasets list"""
    from bench.columns import align
    from bench.datasets import registry as dataset_registry

    entries = dataset_registry.entries()
    if as_json:
        print(json.dumps({name: dataclasses.asdict(entry) for name, entry in entries.items()}, indent=1))
        return
    rows: list[tuple[str, ...]] = [("name", "type", "year", "images", "splits; resolution")]
    rows += [*dataset_registry.PLAIN.items(), *dataset_registry.from_hub().items()]
    for name, entry in entries.items():
        splits = f"{', '.join(entry.splits)}; {entry.resolution}"
        rows.append((name, entry.type, str(entry.year), f"{entry.images:,}", splits))
    print("\n".join(align(rows, right={3})))


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A name from `bench datasets list`.")], as_json: options.Json = False
) -> None:
    """Print all that is known of a data set: licence, layout on disk, splits, preparation, how to get it.

    Example: bench datasets show places2
    """
    from bench.datasets import registry as dataset_registry

    plain = dataset_registry.PLAIN | dataset_registry.HUB
    if name in plain:
        print(json.dumps({"name": name, "title": plain[name]}) if as_json else f"{name}: {plain[name]}")
        return
    entry = dataset_registry.entry(name)
    print(json.dumps(dataclasses.asdict(entry), indent=1) if as_json else _sheet(entry))


def _sheet(entry: DatasetEntry) -> str:
    survey = ", ".join(f"{key} {value or 'not given'}" for key, value in entry.survey.items())
    fields = {
        "title": entry.title,
        "type": entry.type,
        "domain": entry.domain,
        "year": entry.year,
        "images": f"{entry.images:,}",
        "resolution": entry.resolution,
        "survey Table 3": survey or "not in it",
        "licence": entry.licence,
        "address": entry.url,
        "how to get it": entry.get,
        "preparation": entry.preparation,
        "tables": ", ".join(entry.tables) or "none",
        "read by": f"torchvision.datasets.{entry.torchvision}" if entry.torchvision else "the folder reader",
        "notes": entry.notes,
    }
    lines = [f"{key:15} {value}" for key, value in fields.items() if value]
    lines += ["", f"{'split':12} {'images':>10}  below --root"]
    for layout in entry.layouts:
        listing = f"  (listed in {layout.listing})" if layout.listing else ""
        lines.append(f"{layout.split:12} {layout.count or '?':>10}  {layout.folder}{listing}")
    return "\n".join(lines)


@app.command()
def verify(
    name: Annotated[str, typer.Argument(help="A name from `bench datasets list`.")],
    root: Annotated[Path | None, typer.Option(help="Where the copy lies.")] = None,
    split: Annotated[str | None, typer.Option(help="Which part, or a list of ids (.txt).")] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="Decode only so many, chosen by digest.")] = None,
    protocol: Annotated[str, typer.Option(help="For which protocol photographs may be too small.")] = "bench@1",
    allow_large: Annotated[
        bool, typer.Option("--allow-large", help="Decode photographs of any number of pixels, bytes and scans.")
    ] = False,
    write_list: Annotated[Path | None, typer.Option(help="Write the ids into this file, one a line.")] = None,
    as_json: options.Json = False,
) -> None:
    """Count a copy against the official number, decode it, and print the digest of its list.

    All damaged files, names that collide, photographs of a list that are not there, doubles by content and photographs
    too small for a protocol are told at once. Exit status 1 means that something is missing or broken. Example:

    bench datasets verify places2 --root /data/places2 --split val
    """
    from bench.datasets import registry as dataset_registry
    from bench.datasets import verify as checks
    from bench.protocols import registry as protocol_registry

    place, part = str(root) if root else None, options.expanded(split) if split else None
    preparation = protocol_registry.load(protocol).preparation
    found = checks.verify(name, place, part, sample, preparation, large=allow_large)
    if write_list:
        dataset_registry.write_list(write_list, dataset_registry.open_dataset(name, place, part).ids)
    print(json.dumps(dataclasses.asdict(found), indent=1) if as_json else _report(found, protocol))
    raise typer.Exit(0 if found.whole else 1)


@app.command()
def split(
    name: Annotated[str, typer.Argument(help="A name from `bench datasets list`.")],
    counts: Annotated[str, typer.Option(help="Lists and how many photographs each has: train=4000,test=1000.")],
    root: Annotated[Path | None, typer.Option(help="Where the copy lies.")] = None,
    of: Annotated[str | None, typer.Option(help="The official split, or a list, that is divided.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other lists.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for NAME-LIST.txt.")] = Path(),
    as_json: options.Json = False,
) -> None:
    """Draw disjoint lists of photographs at random and write them down; runs and trainings read them with --split.

    The same ids, counts and seed give the same lists on every machine. Example:

    bench datasets split places2 --root /data/places2 --counts train=4000,test=1000 --out lists
    """
    from bench.datasets import registry as dataset_registry

    place, part = str(root) if root else None, options.expanded(of) if of else None
    ids = dataset_registry.open_dataset(name, place, part).ids
    rows = []
    out.mkdir(parents=True, exist_ok=True)
    for list_name, chosen in dataset_registry.draw_lists(ids, _counts(counts), seed).items():
        path = out / f"{name}-{list_name}.txt"
        dataset_registry.write_list(path, chosen)
        rows.append({"list": str(path), "count": len(chosen), "sha256": dataset_registry.list_digest(chosen)})
    print(
        json.dumps(rows, indent=1)
        if as_json
        else "\n".join(f"{row['list']}  {row['count']:,} of {len(ids):,}  sha256 {row['sha256']}" for row in rows)
    )


def _counts(text: str) -> dict[str, int]:
    """`train=4000,test=1000` -> name -> count."""
    from bench.errors import BadInput

    found = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*([\w-]+)=([1-9]\d*)\s*", part)
        if not match or match[1] in found:
            raise BadInput(f"--counts {text}: write each list once with its number, as train=4000,test=1000.")
        found[match[1]] = int(match[2])
    return found


def _report(found: Findings, protocol: str) -> str:
    from bench import image_ids
    from bench.errors import counted, printable

    official = f" of {found.official:,} official" if found.official else ""
    lines = [
        f"{found.name} {found.split}".rstrip() + f": {counted(found.count, 'photograph')}{official}",
        f"list sha256: {found.list_sha256}",
        f"decoded: {found.decoded:,} of {found.decoded + len(found.broken):,}, broken: {len(found.broken):,}",
    ]
    if found.decoded:
        (width, height), (widest, highest) = found.smallest, found.largest
        lines.append(f"widths: {width} to {widest} pixels, heights: {height} to {highest}")
    lines += [told] if (told := image_ids.told(found.aside)) else []
    lines += _some(found.faults) + _some(list(found.broken.values()))
    if found.doubles:
        lines.append(f"doubles by content: {len(found.doubles):,} (their masks differ, their pixels do not)")
        lines += _some([" = ".join(same) for same in found.doubles])
    if found.small:
        lines.append(f"smaller than what {protocol} asks for: {len(found.small):,} (a run needs another --protocol)")
        least = sorted(found.small.items(), key=lambda one: one[1])
        lines += _some([f"{image_id}: {width} x {height}" for image_id, (width, height) in least])
    return "\n".join(map(printable, lines))


def _some(lines: list[str]) -> list[str]:
    """The first lines, and how many more there are."""
    from bench.datasets.verify import SHOWN

    more = len(lines) - SHOWN
    return lines[:SHOWN] + [f"... and {more:,} more (all of them with --json)"] * (more > 0)
