"""This process. The photographs of the next shard are decoded while the one before is at work."""

from __future__ import annotations

from collections.abc import Sequence

from bench import images as pictures
from bench.progress import Ticker
from bench.run.faults import Faults
from bench.run.inputs import Photographs
from bench.run.plan import Task
from bench.run.spec import Job
from bench.run.worker import Worker
from bench.runfolder.parts import Parts
from bench.types import Execution


def execute(tasks: Sequence[Task], job: Job, execution: Execution, parts: Parts, ticker: Ticker) -> Faults:
    """Do the tasks one after another."""
    worker = Worker(job, execution, parts, ticker.say)

    def load(task: Task) -> tuple[Task, Photographs]:
        return task, worker.inputs.photographs(task.start, task.stop)

    for task, photographs in pictures.prefetch(load, tasks, workers=execution.workers, ahead=execution.workers):
        worker.evaluate(task, photographs, ticker.advance)
    return worker.log.faults
