"""Pictures of images that are chosen by their scores: known when all is scored, so models make them once more.

A picture is kept where it is, to the pixel, what was scored. Numbers do not depend on any of this.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.metrics import registry as metric_registry
from bench.progress import Ticker, track
from bench.run import keep, plan, processes
from bench.run.spec import Job
from bench.runfolder import pictures, tables
from bench.runfolder.damage import Damaged
from bench.runfolder.names import RESULTS, TRUTH, listed
from bench.runfolder.parts import Parts
from bench.runfolder.pictures import SHOWN, Kept, Pixels, output, shown
from bench.types import Cell, Execution

if TYPE_CHECKING:
    import pandas as pd

    from bench.run.worker import Worker

Lacking = dict[str, list[Kept]]
"""Model, or the photographs themselves -> the places where its picture is to be made."""
Given = tuple[Job, Execution, Parts, Lacking]
"""What one process has to do."""


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

    Says of which models some did not come out as they were scored: on another device than the run's, say.
    """
    lacking = _lacking(job, parts.root, chosen)
    turns = max(1, min(execution.workers, len(lacking)))
    names = list(lacking)
    shares = [{name: lacking[name] for name in names[turn::turns]} for turn in range(turns)] if names else []
    given = [(job, _on(execution, turn), parts, share) for turn, share in enumerate(shares)]
    with ThreadPoolExecutor(turns) as pool:
        missed = {name for found in pool.map(_called if execution.workers else _made, given) for name in found}
    if missed:
        told = listed([name for name in names if name in missed])
        Ticker().say(f"Pictures of {told} that did not come out again as they were scored are not kept.")


def _lacking(job: Job, root: Path, chosen: dict[str, tuple[str, ...]]) -> Lacking:
    """What is not there, or not what was scored."""
    wanted = [(*label.rpartition("/")[::2], image) for label, images in chosen.items() for image in images]
    found: Lacking = {}
    for one in pictures.scored(root, wanted, [ref.name for ref in job.models]):
        if not all(_stands(one, what, one.given) for what in SHOWN):
            found.setdefault(TRUTH, []).append(one)
        for name in one.models:
            if not _stands(one, name, one.made):
                found.setdefault(name, []).append(one)
    return found


def _stands(one: Kept, name: str, read: Callable[[str], Pixels]) -> bool:
    try:
        read(name)
    except Damaged:
        return False
    return True


def _on(execution: Execution, turn: int) -> Execution:
    device = execution.devices[turn % len(execution.devices)] if execution.devices else execution.device
    return replace(execution, device=device, fail_fast=False)


def _called(given: Given) -> list[str]:
    found: list[str] = processes.call("bench.run.again:made_apart", given)
    return found


def made_apart(given: Given) -> list[str]:
    """What `_made` gives, in a process of its own, where nobody reads what models print."""
    import torch

    torch.set_num_threads(given[1].threads or torch.get_num_threads())
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        return _made(given)


def _made(given: Given) -> list[str]:
    """Make pictures cell by cell, each model opened once; returns the models of which some came out otherwise."""
    from bench.run.worker import Worker

    job, execution, parts, lacking = given
    whole = Worker(job, execution, parts, lambda _: None)
    missed = set()
    with track("pictures chosen by score", sum(map(len, lacking.values()))) as ticker:
        for name, places in lacking.items():
            for cell, few in _pieces(job, places):
                with tempfile.TemporaryDirectory() as scratch:
                    own = _evaluated(whole, Path(scratch), name, cell, few)
                    missed |= {name for one in few if not _taken(one, own, name)}
                ticker.advance(len(few))
    return sorted(missed)


def _pieces(job: Job, places: list[Kept]) -> Iterator[tuple[Cell, list[Kept]]]:
    """The places of each cell, at most a part's images at a time."""
    size = plan.shard_size(job.protocol.preparation.size_px)
    for cell in job.cells:
        here = [one for one in places if (one.mask_set, one.bucket) == (cell.mask_set, cell.bucket.label)]
        yield from ((cell, here[at : at + size]) for at in range(0, len(here), size))


def _evaluated(whole: Worker, scratch: Path, name: str, cell: Cell, few: list[Kept]) -> Path:
    """A small run of one model, or of the photographs, in a folder of its own; opened models are those of the whole."""
    from bench.run.worker import Worker

    job, ids = whole.job, tuple(one.image for one in few)
    spec = replace(job.spec, keep_images=len(ids))
    small = replace(job, spec=spec, ids=ids, cells=(cell,), pair_metrics=(), set_metrics=())
    worker = Worker(small, whole.execution, Parts(scratch, job.digest), whole.report)
    worker.models = whole.models
    key = TRUTH if name == TRUTH else job.key(name)
    worker.evaluate(plan.Task(0, len(ids), (key,)), worker.inputs.photographs(0, len(ids)), lambda _: None)
    return scratch


def _taken(one: Kept, scratch: Path, name: str) -> bool:
    """Take over what was made of one place, if it is what was scored."""
    there = replace(one, root=scratch)
    names = SHOWN if name == TRUTH else (name,)
    if not all(_stands(there, what, there.given if name == TRUTH else there.made) for what in names):
        return False
    for path in [shown(*one.place, what) for what in SHOWN] if name == TRUTH else [output(*one.place, name)]:
        pictures.save(one.root, path, (scratch / path).read_bytes())
    return True
