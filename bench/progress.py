"""Progress of long work, on standard error: a bar with an estimate on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

from bench.errors import printable_lines

quiet = False
"""Set by `--quiet`: nothing is shown."""

LINE_EVERY_S = 10.0


def warn(text: str) -> None:
    """A line on what went wrong and was mended, `--quiet` or not."""
    print(printable_lines(text), file=sys.stderr, flush=True)


def unshared() -> None:
    """Let the bars of other libraries (tqdm's) stay within this process.

    Their own lock spans processes, and is told as leaked on the console when a worker ends.
    """
    from tqdm import tqdm

    tqdm.set_lock(threading.RLock())


class Ticker:
    """What a piece of long work tells about itself: `advance()` after each step, `say()` for a line that stays."""

    def advance(self, steps: float = 1) -> None:
        """So many of the announced steps are done."""

    def say(self, text: str) -> None:
        """A line that stays above the bar."""
        if not quiet:
            print(printable_lines(text), file=sys.stderr, flush=True)

    def show(self, text: str) -> None:
        """What is under way within a step; "" when it is done."""

    def step(self, title: str, done: int, total: int) -> None:
        """How far an iterative model is within a step."""
        self.show(f"{title}, step {done:,} of {total:,}")

    def at_work(self, who: Sequence[str]) -> None:
        """What each worker is doing now."""


class _Lines(Ticker):
    def __init__(self, title: str, total: float, done: float) -> None:
        self.title, self.total, self.done, self.before = title, total, done, done
        self.start = self.last = time.monotonic()
        self.who: Sequence[str] = ()

    def at_work(self, who: Sequence[str]) -> None:
        self.who = who
        if who:
            self._tell()

    def advance(self, steps: float = 1) -> None:
        self.done += steps
        self._tell()

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self.last >= LINE_EVERY_S:
            self.last = now
            who = f" ({'; '.join(self.who)})" if self.who else ""
            self.say(f"{self.title}: {self.done:g} of {self.total:g}{self._left(now)}{who}")

    def _left(self, now: float) -> str:
        if self.done <= self.before:
            return ""
        seconds = (now - self.start) / (self.done - self.before) * (self.total - self.done)
        return f", about {duration(seconds)} left"

    def show(self, text: str) -> None:
        now = time.monotonic()
        if text and now - self.last >= LINE_EVERY_S:
            self.last = now
            self.say(f"{self.title}: {text}")


@contextmanager
def track(title: str, total: float, done: float = 0) -> Iterator[Ticker]:
    """Announce `total` steps of work under a title and yield the ticker to advance.

    `done` of them lie behind already and say nothing about the speed of the others.
    """
    with _ticker(title, total, done) as ticker, told_to(ticker):
        yield ticker


@contextmanager
def told_to(ticker: Ticker) -> Iterator[None]:
    """What work inside the block tells from `inside` reaches this ticker."""
    token = _current.set(ticker)
    try:
        yield
    finally:
        _current.reset(token)


_current: ContextVar[Ticker | None] = ContextVar("ticker", default=None)
SHOWN_EVERY_S = 0.5


@contextmanager
def inside(title: str, total: int) -> Iterator[Callable[[], None]]:
    """What an iterative model tells from inside `predict`: yields what to call after each of `total` steps.

    Shown beside the progress of the work around it; nothing where there is none.
    """
    ticker = _current.get() or Ticker()
    done, shown = 0, time.monotonic()

    def step() -> None:
        nonlocal done, shown
        done, now = done + 1, time.monotonic()
        if now - shown >= SHOWN_EVERY_S:
            shown = now
            ticker.step(title, min(done, total), total)

    yield step
    ticker.show("")


def _ticker(title: str, total: float, done: float) -> AbstractContextManager[Ticker]:
    if quiet:
        return nullcontext(Ticker())
    return _bar(title, total, done) if sys.stderr.isatty() else nullcontext(_Lines(title, total, done))


@contextmanager
def _bar(title: str, total: float, done: float) -> Iterator[Ticker]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total, completed=int(done))

        class Bar(Ticker):
            def advance(self, steps: float = 1) -> None:
                progress.advance(task, steps)

            def say(self, text: str) -> None:
                progress.console.print(printable_lines(text), highlight=False, markup=False)

            def show(self, text: str) -> None:
                progress.update(task, description=": ".join(filter(None, (title, text))))

            def at_work(self, who: Sequence[str]) -> None:
                progress.update(task, description="\n".join([title, *(f"  {one}" for one in who)]))

        yield Bar()


def duration(seconds: float) -> str:
    """Seconds as people say them: `42 s`, `3 min`, `2.5 h`, `4.1 days`, `370 years`, `5e+14 years`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 1000 * 86400:
        return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
    years = seconds / (365.25 * 86400)
    return f"{years:,.0f} years" if years < 1e6 else f"{years:.2g} years"
