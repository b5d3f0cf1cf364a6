"""All machines of a Ray cluster (or all cores of this one): one worker a GPU, or `workers` of them without.

The run folder must be one that every machine sees.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.errors import BenchError, ContractBroken, Unavailable
from bench.progress import Ticker
from bench.run.faults import Faults, sentence
from bench.run.plan import Task, pairs
from bench.run.spec import Job
from bench.run.worker import Worker
from bench.runfolder.parts import Parts
from bench.types import Execution


class Actor:
    """A worker in a process of the cluster."""

    def __init__(self, job: Job, execution: Execution, parts: Parts) -> None:
        self.worker = Worker(job, execution, parts)

    def evaluate(self, task: Task) -> Faults:
        """Do one task and return all that has failed so far."""
        photographs = self.worker.inputs.photographs(task.start, task.stop)
        self.worker.evaluate(task, photographs, lambda _: None)
        return {place: _portable(fault) for place, fault in self.worker.log.faults.items()}


def _portable(fault: Exception) -> Exception:
    """A stranger's exception may not survive the way between processes; its sentence does."""
    return fault if isinstance(fault, BenchError) else ContractBroken(sentence(fault))


def execute(tasks: Sequence[Task], job: Job, execution: Execution, parts: Parts, ticker: Ticker) -> Faults:
    """Give the tasks to whichever worker is free. Raises `Unavailable` where Ray is not installed."""
    try:
        import ray
    except ImportError as fault:
        raise Unavailable("--executor ray needs Ray: pip install 'inpainting-bench[ray]'") from fault
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False)
    gpus = int(ray.cluster_resources().get("GPU", 0)) if execution.device.startswith("cuda") else 0
    remote = ray.remote(num_gpus=1 if gpus else 0, num_cpus=1)(Actor)
    actors = [remote.remote(job, execution, parts) for _ in range(min(gpus or execution.workers, len(tasks)))]
    results = ray.util.ActorPool(actors).map(lambda actor, task: actor.evaluate.remote(task), list(tasks))
    faults: Faults = {}
    for task, found in zip(tasks, results, strict=True):
        faults |= found
        ticker.advance(pairs([task]) * len(job.cells))
    return faults
