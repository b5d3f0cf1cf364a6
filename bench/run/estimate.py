"""What the work that is left will take: time, disk and memory, from the rates that `run/probe` measures."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.run import machine, processes
from bench.run.inputs import Inputs
from bench.run.plan import BATCH, Task
from bench.run.schedule import Schedule, Span
from bench.run.spec import Job
from bench.runfolder.names import TRUTH
from bench.types import Execution

if TYPE_CHECKING:
    from bench.run.probe import Rates

COLLECT_S = 1.5
"""To start collecting, and to end."""
ROW_S = 1e-5
"""To collect a row, beyond what its cell takes (perf/collect.py)."""
RECORD_BYTES, MODEL_BYTES, SCORE_BYTES = 12_000, 1_200, 40
"""Of the record and the summary: themselves, a model's entry, a number with its interval."""
IMAGE_BYTES, PICTURE_BYTES = 50, 90
"""Of a photograph in its part; of a picture's name and digest in a part."""
PLAYED = 100_000
"""Parts that are handed out one by one as the supervisor would; the times of more are added up."""
START_S = 1.0
"""Until the command line is read."""


@dataclass(frozen=True)
class Estimate:
    """What is left of a run."""

    models: dict[str, float]
    """Model -> seconds of one worker; NaN where it fails."""
    wall_s: float
    processor_s: float
    disk_bytes: float
    memory_bytes: int
    """Of all workers at their highest."""
    device_bytes: int


def measured(job: Job, tasks: Sequence[Task], execution: Execution, root: Path, begun: float) -> Rates:
    """Look at the models that have something left, in a process of its own where a run would.

    begun: when the command began, by `time.time`.
    """
    names = [ref.name for ref in job.models if any(job.key(ref.name) in task.keys for task in tasks)]
    count = max((task.stop - task.start for task in tasks), default=0)
    if execution.workers:
        found: Rates = processes.call("bench.run.probe:probe", job, execution, root, count, names, begun)
        return found
    from bench.run import probe

    return probe.probe(job, execution, root, count, names, begun)


def estimate(job: Job, tasks: Sequence[Task], execution: Execution, found: Rates) -> Estimate:
    """Predict the rest of a run."""
    costs, workers = TaskCosts(job, found), max(1, execution.workers)
    makespan, work = played(tasks, costs, execution.batch or BATCH, workers)
    crowd = max(1.0, workers * execution.threads / machine.cores())
    collecting = COLLECT_S + len(job.models) * len(job.cells) * (found.collect_s + ROW_S * len(job.ids))
    again = {name: costs.again(name) for name in found.models}
    makespan, work = makespan + sum(again.values()) / workers, work + sum(again.values())
    return Estimate(
        {name: costs.model(tasks, name) + again[name] for name in found.models},
        wall_s=START_S + found.start_s + makespan * crowd + collecting,
        processor_s=START_S + COLLECT_S + (found.start_s + work + collecting - COLLECT_S) * found.busy,
        disk_bytes=costs.disk(tasks),
        memory_bytes=found.memory_bytes * workers,
        device_bytes=found.device_bytes,
    )


def played(tasks: Sequence[Task], costs: TaskCosts, batch: int, workers: int) -> tuple[float, float]:
    """Hand out the tasks as the supervisor would: seconds until the last one is done, and of all workers together."""
    if sum(len(task.keys) for task in tasks) > PLAYED:
        work = sum(costs.seconds(task, key) for task in tasks for key in task.keys)
        work += sum(task.stop - task.start for task in tasks) * costs.found.image_s
        return work / workers, work
    schedule, spans, opened = Schedule(tasks, batch, workers), dict[int, Span](), set[tuple[int, str]]()
    clocks, last, work = [(0.0, place) for place in range(workers)], 0.0, 0.0
    while clocks:
        now, place = heapq.heappop(clocks)
        span = schedule.span(spans.get(place), {other for one, other in spans.items() if one != place})
        if span is None:
            spans.pop(place, None)
            continue
        task = schedule.take(span)
        key, images = task.keys[0], task.stop - task.start
        own = costs.seconds(task, key)
        schedule.measured(task, own, costs.batch(key))
        seconds = own + (costs.found.image_s * images if spans.get(place) != span else 0.0)
        seconds += 0.0 if (place, key) in opened else costs.open_s(key)
        opened.add((place, key))
        spans[place] = span
        last, work = max(last, now + seconds), work + seconds
        heapq.heappush(clocks, (now + seconds, place))
    return last, work


class TaskCosts:
    """Seconds and bytes of tasks."""

    def __init__(self, job: Job, found: Rates) -> None:
        self.job, self.found = job, found
        self.names = {job.key(name): name for name in found.models}
        kept = set(Inputs(job).kept)
        self.kept = sorted(place for place, name in enumerate(job.ids) if name in kept)

    def pictures(self, task: Task) -> int:
        """How many outputs of a model on a task are kept."""
        return len(self.job.cells) * sum(task.start <= place < task.stop for place in self.kept)

    def seconds(self, task: Task, key: str) -> float:
        """Of one key's part, without what comes before it."""
        images, found = task.stop - task.start, self.found
        if key == TRUTH:
            return images * found.truth_s + self.pictures(task) * found.shown_s + found.part_s
        pace = self.found.models[self.names[key]]
        filled = -(-images // pace.batch) * pace.batch * len(self.job.cells)
        whole = 0.0 if math.isnan(pace.pair_s) else filled * pace.pair_s
        return whole + self.pictures(task) * pace.picture_s + found.part_s

    @property
    def chosen(self) -> int:
        """How many outputs of a model are kept for their scores, at most."""
        return len(self.job.cells) * min(self.job.keep.scored, len(self.job.ids))

    def again(self, name: str) -> float:
        """Seconds in which a model makes the pictures that are chosen by score once more."""
        pace = self.found.models[name]
        if not self.chosen or math.isnan(pace.pair_s):
            return 0.0
        batches = -(-min(self.job.keep.scored, len(self.job.ids)) // pace.batch) * len(self.job.cells)
        return pace.open_s + batches * pace.batch * pace.pair_s + self.chosen * pace.picture_s

    def open_s(self, key: str) -> float:
        """Until a worker has what a key names."""
        return 0.0 if key == TRUTH else self.found.models[self.names[key]].open_s

    def batch(self, key: str) -> int:
        """Images that a model sees at once; 0 for the photographs."""
        return 0 if key == TRUTH else self.found.models[self.names[key]].batch

    def model(self, tasks: Sequence[Task], name: str) -> float:
        """Seconds of all that is left of a model, in one worker."""
        if math.isnan(self.found.models[name].pair_s):
            return math.nan
        key = self.job.key(name)
        return self.open_s(key) + sum(self.seconds(task, key) for task in tasks if key in task.keys)

    def disk(self, tasks: Sequence[Task]) -> float:
        """Bytes that will be added to the run folder."""
        job, found = self.job, self.found
        scores = len(job.models) * len(job.cells) * (len(job.pair_metrics) + len(job.set_metrics))
        total: float = RECORD_BYTES + MODEL_BYTES * len(job.models) + SCORE_BYTES * scores + sum(map(len, job.ids))
        total += found.row_bytes * len(job.ids) * len(job.cells) * len(job.models)
        total += self.chosen * (found.shown_bytes + sum(pace.picture_bytes for pace in found.models.values()))
        for task in tasks:
            images, pictures = task.stop - task.start, self.pictures(task)
            rows = images * len(job.cells)
            for key in task.keys:
                total += found.part_bytes
                if key == TRUTH:
                    total += images * (found.vector_bytes + IMAGE_BYTES) + pictures * found.shown_bytes
                else:
                    total += rows * (found.row_bytes + found.vector_bytes)
                    total += pictures * (self.found.models[self.names[key]].picture_bytes + PICTURE_BYTES)
        return total
