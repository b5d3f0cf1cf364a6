"""Pictures that leave the house and come back: inputs for models that run elsewhere, and the check of what they made.

DIR/masked/MASK SET/BUCKET/IMAGE.png    the photograph, black where it is missing
DIR/masks/MASK SET/BUCKET/IMAGE.png     white where it is missing
DIR/manifest.json                       written last: what the pictures are, and the digest of every prepared photograph
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench import documents
from bench import images as pictures
from bench.disk import whole_file, write_text
from bench.errors import BadInput, NotComparable, UnknownName
from bench.models import predictions
from bench.progress import track
from bench.run.inputs import Inputs, Photographs
from bench.run.spec import Job, resolve
from bench.runfolder.names import listed
from bench.runfolder.record import differences
from bench.types import Cell, RunSpec

MANIFEST = "manifest.json"
AT_ONCE = 16
"""Photographs in memory."""
WRITERS = 4


def export(spec: RunSpec, out: Path) -> dict[str, Any]:
    """Write masked inputs and masks of every cell, and return the manifest.

    Files of a whole export are not made again; of one that was stopped, those that are not as they must be. Raises
    `BenchError` for wrong names, missing data, photographs that were replaced, or a folder that holds another export.
    """
    job = resolve(replace(spec, models=(), metrics=()))
    before = manifest(out / MANIFEST) if (out / MANIFEST).exists() else None
    if before:
        _same(job, before, out / MANIFEST, "Export into another folder.")
    inputs = Inputs(job)
    step = AT_ONCE if job.protocol.preparation.size_px else 1  # photographs of several sizes are no array
    spans = [(start, min(start + step, len(job.ids))) for start in range(0, len(job.ids), step)]
    digests: dict[str, str] = {}

    def load(span: tuple[int, int]) -> tuple[tuple[int, int], Photographs]:
        return span, inputs.photographs(*span)

    with track(f"{len(job.ids)} images, {len(job.cells)} cells", len(job.ids)) as ticker:
        for (start, stop), photographs in pictures.prefetch(load, spans, workers=2, ahead=2):
            ids = job.ids[start:stop]
            digests |= {name: pictures.digest(row)[:32] for name, row in zip(ids, photographs.pixels, strict=True)}
            if before:
                _check_replaced(ids, before.images, digests, out / MANIFEST)
            write = partial(_write, start, stop, photographs.pixels, inputs, out, again=not before)
            with ThreadPoolExecutor(WRITERS) as threads:
                list(threads.map(write, job.cells))
            ticker.advance(stop - start)
    wanted = {field.name: getattr(job.spec, field.name) for field in fields(_Wanted)}
    written = {"spec": wanted, "settings": _settings(job), "missing": "0 in masked, 255 in masks", "images": digests}
    write_text(out / MANIFEST, json.dumps(written, indent=1, ensure_ascii=False) + "\n")
    return written


def _check_replaced(ids: Sequence[str], before: Mapping[str, str], now: Mapping[str, str], place: Path) -> None:
    if replaced := [name for name in ids if before.get(name) != now[name]]:
        raise NotComparable(
            f"Photographs are not those that {place} was written from: {listed(replaced)}. Put the old files back, or "
            "export into a new folder."
        )


def _write(
    start: int, stop: int, photographs: np.ndarray, inputs: Inputs, out: Path, cell: Cell, *, again: bool
) -> None:
    """again: files that are there are held against what they must be."""
    _, height, width, _ = photographs.shape
    holes = inputs.masks(cell, start, stop, (height, width)).holes
    for image_id, photograph, hole in zip(inputs.job.ids[start:stop], photographs, holes, strict=True):
        masked = np.where(hole[..., None], np.uint8(0), photograph)
        for kind, pixels in (("masked", masked), ("masks", hole.astype(np.uint8) * 255)):
            path = out / kind / cell.label / f"{image_id}.png"
            if path.exists() and not again:
                continue
            content = pictures.encode_png(pixels)
            if not path.exists() or path.read_bytes() != content:
                path.parent.mkdir(parents=True, exist_ok=True)
                with whole_file(path) as beside:
                    beside.write_bytes(content)


@dataclass(frozen=True)
class _Wanted:
    """The fields of `RunSpec` that a manifest fixes; root, models and metrics are the reader's own."""

    dataset: str
    masks: tuple[str, ...]
    buckets: str
    protocol: str
    split: str | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Manifest:
    """What `export` writes beside the pictures."""

    spec: _Wanted
    settings: dict[str, Any]
    """Of the run, without its metrics."""
    images: dict[str, str]
    """Image -> digest of the prepared photograph."""
    missing: str = ""


def manifest(path: Path) -> Manifest:
    """Read what `export` wrote; raises `BadInput` naming line and field."""
    return documents.from_json(path, "the manifest").into(Manifest)


def spec_from(path: Path) -> dict[str, Any]:
    """The fields of `RunSpec` that a manifest fixes."""
    return vars(manifest(path).spec)


def pinned_to(job: Job, path: Path) -> Job:
    """The same job, whose photographs must be those of a manifest; `NotComparable` where its settings differ."""
    found = manifest(path)
    _same(job, found, path, "Leave data set, split, limit, masks, buckets and protocol to the manifest.")
    return replace(job, expected=found.images)


def _same(job: Job, found: Manifest, path: Path, mend: str) -> None:
    wanted = _settings(job)
    settings = {field: found.settings.get(field) for field in wanted}
    if differ := differences(settings, wanted, list(found.images), job.ids):
        raise NotComparable(f"{path} was written with other settings: {'; '.join(differ)}. {mend}")


def _settings(job: Job) -> dict[str, Any]:
    return {field: value for field, value in job.settings.plain().items() if field != "metrics"}


def check_all_there(job: Job) -> None:
    """Raise one `BadInput` that names which finished pictures are missing in every folder; none is opened."""
    cells = [cell.label for cell in job.cells]
    if told := " ".join(filter(None, (ref.pictures.fault(_keys(job), cells) for ref in job.models if ref.pictures))):
        raise BadInput(told)


def check(job: Job) -> None:
    """Look at all finished pictures of a job before an image is read: all there, 8-bit RGB, of the masks' size.

    Raises one `BadInput` that names what is missing in every folder; tells of pictures that nothing asks for.
    """
    folders = [ref.pictures for ref in job.models if ref.pictures]
    if not folders:
        return
    cells, side = [cell.label for cell in job.cells], job.protocol.preparation.size_px
    size = (side, side) if side else None
    check_all_there(job)
    with track("pictures looked at", len(folders) * len(job.ids)) as ticker, ThreadPoolExecutor() as threads:
        for folder in folders:
            if unused := folder.unused(_keys(job), cells):
                ticker.say(unused)
            for image_id in job.ids:
                names = [folder.place(cell.key(image_id), cells) for cell in job.cells]
                list(threads.map(lambda name: folder.check(name, size), names))  # noqa: B023
                ticker.advance(1)


def _keys(job: Job) -> Iterator[str]:
    return (cell.key(image_id) for image_id in job.ids for cell in job.cells)


def folders(spec: RunSpec, root: Path, suffix: str = "") -> RunSpec:
    """The spec with a folder's models: the folder itself, or the folders in it."""
    if suffix and suffix not in predictions.SUFFIXES:
        raise UnknownName("kind of picture", [suffix], predictions.SUFFIXES, "bench score --help")
    job = resolve(replace(spec, models=()))
    cells = [cell.label for cell in job.cells]
    found = predictions.models(root, list(_keys(job)), cells, suffix or predictions.LOSSLESS)
    end = f"@{suffix}" if suffix else ""
    return replace(spec, models=tuple(f"{path.resolve()}{end}" for path in found))
