"""How long the work that is left will take: from the parts that are there, else from one image through each model."""

from __future__ import annotations

import time

from bench.errors import BenchError
from bench.models.predict import Predictor
from bench.run.plan import Task
from bench.run.spec import Job
from bench.run.worker import Worker
from bench.runfolder.parts import Parts
from bench.types import Execution


def seconds_per_image(job: Job, parts: Parts, execution: Execution) -> dict[str, float]:
    """Model -> seconds that one image takes in one cell; NaN for a model that cannot be opened or fails."""
    worker = Worker(job, execution, parts, report=lambda _: None)
    return {ref.name: _from_parts(parts, job.key(ref.name)) or _trial(ref.name, worker) for ref in job.models}


def _from_parts(parts: Parts, model: str) -> float | None:
    seconds, images = 0.0, 0
    for part in parts.read(model):
        measured = [one for one in part.facts.seconds if one is not None]
        seconds += sum(measured)
        images += part.images * len(measured)
    return seconds / images if images else None


def _trial(model: str, worker: Worker) -> float:
    """One image in the cell in the middle of the list."""
    import torch

    cell = worker.job.cells[len(worker.job.cells) // 2]
    truth = torch.from_numpy(worker.inputs.photographs(0, 1).pixels).permute(0, 3, 1, 2).contiguous().to(worker.device)
    masks = torch.from_numpy(worker.inputs.masks(cell, 0, 1).holes)[:, None].to(worker.device)
    try:
        predictor = worker.models.open(model)
        if isinstance(predictor, Predictor):
            predictor.batch, predictor.settled = 1, True
        keys = [cell.key(worker.job.ids[0])]
        predictor.stream(truth, masks, keys).judged()
        begin = time.perf_counter()
        predictor.stream(truth, masks, keys).judged()
    except (BenchError, RuntimeError, MemoryError):
        return float("nan")
    return time.perf_counter() - begin


def left(job: Job, tasks: list[Task], per_image: dict[str, float]) -> dict[str, float]:
    """Model -> seconds for the tasks that are left; metrics come on top."""
    names = {job.key(name): name for name in per_image}
    total = dict.fromkeys(per_image, 0.0)
    for task in tasks:
        for key in names.keys() & set(task.keys):
            total[names[key]] += (task.stop - task.start) * len(job.cells) * per_image[names[key]]
    return total
