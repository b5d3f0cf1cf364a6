"""Pictures of images that are chosen by their scores: known when all is scored, so models make them once more.

A picture is kept where it is, to the pixel, what was scored. Numbers do not depend on any of this. Each cell is a small
run of its own, under the same supervisor and time limit as the whole.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.metrics import registry as metric_registry
from bench.progress import Ticker, track
from bench.run import executors, keep, plan
from bench.run.attempts import WorkerLost
from bench.run.spec import Job
from bench.runfolder import batches, pictures, tables
from bench.runfolder.damage import Damaged
from bench.runfolder.names import RESULTS, TRUTH, listed
from bench.runfolder.parts import Parts
from bench.runfolder.pictures import SHOWN, Kept, Pixels, output, shown
from bench.types import Cell, Execution

if TYPE_CHECKING:
    import pandas as pd

Lacking = dict[str, list[Kept]]
"""Model, or the photographs themselves -> the places where its picture is to be made."""


def choose(job: Job, root: Path, summary: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Cell -> the images to keep there by the first metric of single images, of the model that leads in it.

    Empty where nothing is to be chosen by score, or no model has a number in every cell.
    """
    if not job.keep.scored or not job.pair_metrics:
        return {}
    metric, names = job.pair_metrics[0], [ref.name for ref in job.models]
    higher = metric_registry.card(metric).better == "higher"
    model = keep.leader(summary, metric, names, higher=higher)
    if not model:
        Ticker().say(f"No picture is kept by its {metric}: no model has a number in every cell.")
        return {}
    values = _values(root, model, metric)
    return {cell.label: job.keep.choose(values[cell.label], higher=higher) for cell in job.cells}


def _values(root: Path, model: str, metric: str) -> dict[str, dict[str, float]]:
    """Cell -> image -> value of one model."""
    found: dict[str, dict[str, float]] = {}
    for batch in tables.opened(root / RESULTS).iter_batches(columns=["model", "image", "mask_set", "bucket", metric]):
        for name, image, mask_set, bucket, value in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if name == model:
                found.setdefault(f"{mask_set}/{bucket}", {})[image] = value
    return found


def make(job: Job, execution: Execution, parts: Parts, chosen: dict[str, tuple[str, ...]]) -> None:
    """Make the pictures of chosen images that are not there yet, with as many processes as the run has workers.

    Says of which models some did not come out as they were scored: on another device than the run's, say. A model that
    loses its worker twice, or falls silent for the time limit, is not tried in further cells.
    """
    lacking = _lacking(job, parts.root, chosen)
    missed: set[str] = set()
    lost: set[str] = set()
    total = sum(len(_images(held)) * len(held.keys() - {TRUTH}) for held in lacking.values())
    with track("pictures chosen by score", total) as ticker:
        for cell in job.cells:
            held = lacking.get(cell.label, {})
            missed |= held.keys() & lost
            if left := {name: places for name, places in held.items() if name not in lost}:
                bad, gone = _made(job, replace(execution, fail_fast=False), parts, cell, left, ticker)
                missed, lost = missed | bad, lost | gone
    if missed:
        told = listed([name for name in (TRUTH, *(ref.name for ref in job.models)) if name in missed])
        Ticker().say(f"Pictures of {told} that did not come out again as they were scored are not kept.")


def _lacking(job: Job, root: Path, chosen: dict[str, tuple[str, ...]]) -> dict[str, Lacking]:
    """Cell -> what is not there, or not what was scored."""
    wanted = [(*label.rpartition("/")[::2], image) for label, images in chosen.items() for image in images]
    found: dict[str, Lacking] = {}
    for one in pictures.scored(root, wanted, [ref.name for ref in job.models]):
        here = found.setdefault(f"{one.mask_set}/{one.bucket}", {})
        if not all(_stands(one, what, one.given) for what in SHOWN):
            here.setdefault(TRUTH, []).append(one)
        for name in one.models:
            if not _stands(one, name, one.made):
                here.setdefault(name, []).append(one)
    return found


def _images(lacking: Lacking) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.image for places in lacking.values() for one in places))


def _stands(one: Kept, name: str, read: Callable[[str], Pixels]) -> bool:
    try:
        read(name)
    except Damaged:
        return False
    return True


def _made(
    job: Job, execution: Execution, parts: Parts, cell: Cell, lacking: Lacking, ticker: Ticker
) -> tuple[set[str], set[str]]:
    """A small run of one cell in a folder of its own, whose pictures are taken over.

    Returns of which models some came out otherwise or not at all, and which of them lost their workers.
    """
    ids = _images(lacking)
    spec = replace(job.spec, keep_images=len(ids))
    small = replace(job, spec=spec, ids=ids, cells=(cell,), pair_metrics=(), set_metrics=())
    keys = {name: TRUTH if name == TRUTH else job.key(name) for name in lacking}
    with tempfile.TemporaryDirectory() as scratch:
        own = Parts(Path(scratch), job.digest)
        for key in keys.values():
            batches.copy(parts.of(key), own.of(key))
        tasks = plan.tasks(
            len(ids), plan.shard_size(job.protocol.preparation.size_px), dict.fromkeys(keys.values(), ())
        )
        try:
            faults = executors.choose("local")(tasks, small, execution, own, ticker)
        except WorkerLost as fault:  # with the photographs alone
            ticker.say(str(fault))
            return set(lacking), set()
        lost = {name for (name, _), fault in faults.items() if isinstance(fault, WorkerLost)}
        bad = {name for name, places in lacking.items() for one in places if not _taken(one, own.root, name)}
    return bad, lost


def _taken(one: Kept, scratch: Path, name: str) -> bool:
    """Take over what was made of one place, if it is what was scored."""
    there = replace(one, root=scratch)
    names = SHOWN if name == TRUTH else (name,)
    if not all(_stands(there, what, there.given if name == TRUTH else there.made) for what in names):
        return False
    for path in [shown(*one.place, what) for what in SHOWN] if name == TRUTH else [output(*one.place, name)]:
        pictures.save(one.root, path, (scratch / path).read_bytes())
    return True
