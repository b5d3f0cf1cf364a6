"""A worker's life: it does the tasks that its supervisor hands it, one model on one range of images at a time.

What models print goes into their logs. Everything else that happens is told over the connection.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

from bench import progress
from bench.errors import BenchError
from bench.progress import Ticker
from bench.run.faults import FaultLog, Faults, portable, sentence
from bench.run.inputs import Inputs, Photographs
from bench.run.messages import Ahead, Alive, CellDone, Do, Done, Ended, Leave, ModelOpened, Refused, Said
from bench.run.plan import Task
from bench.run.schedule import Span
from bench.run.spec import Job
from bench.run.worker import Worker
from bench.runfolder.names import TRUTH, log
from bench.runfolder.parts import Parts
from bench.types import Execution

ALIVE_EVERY_S = 0.5
LOG_BYTES = 16 << 20
"""Of what a model prints, so much is kept, looked at before every batch."""


class Leaving(BaseException):
    """The supervisor wants no more of this worker; nothing that a model catches."""


class TracedLog(FaultLog):
    """Tracebacks go where the model's output goes; the supervisor tells the reasons."""

    def add(self, model: str, cell: str, fault: Exception) -> None:
        """Note a fault, and print where it came from."""
        traceback.print_exception(fault)
        super().add(model, cell, fault)


class Steps(Ticker):
    """Passes on what iterative models tell from inside `predict`."""

    def __init__(self, pass_on: Callable[[str], None]) -> None:
        self.pass_on = pass_on

    def show(self, text: str) -> None:
        """See `Ticker`."""
        self.pass_on(text)


class ReadAhead:
    """Photographs that are decoded in a thread before their task comes; the last ones are kept."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._begun: dict[Span, Future[Photographs]] = {}

    def begin(self, span: Span) -> None:
        """Decode the photographs of a range, if that has not begun."""
        if span not in self._begun:
            self._begun[span] = self._pool.submit(self._inputs.photographs, *span)

    def get(self, span: Span) -> Photographs:
        """The photographs of a range; lets go of all others. Raises as `Inputs.photographs` does."""
        self.begin(span)
        self._begun = {span: self._begun[span]}
        return self._begun[span].result()


class Service:
    """One worker and the connection to its supervisor."""

    def __init__(self, connection: Connection, job: Job, execution: Execution, parts: Parts) -> None:
        self.connection, self.job, self.root, self.process = connection, job, parts.root, os.getpid()
        self.worker = Worker(job, execution, parts, lambda text: self._tell(Said(text)), self._alive)
        self.worker.log = TracedLog(lambda _: None)
        self.ahead = ReadAhead(self.worker.inputs)
        self.told = 0.0
        self.printed: Path | None = None

    def run(self) -> None:
        """Serve until the supervisor wants no more, or is gone."""
        steps = progress.told_to(Steps(self._step))
        with contextlib.suppress(Leaving, EOFError, ConnectionError), steps:
            while True:
                message = self.connection.recv()
                if isinstance(message, Do):
                    self._do(message)
                else:
                    self._heed(message)

    def _do(self, given: Do) -> None:
        self._tell(Alive())
        try:
            self._tell(self._done(given.task, given.known))
        except (BenchError, OSError) as fault:
            self._tell(Refused(portable(fault)))
        except SystemExit:
            raise
        except Leaving:
            raise
        except BaseException as fault:
            traceback.print_exc()
            self._tell(Ended(f"met {sentence(fault)}"))
            raise SystemExit(1) from fault

    def _done(self, task: Task, known: Faults) -> Done:
        names = {self.job.key(ref.name): ref.name for ref in self.job.models}
        name, span = names.get(task.keys[0], TRUTH), (task.start, task.stop)
        self.worker.log.faults = dict(known)
        self.worker.parts.look_again(TRUTH)
        photographs = self.ahead.get(span)
        if name == TRUTH:
            self.worker.evaluate(task, photographs, lambda _: None)
            return Done({}, ())
        self.printed = log(self.root, name)
        print_into(self.printed)
        before = self._state(name)
        if len(known) < len(self.job.cells):
            with contextlib.suppress(BenchError):  # every cell will meet it again
                self.worker.models.open(name)
        self._tell(ModelOpened())
        self.worker.evaluate(task, photographs, self._advance)
        flush()
        faults = {place: portable(fault) for place, fault in self.worker.log.faults.items() if place not in known}
        return Done(faults, self._bent(before), self.worker.models.batch(name))

    def _state(self, name: str) -> dict[str, object]:
        """What a stranger's model may bend; nothing for one of the house, nor for commands and libraries' pipelines."""
        ref = self.job.ref(name)
        if ref.adapter or not ref.member.foreign:
            return {}
        from bench.run import bending

        _ = self.worker.device  # which fixes the switches of cuDNN
        return bending.state()

    @staticmethod
    def _bent(before: dict[str, object]) -> tuple[str, ...]:
        if not before:
            return ()
        from bench.run import bending

        return bending.bent(before)

    def _advance(self, images: int) -> None:
        self._tell(CellDone(images))
        self._listen()

    def _alive(self) -> None:
        """Before every batch: say so now and then, and see whether there is word from the supervisor."""
        if time.monotonic() - self.told > ALIVE_EVERY_S:
            self._tell(Alive())
        if self.printed:
            bound(self.printed)
        self._listen()

    def _step(self, text: str) -> None:
        if self._alone():
            self._tell(Alive(text))

    def _alone(self) -> bool:
        """Whether this is the worker itself; a model that forks and returns leaves a copy of it behind."""
        return os.getpid() == self.process

    def _listen(self) -> None:
        while self.connection.poll():
            self._heed(self.connection.recv())

    def _heed(self, message: object) -> None:
        if isinstance(message, Ahead):
            self.ahead.begin((message.start, message.stop))
        elif isinstance(message, Leave):
            raise Leaving

    def _tell(self, message: object) -> None:
        if not self._alone():
            os._exit(0)  # two would answer one supervisor
        self.told = time.monotonic()
        self.connection.send(message)


def bound(path: Path) -> None:
    """Keep no more of what is printed once a log holds `LOG_BYTES`, and say so at its end."""
    if os.fstat(1).st_size >= LOG_BYTES:
        flush()
        os.write(1, f"\n... that is {LOG_BYTES >> 20} MiB: what is printed after this is not kept.\n".encode())
        print_into(path)


def print_into(path: Path) -> None:
    """Send all that this process and its children print to the end of a file from now on."""
    path.parent.mkdir(exist_ok=True)
    flush()
    full = path.exists() and path.stat().st_size >= LOG_BYTES
    file = os.open(os.devnull if full else path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


def flush() -> None:
    """Write out what was printed."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(ValueError, OSError, AttributeError):  # a model may have closed it, or put None there
            stream.flush()
