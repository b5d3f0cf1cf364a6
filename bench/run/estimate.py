"""How long the work that is left will take: from the parts that are there, else from one image through each model."""

from __future__ import annotations

import time

import numpy as np

from bench.errors import BenchError
from bench.models.predict import Predictor
from bench.run.plan import Task
from bench.run.spec import Job
from bench.run.toolbox import Toolbox, key
from bench.runfolder import Store
from bench.types import Execution


def seconds_per_image(job: Job, store: Store, execution: Execution) -> dict[str, float]:
    """Model -> seconds that one image takes in one cell; NaN for a model that cannot be opened or fails."""
    tools = Toolbox(job, execution, store, say=lambda _: None)
    return {ref.name: _from_parts(job, store, ref.name) or _trial(ref.name, tools) for ref in job.models}


def _from_parts(job: Job, store: Store, model: str) -> float | None:
    seconds, images = 0.0, 0
    for start, stop, part in store.read_parts(key(job, model), "seconds"):
        seconds += float(np.nansum(part["seconds"]))
        images += (stop - start) * int(np.isfinite(part["seconds"]).sum())
    return seconds / images if images else None


def _trial(model: str, tools: Toolbox) -> float:
    """One image in the cell in the middle of the list."""
    import torch

    cell = tools.job.cells[len(tools.job.cells) // 2]
    truth = torch.from_numpy(tools.photographs(0, 1).pixels).permute(0, 3, 1, 2).contiguous().to(tools.device)
    masks = torch.from_numpy(tools.masks(cell, 0, 1)[0])[:, None].to(tools.device)
    try:
        predictor = tools.predictor(model)
        if isinstance(predictor, Predictor):
            predictor.batch, predictor.proven = 1, True
        keys = [cell.key(tools.job.ids[0])]
        predictor.outputs(truth, masks, keys)
        begin = time.perf_counter()
        predictor.outputs(truth, masks, keys)
    except (BenchError, RuntimeError, MemoryError):
        return float("nan")
    return time.perf_counter() - begin


def left(tasks: list[Task], per_image: dict[str, float], cells: int) -> dict[str, float]:
    """Model -> seconds for the tasks that are left; metrics come on top."""
    total = dict.fromkeys(per_image, 0.0)
    for task in tasks:
        for model in task.models:
            total[model] += (task.stop - task.start) * cells * per_image[model]
    return total
