"""Progress of long work, on standard error: a bar with an estimate on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

quiet = False
"""Set by `--quiet`: nothing is shown."""

LINE_EVERY_S = 10.0


class Ticker:
    """What a piece of long work tells about itself: `advance()` after each step, `say()` for a line that stays."""

    def advance(self, steps: float = 1) -> None:
        """So many of the announced steps are done."""

    def say(self, text: str) -> None:
        """A line that stays above the bar."""
        if not quiet:
            print(text, file=sys.stderr, flush=True)


class _Lines(Ticker):
    def __init__(self, title: str, total: float, done: float) -> None:
        self.title, self.total, self.done, self.before = title, total, done, done
        self.start = self.last = time.monotonic()

    def advance(self, steps: float = 1) -> None:
        self.done += steps
        now = time.monotonic()
        if now - self.last >= LINE_EVERY_S:
            self.last = now
            left = (now - self.start) / max(self.done - self.before, 1e-9) * (self.total - self.done)
            self.say(f"{self.title}: {self.done:g} of {self.total:g}, about {duration(left)} left")


@contextmanager
def track(title: str, total: float, done: float = 0) -> Iterator[Ticker]:
    """Announce `total` steps of work under a title and yield the ticker to advance.

    `done` of them lie behind already and say nothing about the speed of the others.
    """
    if quiet:
        yield Ticker()
    elif not sys.stderr.isatty():
        yield _Lines(title, total, done)
    else:
        with _bar(title, total, done) as ticker:
            yield ticker


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
        TextColumn("{task.description}"),
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
                progress.console.print(text, highlight=False, markup=False)

        yield Bar()


def duration(seconds: float) -> str:
    """Seconds as people say them: `42 s`, `3 min`, `2.5 h`, `4.1 days`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
