"""The one who watches: hands tasks to workers, hears what they say, and replaces those that end, hang or are bent.

It opens no model and imports no torch. How workers are started is the executors' affair.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any, Protocol

from bench.errors import Unavailable
from bench.progress import Ticker, duration
from bench.run.attempts import Attempts
from bench.run.faults import CellFailed, FaultLog, Faults
from bench.run.messages import Ahead, Alive, CellDone, Do, Done, Ended, Leave, ModelOpened, Refused, Said
from bench.run.plan import BATCH, Task
from bench.run.schedule import Schedule, Span
from bench.run.spec import Job
from bench.runfolder.names import TRUTH
from bench.types import Execution

LOOK_EVERY_S = 0.5
"""So long a signal may wait to be seen."""
START_S = 120.0
"""So long a worker may take before it is at work."""
CLOSED = object()
STILLBORN = 3
"""So many workers in a row may end before they do anything."""


class WorkerHandle(Protocol):
    """A worker as its supervisor sees it."""

    connection: Connection

    @property
    def waitables(self) -> Sequence[Any]:
        """What `multiprocessing.connection.wait` sees when the worker speaks or ends."""
        ...

    def ended(self) -> bool:
        """Whether it is gone."""
        ...

    def reason(self) -> str:
        """How it ended, as words behind "it"; the worker is gone, or about to go."""
        ...

    def kill(self) -> None:
        """End it and everything that it started, at once."""
        ...


@dataclass
class Place:
    """Where a worker works; when it is lost, another takes the place."""

    number: int
    member: WorkerHandle | None = None
    task: Task | None = None
    span: Span | None = None
    """The photographs it has."""
    cells: int | None = None
    """Done of its task; None before its model is open."""
    step: str = ""
    """What its model says of itself."""
    since: float = 0.0
    """When it got its task."""
    heard: float = 0.0
    begun: bool = False
    """It has said that it is at work on its task."""
    reason: str = ""
    """Why it is about to go."""


class Supervisor:
    """Does tasks with up to `count` workers, which `start` gives by number."""

    def __init__(
        self,
        tasks: Sequence[Task],
        job: Job,
        start: Callable[[int], WorkerHandle],
        count: int,
        *,
        execution: Execution,
        ticker: Ticker,
    ) -> None:
        self.job, self.start, self.ticker = job, start, ticker
        self.limit_s, self.fail_fast = execution.time_limit_s, execution.fail_fast
        self.schedule = Schedule(tasks, execution.batch or BATCH, count)
        self.places = [Place(number) for number in range(min(count, len(self.schedule)))]
        self.log = FaultLog(ticker.say)
        self.attempts = Attempts(job, self.log)
        self.stopping = self.told = False
        self.stillborn = 0
        self.said: set[str] = set()

    def run(self) -> Faults:
        """Do all tasks; returns the cells that failed.

        Raises what ended the run in a worker, `WorkerLost`, `Unavailable` where no worker starts, and
        `KeyboardInterrupt` after Ctrl-C or SIGTERM, when every worker has left; at once at the second.
        """
        with self._signals():
            try:
                while self._busy() or (len(self.schedule) and not self.stopping):
                    self._hand_out()
                    self._hear()
            finally:
                for place in self.places:
                    if place.member:
                        place.member.kill()
        if self.stopping:
            raise KeyboardInterrupt
        return self.log.faults

    def _busy(self) -> list[Place]:
        return [place for place in self.places if place.task]

    def _hand_out(self) -> None:
        for place in self.places:
            if place.task or self.stopping:
                continue
            others = {other.span for other in self._busy() if other.span}
            span = self.schedule.span(place.span, others)
            if span is None:
                continue
            if place.member is None:
                place.member, place.reason = self.start(place.number), ""
            self._give(place, self.schedule.take(span), others)

    def _give(self, place: Place, task: Task, others: set[Span]) -> None:
        place.task, place.span, place.cells, place.begun = task, (task.start, task.stop), None, False
        place.since = place.heard = time.monotonic()
        place.step = ""
        messages: list[Any] = [Do(task, self.attempts.known(task))]
        upcoming = self.schedule.span(place.span, others | {place.span})
        if upcoming and upcoming != place.span and upcoming not in others:
            messages.append(Ahead(*upcoming))
        with contextlib.suppress(OSError):  # it is seen to be gone where others are
            for message in messages:
                assert place.member
                place.member.connection.send(message)

    def _hear(self) -> None:
        """Wait for a word from a worker, the end of one, or the end of somebody's time."""
        there = [place for place in self.places if place.member]
        watched = [one for place in there if place.member for one in place.member.waitables]
        overdue = min((self._deadline(place) for place in there), default=float("inf"))
        wait(watched, min(LOOK_EVERY_S, max(0.0, overdue - time.monotonic())))
        for place in there:
            self._hear_from(place)
        if self.stopping and not self.told:
            self._dismiss()
        self.ticker.at_work([self._at_work(place) for place in self._busy()])

    def _hear_from(self, place: Place) -> None:
        member = place.member
        if member is None:
            return
        gone = member.ended()  # asked first: what it said before it ended is still to be heard
        while place.member is member and (message := _word(member.connection)):
            if message is CLOSED:
                gone = True
                break
            self._take(place, message)
        if place.member is not member:
            return
        if gone:
            self._lost(place, place.reason or member.reason())
        elif time.monotonic() > self._deadline(place):
            self._lost(place, f"said nothing for {duration(self.limit_s)}")

    def _deadline(self, place: Place) -> float:
        """When its silence has lasted too long; it may take its time to start."""
        if not place.task:
            return float("inf")
        return place.heard + (self.limit_s if place.begun else max(self.limit_s, START_S))

    def _take(self, place: Place, message: object) -> None:
        place.heard, place.begun, self.stillborn = time.monotonic(), True, 0
        match message:
            case ModelOpened():
                place.cells = 0
            case Alive(step):
                place.step = step
            case CellDone(images):
                place.cells, place.step = (place.cells or 0) + 1, ""
                self.ticker.advance(images)
            case Said(text):
                self._say(text)
            case Ended(reason):
                place.reason = reason
            case Done():
                self._done(place, message)
            case Refused(fault):
                if isinstance(fault, CellFailed):
                    self.ticker.say(str(fault))
                raise fault
            case _:
                raise AssertionError(message)

    def _done(self, place: Place, done: Done) -> None:
        assert place.task
        assert place.member
        for (model, cell), fault in done.faults.items():
            self.log.add(model, cell, fault)
        self.schedule.measured(place.task, time.monotonic() - place.since, done.batch)
        name, place.task = self.attempts.model(place.task), None
        if done.bent:
            self._say(f"{name} changed {_joined(done.bent)} of its process; other models go on in another one")
            self._away(place)

    def _lost(self, place: Place, reason: str) -> None:
        """A worker is gone, or is to go: what it was at is tried again, or marked."""
        task, cells, begun = place.task, place.cells, place.begun
        self._away(place)
        if task is None or self.stopping:
            return
        self.ticker.advance(-(cells or 0) * (task.stop - task.start))
        self.schedule.give_back(task)
        if begun:
            self._blame(task, cells, reason)
            return
        self.stillborn += 1
        if self.stillborn > STILLBORN:
            raise Unavailable(f"No worker process gets to work: the last one {reason}. Use --workers 0 to do without.")

    def _blame(self, task: Task, cells: int | None, reason: str) -> None:
        cell = None if cells is None else min(cells, len(self.job.cells) - 1)
        if line := self.attempts.lost(task, cell, reason):
            self.ticker.say(line)
        elif self.fail_fast:
            raise CellFailed(f"{self.attempts.model(task)} lost its worker: it {reason}")

    @staticmethod
    def _away(place: Place) -> None:
        if place.member:
            place.member.kill()
        place.member = place.task = place.span = place.cells = None

    def _say(self, text: str) -> None:
        """A line for the user, once, whoever says it."""
        if text not in self.said:
            self.said.add(text)
            self.ticker.say(text)

    def _at_work(self, place: Place) -> str:
        """`2: pconv@starter on 64-127, freeform-256/10-20`."""
        assert place.task
        name, images = self.attempts.model(place.task), f"{place.task.start}-{place.task.stop - 1}"
        where = f"{place.number + 1}: {'photographs' if name == TRUTH else name} on {images}"
        opened = name != TRUTH and place.cells is not None
        cell = self.job.cells[min(place.cells or 0, len(self.job.cells) - 1)].label if opened else ""
        return ", ".join(filter(None, [where, cell, place.step]))

    def _dismiss(self) -> None:
        """Tell the workers to leave."""
        self.told = True
        self.ticker.say("Stopping: the workers finish their batches. Once more ends them at once.")
        for place in self.places:
            if place.member:
                with contextlib.suppress(OSError):
                    place.member.connection.send(Leave())

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """The first Ctrl-C or SIGTERM stops the run in order, the second at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.stopping:
            raise KeyboardInterrupt
        self.stopping = True


def _word(connection: Connection) -> object:
    """What a worker has said; None: nothing, `CLOSED`: nor will it."""
    try:
        return connection.recv() if connection.poll() else None
    except (EOFError, OSError):
        return CLOSED


def _joined(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
