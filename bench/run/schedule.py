"""Who gets what: parts that are still to be made, one model on one range of images each, handed to whoever is free.

A part holds about a minute of work, by the speed that the model has shown, so that a kill loses a minute; less near the
end, so that workers end together.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Collection, Iterable

from bench.run.plan import Task
from bench.runfolder.names import TRUTH

Span = tuple[int, int]
"""A half-open range of images, by place in the run's list."""
PART_S = 60.0
LEAST_S = 2.0
"""No part is made shorter so that workers end together: opening a model in another worker takes as long."""
SHARE = 2
"""A part holds at most one such share of what a worker still has to do, as in factoring (Hummel et al., CACM 1992)."""


class Schedule:
    """The parts that nobody is making. A worker stays with its photographs as long as something is left on them."""

    def __init__(self, tasks: Iterable[Task], batch: int, workers: int = 1) -> None:
        """Ranges are cut where a model is slow: at multiples of `batch` images until its own batch is known."""
        self.batch, self.workers = batch, workers
        self._left: dict[Span, list[str]] = {(task.start, task.stop): list(task.keys) for task in tasks}
        self._order = sorted(self._left)
        self._count = sum(map(len, self._left.values()))
        self._images: Counter[str] = Counter()
        for (start, stop), keys in self._left.items():
            self._images.update(dict.fromkeys(keys, stop - start))
        self._pace: dict[str, float] = {}
        self._batch: dict[str, int] = {}
        self._part_s = PART_S

    def __len__(self) -> int:
        """How many parts, as far as it can be foreseen."""
        return self._count

    def measured(self, task: Task, seconds: float, batch: int = 0) -> None:
        """So long the one key of a task took, and so many images it sees at once; 0: that is not known."""
        self._pace[task.keys[0]] = seconds / (task.stop - task.start)
        if batch:
            self._batch[task.keys[0]] = batch
        self._set_part_s()

    def _set_part_s(self) -> None:
        """How long the next parts may take; models that have shown no speed are taken to be as fast as the others."""
        known = {key: images for key, images in self._images.items() if key in self._pace and images}
        if self.workers == 1 or not known:
            return
        seconds = sum(self._pace[key] * images for key, images in known.items())
        seconds *= self._images.total() / sum(known.values())
        self._part_s = min(PART_S, max(LEAST_S, seconds / self.workers / SHARE))

    def span(self, last: Span | None, others: Collection[Span]) -> Span | None:
        """The photographs for a worker whose last ones were `last`, while others are at work on `others`.

        Its own; else the first that nobody has; else those on which most is left. None where nothing is left.
        """
        if last and any(self._piece(span) == last for span in self._at(last[0])):
            return last
        shared: dict[Span, int] = {}
        for span in self._order:
            piece = self._piece(span)
            if piece not in others:
                return piece
            shared.setdefault(piece, len(self._left[span]))
        return max(shared, key=shared.__getitem__, default=None)

    def take(self, piece: Span) -> Task:
        """One part of the photographs that `span` gave, no longer left: the photographs' own first, then models."""
        span = next(span for span in self._at(piece[0]) if self._piece(span) == piece)
        key = self._left[span].pop(0)
        self._count -= 1
        self._images[key] -= piece[1] - piece[0]
        if not self._left[span]:
            del self._left[span]
            del self._order[bisect.bisect_left(self._order, span)]
        if piece != span:
            self._put((piece[1], span[1]), key)
        self._set_part_s()
        return Task(*piece, (key,))

    def _at(self, start: int) -> list[Span]:
        """The ranges that begin at an image."""
        low, high = (bisect.bisect_left(self._order, (one, 0)) for one in (start, start + 1))
        return self._order[low:high]

    def give_back(self, task: Task) -> None:
        """A part that was not made after all."""
        self._put((task.start, task.stop), task.keys[0], first=True)
        self._images[task.keys[0]] += task.stop - task.start

    def _put(self, span: Span, key: str, *, first: bool = False) -> None:
        if span not in self._left:
            bisect.insort(self._order, span)
        keys = self._left.setdefault(span, [])
        keys.insert(0 if first else len(keys), key)
        keys.sort(key=lambda key: key != TRUTH)
        self._count += 1

    def _piece(self, span: Span) -> Span:
        """The range of the next part of these photographs: all of them, or the first few."""
        (start, stop), key = span, self._left[span][0]
        pace, batch = self._pace.get(key), self._batch.get(key, self.batch)
        batches = 1 if pace is None else max(1, int(self._part_s / max(pace, 1e-9) / batch))
        images = batches * batch
        return span if images * 4 >= (stop - start) * 3 else (start, start + images)  # no small rests
