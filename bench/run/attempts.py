"""Models that took their worker with them: each cell is tried once more, then marked with the reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from bench.errors import BenchError
from bench.run.faults import FaultLog, Faults
from bench.run.plan import Task
from bench.run.spec import Job
from bench.runfolder.names import TRUTH

TRIES = 2
"""Of one model on one cell."""
CELLS = 3
"""On so many cells a model may lose its worker; the others are not tried then."""


class WorkerLost(BenchError):
    """A worker that ended, was killed or fell silent while it was at work."""


@dataclass
class Attempts:
    """Which model lost workers on which cell."""

    job: Job
    log: FaultLog
    _lost: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._names = {self.job.key(ref.name): ref.name for ref in self.job.models}

    def model(self, task: Task) -> str:
        """The model of a task; `truth` for the photographs' own."""
        return self._names.get(task.keys[0], TRUTH)

    def known(self, task: Task) -> Faults:
        """The cells that the task's model is not to be tried on again."""
        name = self.model(task)
        return {place: fault for place, fault in self.log.faults.items() if place[0] == name and _lost(fault)}

    def lost(self, task: Task, cell: int | None, reason: str) -> str:
        """A worker was lost on a cell of a task, by its place, or before its model was open; a line for the user.

        Empty where the log has said it. Raises `WorkerLost` where no model is to blame.
        """
        name = self.model(task)
        labels = [one.label for one in self.job.cells]
        where = "its photographs" if name == TRUTH else "being opened" if cell is None else labels[cell]
        self._lost[name, where] += 1
        if self._lost[name, where] < TRIES:
            return f"{name} on {where}: its worker {reason}; it is tried once more"
        if name == TRUTH:
            raise WorkerLost(f"No worker could prepare the images {task.start} to {task.stop - 1}: it {reason}.")
        self._mark(name, labels if cell is None else [labels[cell]], f"its worker {reason}")
        marked = [place for place, fault in self.log.faults.items() if place[0] == name and _lost(fault)]
        if len(marked) == CELLS:
            self._mark(name, labels, f"not tried: on {CELLS} other cells its worker was lost, last it {reason}")
        return ""

    def _mark(self, name: str, cells: list[str], reason: str) -> None:
        for label in cells:
            if self.log.of(name, label) is None:
                self.log.add(name, label, WorkerLost(reason))


def _lost(fault: Exception) -> bool:
    return isinstance(fault, WorkerLost)
