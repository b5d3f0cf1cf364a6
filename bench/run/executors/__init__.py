"""Where tasks are done: `local` (processes of this machine, or this one) and `ray`.

All give the same tasks to the same `Worker`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence

from bench.errors import UnknownName
from bench.progress import Ticker
from bench.run.faults import Faults
from bench.run.plan import Task
from bench.run.spec import Job
from bench.runfolder.parts import Parts
from bench.types import Execution

Executor = Callable[[Sequence[Task], Job, Execution, Parts, Ticker], Faults]
"""Does the tasks and returns what failed."""


def names() -> list[str]:
    """The executors that there are."""
    return ["local", "ray"]


def choose(name: str) -> Executor:
    """An executor by name; raises `UnknownName`."""
    if name not in names():
        raise UnknownName("executor", [name], names(), "bench run --help")
    found: Executor = importlib.import_module(f"{__name__}.{name}").execute
    return found
