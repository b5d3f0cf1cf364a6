"""What is still to be done: the images are cut into shards, and the store is asked which parts it holds.

Nothing else is a resume.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.runfolder.names import TRUTH

SHARD_PIXELS = 64 * 256 * 256
"""Pixels of a shard's images: 64 at 256 x 256, fewer when they are larger, so that memory stays level."""

BATCH = 8
"""Most images that a network sees at once on a CPU, where more of them save nothing."""
GPU_BATCH = 64
"""The same on a GPU."""


@dataclass(frozen=True)
class Task:
    """Consecutive images (by place in the run's list) and the keys under which they have no part yet: a small pickle.

    Keys are those of models, and `truth` for the photographs themselves.
    """

    start: int
    stop: int
    keys: tuple[str, ...]


def shard_size(size_px: int | None) -> int:
    """How many images a shard holds unless the user says otherwise; one, where each has a size of its own (None)."""
    return max(1, SHARD_PIXELS // size_px**2) if size_px else 1


def shared(count: int, most: int, models: int, workers: int, batch: int) -> int:
    """How many of `count` images a shard holds, at most `most`, so that `workers` find about two parts each to do.

    Whole batches, where the images suffice.
    """
    pieces = -(-2 * workers // max(1, models))
    if pieces <= 1 or count <= batch:
        return most
    return min(most, -(-count // pieces // batch) * batch)


def tasks(count: int, shard: int, done: dict[str, Iterable[tuple[int, int]]]) -> list[Task]:
    """The tasks that are left of `count` images: for every key, `done` holds the half-open ranges with a part."""
    wanted: dict[tuple[int, int], list[str]] = {}
    for key, ranges in done.items():
        for gap in _gaps(count, shard, ranges):
            wanted.setdefault(gap, []).append(key)
    return [Task(start, stop, tuple(keys)) for (start, stop), keys in sorted(wanted.items())]


def _gaps(count: int, shard: int, done: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ranges that no part covers, cut at multiples of the shard size."""
    gaps, at = [], 0
    for start, stop in [*sorted(done), (count, count)]:
        while at < start:
            end = min(start, (at // shard + 1) * shard)
            gaps.append((at, end))
            at = end
        at = max(at, stop)
    return gaps


def pairs(tasks: Sequence[Task]) -> int:
    """How many (image, model) pairs the tasks hold; the photographs themselves are no model."""
    return sum((task.stop - task.start) * sum(key != TRUTH for key in task.keys) for task in tasks)
