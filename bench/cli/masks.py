"""Mask sets: list, look at, freeze, verify, import."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli import _options as options
from bench.errors import counted

app = typer.Typer()

MAX_SIDE = 4096
"""Pixels; a larger mask alone takes more than 16 MiB."""

SetId = Annotated[str, typer.Argument(help="Id of a mask set, as `bench masks list` prints it.")]


@app.command("list")
def list_sets(as_json: options.Json = False) -> None:
    """List the frozen sets, and the families that are drawn on the fly. Example: bench masks list"""
    from bench.columns import align
    from bench.masks import frozen
    from bench.masks import registry as mask_registry

    sets = [{**held.manifest, "sha256": held.digest} for held in frozen.opened().values()]
    families = {
        name: {"title": member.title, "source": member.source} for name, member in mask_registry.families().items()
    }
    if as_json:
        print(json.dumps({"sets": [_brief(manifest) for manifest in sets], "families": families}, indent=1))
        return
    rows = [("set", "masks", "strata", "ratio %", "sha256"), *map(_row, sets)]
    print("\n".join(align(rows, right={1, 2, 3})))
    rows = [("family", "what its masks are (any can be drawn for training)")]
    print("\n" + "\n".join(align(rows + [(name, facts["title"]) for name, facts in families.items()])))


def _row(manifest: dict[str, Any]) -> tuple[str, ...]:
    brief = _brief(manifest)
    span = f"{brief['ratio_min']:.1f}-{brief['ratio_max']:.1f}"
    return (brief["id"], str(brief["count"]), str(brief["strata"]), span, brief["sha256"][:16])


def _brief(manifest: dict[str, Any]) -> dict[str, Any]:
    strata = manifest["strata"].values()
    return {key: manifest[key] for key in ("id", "family", "size_px", "count", "sha256")} | {
        "strata": len(strata),
        "ratio_min": min(entry["ratio_min"] for entry in strata),
        "ratio_max": max(entry["ratio_max"] for entry in strata),
    }


HALF = 50
"""Masks that miss more than this share of a picture on average, in per cent, may have been read the wrong way round."""


def _mean_ratio(manifest: Mapping[str, Any]) -> float:
    """Of all masks of a set, in per cent."""
    strata = manifest["strata"].values()
    return sum(entry["ratio_mean"] * entry["count"] for entry in strata) / sum(entry["count"] for entry in strata)


@app.command()
def show(set_id: SetId, out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("masks.png")) -> None:
    """Write a contact sheet of a set, a row for each stratum, white = missing.

    Example: bench masks show freeform-256 --out freeform.png
    """
    from PIL import Image

    from bench.errors import BadInput
    from bench.masks import frozen, sheet

    if out.suffix.lower() not in Image.registered_extensions():
        raise BadInput(f"--out {out}: a picture is written as .png.")
    sheet.save(frozen.load(set_id), out)
    print(out)


@app.command()
def stats(set_id: SetId, as_json: options.Json = False) -> None:
    """Print counts, ratios and digests of a set. Example: bench masks stats cellular-256"""
    from bench.columns import align
    from bench.masks import frozen

    held = frozen.load(set_id)
    manifest = {**held.manifest, "sha256": held.digest}
    if as_json:
        print(json.dumps(manifest, indent=1))
        return
    for key in ("id", "family", "version", "size_px", "count", "title", "source", "scaling", "sha256"):
        if key in manifest:
            print(f"{key:8} {manifest[key]}")
    rows = [("stratum", "masks", "mean %", "sd", "min", "max", "border", "sha256")]
    for name, entry in manifest["strata"].items():
        ratios = [f"{entry[key]:.2f}" for key in ("ratio_mean", "ratio_sd", "ratio_min", "ratio_max")]
        border = f"{100 * entry['touching_border'] / entry['count']:.0f} %"
        rows.append((name, str(entry["count"]), *ratios, border, entry["sha256"][:16]))
    print("\n" + "\n".join(align(rows, right=range(1, 7))))


@app.command()
def freeze(
    families: Annotated[list[str], typer.Argument(help="Families, globs, or `all`.")],
    size: Annotated[
        int, typer.Option(min=1, max=MAX_SIDE, help="Side of the masks in pixels, one of the family's sizes.")
    ] = 256,
    again: Annotated[bool, typer.Option("--again", help="Draw it even if it is there.")] = False,
    into: Annotated[Path | None, typer.Option(help="Folder for the set, instead of the user's own.")] = None,
) -> None:
    """Draw a family's set at a size; the bits must meet the digest that the project knows.

    Example: bench masks freeze freeform --size 512
    """
    from bench import plugins
    from bench.masks import freezing
    from bench.masks import registry as mask_registry

    drawn = [name for name in families if name in mask_registry.families()]
    known = dict.fromkeys([*freezing.frozen_families(), *drawn])
    for name in plugins.choose("mask family", families, list(known), "bench masks list"):
        held = freezing.freeze(name, size, again, into)
        print(f"{held.id}  {counted(held.manifest['count'], 'mask')}  sha256 {held.digest}  {held.folder}")


@app.command()
def verify(
    set_ids: Annotated[list[str] | None, typer.Argument(help="Ids of mask sets.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every set that `bench masks list` shows.")] = False,
) -> None:
    """Draw sets again and compare every bit, of imported ones with their digests; exit status 1 where one differs.

    Example: bench masks verify --all
    """
    from bench import plugins
    from bench.errors import BadInput
    from bench.masks import freezing, frozen

    if bool(set_ids) == everything:
        raise BadInput("Name the sets to verify, or give --all.")
    chosen = plugins.choose("mask set", set_ids or ["all"], list(frozen.folders()), "bench masks list")
    whole = True
    for set_id in chosen:
        faults = freezing.verify(set_id)
        whole &= not faults
        origin = "imported" if frozen.load(set_id).manifest.get("imported") else "drawn"
        print(f"{set_id}: {counted(len(faults), 'fault') if faults else f'every bit as {origin}'}")
        for fault in faults[:SHOWN]:
            print(f"  {fault}")
    raise typer.Exit(0 if whole else 1)


SHOWN = 10
"""Faults printed for each set."""


@app.command("import")
def import_set(
    name: Annotated[str, typer.Argument(help="Name of the new set; its id is NAME-SIZE.")],
    source: Annotated[Path, typer.Argument(help="A folder of mask images, or a JSON file: COCO-style, or BrushNet's.")],
    kind: Annotated[
        str, typer.Option(help="folder, nvidia (the 12,000 test masks), coco, brushnet (mapping_file.json).")
    ] = "folder",
    size: Annotated[
        int | None,
        typer.Option(
            min=1, max=MAX_SIDE, help="Cut the centred square and take the pixel under each centre; never interpolated."
        ),
    ] = None,
    threshold: Annotated[int | None, typer.Option(min=0, max=254, help="Grey values above it count as white.")] = None,
    invert: Annotated[bool, typer.Option("--invert", help="Black is missing, white is known.")] = False,
    paired: Annotated[bool, typer.Option("--paired", help="A picture takes the mask of its own name.")] = False,
    ending: Annotated[
        str, typer.Option(help="Of the masks' names, less the pictures': _mask. Other files are left.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace a set of this name and size.")] = False,
) -> None:
    """Freeze masks that others drew. White is missing unless --invert is given; nothing is guessed.

    Example: bench masks import nvidia-test masks/irregular/test --kind nvidia --size 256
    """
    from bench.masks import imported

    held = imported.bring(kind, name, source, size, threshold, invert, force, paired=paired, ending=ending)
    print(f"{held.id}  {counted(held.manifest['count'], 'mask')}  sha256 {held.digest}  {held.folder}")
    if kind == "folder" and (missing := _mean_ratio(held.manifest)) > HALF:
        colour, other = ("black", "without --invert") if invert else ("white", "with --invert")
        print(
            f"{missing:.0f} % is missing on average, what is {colour}. If that is what is known: {other} (and --force)."
        )
    if left_out := held.manifest["imported"].get("left_out"):
        print(f"{left_out} objects cover less than 1 % (or all) of the square and were left out.")
