"""This process. The photographs of the next shard are decoded while the one before is at work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch

from bench import images as pictures
from bench.progress import Ticker
from bench.run.faults import Faults
from bench.run.inputs import Photographs
from bench.run.plan import Task
from bench.run.spec import Job
from bench.run.worker import Worker
from bench.runfolder.parts import Parts
from bench.types import Execution

READERS = 2
"""Threads that decode the photographs of the next shards."""


def execute(tasks: Sequence[Task], job: Job, execution: Execution, parts: Parts, ticker: Ticker) -> Faults:
    """Do the tasks one after another."""
    worker = Worker(job, execution, parts, ticker.say)
    faults: Faults = {}

    def load(task: Task) -> tuple[Task, Photographs]:
        return task, worker.inputs.photographs(task.start, task.stop)

    with _threads(execution.threads):
        for task, photographs in pictures.prefetch(load, tasks, workers=READERS, ahead=READERS):
            worker.log.faults = {}  # what a model does on some images says nothing about others
            worker.evaluate(task, photographs, ticker.advance)
            faults = worker.log.faults | faults
    return faults


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
