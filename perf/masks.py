"""Masks a second against the authors' generators in the same process, interleaved; freezing and reading; ratios.

python perf/masks.py [--rounds 9] [--batch 32] [--freeze]

Theirs: `bench.masks.reference`, the authors' draws in the authors' order with the libraries they draw with (Pillow's
lines, SciPy's median filter and dilation, OpenCV's lines), one mask a call, one thread, generators seeded once. Ours:
batches drawn exactly; `alone` is one mask a call. Processor time stands beside wall time: on a shared machine it is the
fairer of the two.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from bench import progress
from bench.masks import draw, freezing, frozen, reference

SIZE_PX = 256


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def race(name: str, rounds: int, batch: int) -> None:
    chance, legacy = random.Random(0), np.random.RandomState(0)
    contenders: dict[str, tuple[int, Callable[[int], object]]] = {
        "theirs": (
            batch,
            lambda _: [reference.GENERATORS[name](chance, legacy, SIZE_PX, SIZE_PX) for _ in range(batch)],
        ),
        "ours": (batch, lambda turn: draw(name, SIZE_PX, turn, range(batch))),
        "alone": (4, lambda turn: [draw(name, SIZE_PX, turn, index) for index in range(4)]),
    }
    for _, work in contenders.values():
        work(0)
    spent: dict[str, list[tuple[float, float]]] = {title: [] for title in contenders}
    for turn in range(rounds):
        for title, (count, work) in contenders.items():
            wall, processor = timed(lambda work=work, turn=turn: work(turn))
            spent[title].append((wall / count, processor / count))
    wall, processor = (
        {title: statistics.median(each[kind] for each in spent[title]) for title in spent} for kind in (0, 1)
    )
    rates = "  ".join(f"{title} {1 / wall[title]:8.0f}/s" for title in wall)
    ratios = "  ".join(f"{title} {processor['theirs'] / processor[title]:5.1f}" for title in ("ours", "alone"))
    print(f"{name:20} {rates}   times theirs (processor): {ratios}")


def reading(set_id: str, rounds: int) -> None:
    def opened() -> None:
        held = frozen.load(set_id)
        held.open(held.names)

    held = frozen.load(set_id)
    parts = held.open(held.names)
    opening = [timed(opened) for _ in range(rounds)]
    unpacking = [timed(lambda: [part.bits(range(len(part.streams))) for part in parts]) for _ in range(rounds)]
    count = held.manifest["count"]
    for title, spent in (("open, files verified", opening), ("unpack every mask", unpacking)):
        wall, processor = (1e3 * statistics.median(each[kind] for each in spent) for kind in (0, 1))
        print(f"{set_id:20} {count} masks: {title}: {wall:.1f} ms (processor {processor:.1f} ms)")


def freezing_all() -> None:
    with tempfile.TemporaryDirectory() as folder:
        names = freezing.frozen_families()
        wall, processor = timed(
            lambda: [freezing.freeze(name, SIZE_PX, again=True, into=Path(folder)) for name in names]
        )
    print(f"freezing all {len(names)} shipped sets: {wall:.0f} s (processor {processor:.0f} s)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--freeze", action="store_true", help="also freeze all shipped sets")
    arguments = parser.parse_args()
    progress.quiet = True
    cv2.setNumThreads(1)
    for name in reference.GENERATORS:
        race(name, arguments.rounds, arguments.batch)
    for name in ("rectangular", "freeform", "cellular"):
        reading(f"{name}-{SIZE_PX}", arguments.rounds)
    if arguments.freeze:
        freezing_all()


if __name__ == "__main__":
    main()
