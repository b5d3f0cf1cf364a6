"""What a supervisor and its workers say to each other; plain data that any connection carries."""

from __future__ import annotations

from typing import NamedTuple

from bench.run.faults import Faults
from bench.run.plan import Task

# To a worker


class Do(NamedTuple):
    """Do a task of one key."""

    task: Task
    known: Faults
    """Cells of the model that are marked already, and are not to be tried."""


class Ahead(NamedTuple):
    """These photographs are likely to be next."""

    start: int
    stop: int


class Leave(NamedTuple):
    """Finish the batch, and go."""


# To the supervisor


class ModelOpened(NamedTuple):
    """The task's model is open, or has failed to; its first cell begins."""


class Alive(NamedTuple):
    """A batch begins, or a step within it, which a text may say."""

    step: str = ""


class CellDone(NamedTuple):
    """A cell of the task is done."""

    images: int


class Said(NamedTuple):
    """A line for the user."""

    text: str


class Done(NamedTuple):
    """The task's part is written."""

    faults: Faults
    bent: tuple[str, ...]
    """What the model changed in the worker's process."""
    batch: int = 0
    """Images that the model sees at once; 0: that is not known."""


class Ended(NamedTuple):
    """The worker is about to go, since the model made it."""

    reason: str


class Refused(NamedTuple):
    """The whole run cannot go on."""

    fault: Exception
