"""Who gets what: parts that are still to be made, one model on one range of images each, handed to whoever is free."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from bench.run.plan import Task
from bench.runfolder.names import TRUTH

Span = tuple[int, int]
"""A half-open range of images, by place in the run's list."""


class Schedule:
    """The parts that nobody is making. A worker stays with its photographs as long as something is left on them."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._left: dict[Span, list[str]] = {(task.start, task.stop): list(task.keys) for task in tasks}

    def __len__(self) -> int:
        """How many parts."""
        return sum(map(len, self._left.values()))

    def span(self, last: Span | None, others: Collection[Span]) -> Span | None:
        """The photographs for a worker whose last ones were `last`, while others are at work on `others`.

        Its own; else the first that nobody has; else those on which most is left.
        """
        left = {span: keys for span, keys in self._left.items() if keys}
        if last in left:
            return last
        free = [span for span in left if span not in others]
        return free[0] if free else max(left, key=lambda span: len(left[span]), default=None)

    def take(self, span: Span) -> Task:
        """One part of these photographs, no longer left: the photographs' own first, then models in their order."""
        return Task(*span, (self._left[span].pop(0),))

    def give_back(self, task: Task) -> None:
        """A part that was not made after all."""
        keys = self._left.setdefault((task.start, task.stop), [])
        keys[:0] = task.keys
        keys.sort(key=lambda key: key != TRUTH)
