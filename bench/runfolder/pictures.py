"""The few pictures that a run keeps: where they lie."""

from __future__ import annotations

from pathlib import Path

from bench import digest
from bench.disk import whole_file
from bench.runfolder.names import MODELS, PICTURES, component
from bench.runfolder.part import DIGITS


def folder(mask_set: str, bucket: str, image: str) -> str:
    """Where the pictures of an image in a cell lie, as a path below the run folder."""
    return "/".join([PICTURES, *map(component, (mask_set, bucket, image))])


def shown(mask_set: str, bucket: str, image: str, what: str) -> str:
    """The path of what every model was given: `truth`, `mask` or `masked`."""
    return f"{folder(mask_set, bucket, image)}/{what}.png"


def output(mask_set: str, bucket: str, image: str, model: str) -> str:
    """The path of what a model made, in a room of its own."""
    return f"{folder(mask_set, bucket, image)}/{MODELS}/{component(model)}.png"


def save(root: Path, name: str, png: bytes) -> dict[str, str]:
    """Write a picture whole; returns its path below `root` -> digest of the file."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as beside:
        beside.write_bytes(png)
    return {name: digest.of_bytes(png)[:DIGITS]}
