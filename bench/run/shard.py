"""The one place where photographs, masks, models and metrics meet: all models on one shard of images.

What depends on the truth alone is made once and shared by all models and cells. When a model is done with its cells,
one part is written; then the next model takes over, the same images still on the device.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import images as pictures
from bench.errors import BenchError, NotComparable
from bench.metrics.features import truth as truth_features
from bench.models import predict
from bench.run.plan import Task
from bench.run.toolbox import Photographs, Toolbox, key
from bench.runfolder import TRUTH
from bench.types import Cell


class CellFailed(BenchError):
    """A model failed on a cell of a run that was told to stop at that."""


@dataclass
class Prepared:
    """The truth of a shard, and what the metrics made of it."""

    images: torch.Tensor
    """uint8 [N, 3, H, W]"""
    digests: np.ndarray
    pair: dict[str, Any]
    kept: list[int]
    """Places in the shard of the images whose pictures are kept."""


def evaluate(task: Task, photographs: Photographs, tools: Toolbox, advance: Callable[[int], None]) -> None:
    """Fill every cell of the task's models for its images and write one part a model.

    `advance` is told after each cell how many (image, cell) pairs are done.
    """
    truth = _prepare(task, photographs.pixels, tools)
    masks = [tools.masks(cell, task.start, task.stop) for cell in tools.job.cells]
    for name in task.models:
        rows = []
        for cell, (holes, names, digests) in zip(tools.job.cells, masks, strict=True):
            row = {"mask": np.array(names), "mask_digest": digests, "ratio": holes.mean(axis=(1, 2))}
            rows.append(row | _cell(name, cell, holes, task, truth, tools))
            advance(task.stop - task.start)
        faults = [row.get("fault", "") for row in rows]
        part = _part(rows, tools) | {"image_digest": truth.digests, "fault": np.array(faults)}
        part |= _model_facts(name, photographs.prints, tools)
        tools.store.write_part(key(tools.job, name), task.start, task.stop, part, failed=any(faults))


def _model_facts(name: str, prints: list[str], tools: Toolbox) -> dict[str, np.ndarray]:
    """Which of the photographs the weights were trained on, and what the model costs."""
    known = tools.trained_on.get(name, frozenset())
    costs = {fact: np.array(count) for fact, count in tools.costs(name).items()}
    return {"trained_on": np.array([mark in known for mark in prints])} | costs


def _prepare(task: Task, photographs: np.ndarray, tools: Toolbox) -> Prepared:
    images = torch.from_numpy(photographs).permute(0, 3, 1, 2).contiguous().to(tools.device)
    digests = predict.digests(images)
    _expected(task, digests, tools)
    for name, extractor in tools.extractors.items():
        if (task.start, task.stop) not in tools.store.done(f"{TRUTH}@{name}"):
            rows = truth_features.cached(name, digests.tolist(), images, extractor)
            tools.store.write_part(f"{TRUTH}@{name}", task.start, task.stop, {"features": rows})
    kept = [place for place, image_id in enumerate(tools.job.ids[task.start : task.stop]) if image_id in tools.kept]
    pair = {name: metric.prepare(images) for name, metric in tools.pair_metrics.items()}
    return Prepared(images, digests, pair, kept)


def _expected(task: Task, digests: np.ndarray, tools: Toolbox) -> None:
    """Refuse photographs that are not those of the manifest, where there is one."""
    ids = tools.job.ids[task.start : task.stop]
    for image_id, found in zip(ids, digests, strict=True):
        if tools.job.expected.get(image_id, found) != found:
            raise NotComparable(
                f"{image_id} is not the photograph that was exported: its prepared pixels differ from the manifest's. "
                "Check --root, and that the data set's files are the same."
            )


def _cell(name: str, cell: Cell, holes: np.ndarray, task: Task, truth: Prepared, tools: Toolbox) -> dict[str, Any]:
    """What a model leaves on one cell: output digests, values, features and seconds, or the fault that stopped it."""
    if known := tools.faults.get((name, cell.label)):
        return {"fault": known}
    masks = torch.from_numpy(holes)[:, None].to(tools.device)
    keys = [cell.key(image_id) for image_id in tools.job.ids[task.start : task.stop]]
    try:
        predictor, begin = tools.predictor(name), time.perf_counter()
        outputs = predictor.outputs(truth.images, masks, keys)
        if tools.device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - begin if isinstance(predictor, predict.Predictor) else math.nan
    except Exception as fault:  # a stranger's code may raise anything; the cell is marked
        text = str(fault) if isinstance(fault, BenchError) else f"{type(fault).__name__}: {fault}"
        tools.faults[name, cell.label] = text
        if (name, text) not in tools.reported:
            tools.reported.add((name, text))
            tools.say(f"{name} failed on {cell.label}: {text}")
        if tools.execution.fail_fast:
            raise CellFailed(f"{name} failed on {cell.label}: {text}") from fault
        return {"fault": text}
    _keep(name, cell, task, truth, masks, outputs, tools)
    values = {n: m.compare(truth.pair[n], outputs, masks).cpu().numpy() for n, m in tools.pair_metrics.items()}
    features = {n: extractor.extract(outputs).cpu().numpy() for n, extractor in tools.extractors.items()}
    return {"output_digest": predict.digests(outputs), "values": values, "features": features, "seconds": seconds}


def _part(rows: list[dict[str, Any]], tools: Toolbox) -> dict[str, np.ndarray]:
    """Join the rows of all cells: arrays [cells, images], one for each metric, and one feature array for each cell."""
    blank = np.full_like(rows[0]["ratio"], np.nan)
    part = {field: np.stack([row[field] for row in rows]) for field in ("mask", "mask_digest", "ratio")}
    part["output_digest"] = np.stack([row.get("output_digest", np.full(len(blank), "", "U32")) for row in rows])
    part["seconds"] = np.array([row.get("seconds", np.nan) for row in rows])
    for metric in tools.pair_metrics:
        part[f"value {metric}"] = np.stack([row["values"][metric] if "values" in row else blank for row in rows])
    for extractor in tools.extractors:
        for index, row in enumerate(rows):
            if "features" in row:
                part[f"features {extractor} {index}"] = row["features"][extractor]
    return part


def _keep(
    name: str, cell: Cell, task: Task, truth: Prepared, masks: torch.Tensor, outputs: torch.Tensor, tools: Toolbox
) -> None:
    """Save the kept pictures of a cell: truth, mask and masked image once, the output of every model."""
    for place in truth.kept:
        hole = masks[place]
        shown = {
            "truth": truth.images[place],
            "mask": hole.expand(3, -1, -1).to(torch.uint8) * 255,
            "masked": torch.where(hole, 255, truth.images[place]),
            name: outputs[place],
        }
        image_id = tools.job.ids[task.start + place]
        for title, picture in shown.items():
            path = tools.store.picture(mask_set=cell.mask_set, bucket=cell.bucket.label, image_id=image_id, name=title)
            if title == name or not path.exists():
                _save(path, picture)


def _save(path: Path, picture: torch.Tensor) -> None:
    from bench.disk import whole_file

    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as beside:
        beside.write_bytes(pictures.encode_png(picture.permute(1, 2, 0).cpu().numpy()))
