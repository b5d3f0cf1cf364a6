"""Where shards are evaluated: in this process, or on Ray. Every executor maps the same function over the same tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench import images as pictures
from bench.errors import Unavailable
from bench.progress import Ticker
from bench.run.plan import Task
from bench.run.shard import evaluate
from bench.run.spec import Job
from bench.run.toolbox import Photographs, Toolbox
from bench.runfolder import Store
from bench.types import Execution

Executor = Callable[[Sequence[Task], Job, Execution, Store, Ticker], dict[tuple[str, str], str]]
"""Evaluates the tasks and returns the faults: (model, cell label) -> why."""


def local(
    tasks: Sequence[Task], job: Job, execution: Execution, store: Store, ticker: Ticker
) -> dict[tuple[str, str], str]:
    """This process. The photographs of the next shard are decoded while the one before is at work."""
    tools = Toolbox(job, execution, store, say=ticker.say)

    def load(task: Task) -> tuple[Task, Photographs]:
        return task, tools.photographs(task.start, task.stop)

    for task, photographs in pictures.prefetch(load, tasks, workers=execution.workers, ahead=execution.workers):
        evaluate(task, photographs, tools, ticker.advance)
    return tools.faults


def ray(
    tasks: Sequence[Task], job: Job, execution: Execution, store: Store, ticker: Ticker
) -> dict[tuple[str, str], str]:
    """All machines of a Ray cluster (or all cores of this one): one worker a GPU, or `workers` of them without.

    The run folder must be one that every machine sees.
    """
    try:
        import ray as cluster
    except ImportError as fault:
        raise Unavailable("--executor ray needs Ray: pip install 'inpainting-bench[ray]'") from fault

    class Worker:
        def __init__(self) -> None:
            self.tools = Toolbox(job, execution, store)

        def evaluate(self, task: Task) -> dict[tuple[str, str], str]:
            evaluate(task, self.tools.photographs(task.start, task.stop), self.tools, lambda _: None)
            return self.tools.faults

    if not cluster.is_initialized():
        cluster.init(log_to_driver=False, include_dashboard=False)
    gpus = int(cluster.cluster_resources().get("GPU", 0)) if execution.device.startswith("cuda") else 0
    remote = cluster.remote(num_gpus=1 if gpus else 0, num_cpus=1)(Worker)
    workers = [remote.remote() for _ in range(min(gpus or execution.workers, len(tasks)))]
    pool = cluster.util.ActorPool(workers)
    faults: dict[tuple[str, str], str] = {}
    width = len(job.cells)
    sizes = {
        (task.start, task.stop, task.models): (task.stop - task.start) * len(task.models) * width for task in tasks
    }
    results = pool.map(lambda worker, task: worker.evaluate.remote(task), list(tasks))
    for task, found in zip(tasks, results, strict=True):
        faults |= found
        ticker.advance(sizes[task.start, task.stop, task.models])
    return faults


EXECUTORS: dict[str, Executor] = {"local": local, "ray": ray}
