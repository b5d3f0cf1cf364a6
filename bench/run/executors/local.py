"""Processes of this machine; with 0 workers, this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.progress import Ticker
from bench.run import machine, processes
from bench.run.faults import Faults
from bench.run.plan import Task
from bench.run.processes import ProcessHandle
from bench.run.spec import Job
from bench.run.supervisor import Supervisor
from bench.runfolder import logs
from bench.runfolder.parts import Parts
from bench.types import Execution


def execute(tasks: Sequence[Task], job: Job, execution: Execution, parts: Parts, ticker: Ticker) -> Faults:
    """Do the tasks with `execution.workers` processes."""
    if not execution.workers:
        from bench.run.executors import here

        return here.execute(tasks, job, execution, parts, ticker)
    processes.start_server()
    room = machine.room(execution)

    def start(number: int) -> ProcessHandle:
        device = execution.devices[number] if execution.devices else execution.device
        return ProcessHandle(job, replace(execution, device=device), parts, room)

    try:
        return Supervisor(tasks, job, start, execution.workers, execution=execution, ticker=ticker).run()
    finally:
        logs.sweep(parts.root)
