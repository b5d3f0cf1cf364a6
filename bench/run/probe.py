"""A look at a run before it is made: a few batches of every model and one small part, as its workers would make them.

What is found are rates: seconds, bytes, memory. `run/estimate` makes a prediction of them.
"""

from __future__ import annotations

import math
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch

from bench import decoding, progress
from bench import images as pictures
from bench.errors import ContractBroken
from bench.models import calling, contract, opening, tiling
from bench.models.predict import Predictor
from bench.models.registry import ModelRef
from bench.progress import Ticker, duration
from bench.run import collect
from bench.run.faults import sentence
from bench.run.inputs import Photographs
from bench.run.plan import Task
from bench.run.spec import Job
from bench.run.worker import Begun, Shard, Worker
from bench.runfolder import batches, tables
from bench.runfolder.names import TRUTH
from bench.runfolder.parts import Parts
from bench.types import Cell, Execution

LOOK_S = 1.0
"""So long a model's cells are looked at, three at least: what a model fills, not only how much, decides its time."""
PART_S = 3.0
"""So long the part may take from which bytes and memory are known."""
SLOW_S = 5.0
"""A model that takes so long for one image is looked at no longer."""
LIMIT_S = 30.0
"""A model that tells its steps is left after so long: the others take as long each."""
MASK_BYTES, CELL_BYTES = 2000, 40
"""Of a mask as a picture; of what a part says of one of its cells."""
KEPT = 4
"""So many pictures are encoded, to know their size."""
PASSES = 10
"""Passes of one image that opening a model and measuring its batch come to."""


@dataclass(frozen=True)
class Pace:
    """What a model takes."""

    open_s: float = 0.0
    """Until a worker has it: reading, checking, measuring its batch."""
    pair_s: float = math.nan
    """An image in a cell, with its metrics; NaN where it fails."""
    batch: int = 1
    picture_s: float = 0.0
    """To keep an output as a picture."""
    picture_bytes: int = 0
    fault: str = ""


@dataclass(frozen=True)
class Rates:
    """Rates of one worker."""

    models: dict[str, Pace] = field(default_factory=dict)
    start_s: float = 0.0
    """Until a worker was at work."""
    image_s: float = 0.0
    """To read and prepare a photograph."""
    truth_s: float = 0.0
    """The vectors of a photograph."""
    shown_s: float = 0.0
    shown_bytes: int = 0
    """What is kept of a photograph in a cell beside outputs."""
    part_s: float = 0.0
    part_bytes: float = 0.0
    row_bytes: float = 0.0
    vector_bytes: int = 0
    """Feature vectors of an output."""
    collect_s: float = 0.0
    """To make a model's numbers of one cell."""
    memory_bytes: int = 0
    device_bytes: int = 0
    """Of the GPU's memory; 0 on a CPU."""
    busy: float = 1.0
    """Processor seconds in a second of the clock."""


class OutOfTime(BaseException):
    """A model has not ended in time, and nothing in it may catch that; `seconds`: what an image takes by its steps."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Overdue(BaseException):
    """A model has said nothing for as long as a worker would wait; nothing in it may catch that."""


@contextmanager
def limited(limit_s: float) -> Iterator[None]:
    """Raise `Overdue` in the block when so many seconds are over, where Python's code is at work or waits."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> NoReturn:
        raise Overdue(f"said nothing for {duration(limit_s)}")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class LimitedTicker(Ticker):
    """Ends a model that tells its steps when its time is over; each step is a sign of life."""

    def __init__(self, limit_s: float) -> None:
        self.begin, self.limit_s = time.perf_counter(), limit_s

    def step(self, title: str, done: int, total: int) -> None:
        """See `Ticker`."""
        spent = time.perf_counter() - self.begin
        if spent > LIMIT_S:
            raise OutOfTime(spent / done * total)
        if signal.getitimer(signal.ITIMER_REAL)[0]:
            signal.setitimer(signal.ITIMER_REAL, self.limit_s)


def probe(job: Job, execution: Execution, root: Path, count: int, names: Sequence[str], begun: float) -> Rates:
    """Look at the models of these names, and at a part of `count` images. Writes nothing into the run folder `root`.

    begun: when the command began, by `time.time`. Raises `BenchError` where a photograph or a metric cannot be had.
    """
    if execution.workers:
        torch.set_num_threads(execution.threads)
        sys.stdout.flush()
        os.dup2(2, 1)  # what models print is no part of the plan
    start_s = time.time() - begun
    begin, worked = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        prober = Prober(job, execution, Parts(root, job.digest), Path(scratch), count)
        with progress.track("measuring", len(names)) as ticker:
            paces = {}
            for name in names:
                paces[name] = prober.pace(job.ref(name))
                ticker.advance()
        found = prober.found(paces)
    return replace(found, start_s=start_s, busy=(time.process_time() - worked) / (time.perf_counter() - begin))


class Prober:
    """A worker with a folder of its own, which is gone afterwards."""

    def __init__(self, job: Job, execution: Execution, parts: Parts, scratch: Path, count: int) -> None:
        self.job, self.execution, self.scratch, self.count = job, execution, scratch, count
        self.worker = self._worker(job, scratch / "models")
        for ref in job.models:
            for settled in batches.standing(parts.of(job.key(ref.name))):
                batches.settle(self.worker.parts.of(job.key(ref.name)), settled)
        with _clock() as taken:
            self.photographs = self.worker.inputs.photographs(0, count)
            self.shard(count)
        self.image_s = taken[0] / count
        self.cells = spread(job.cells)

    def _worker(self, job: Job, folder: Path) -> Worker:
        folder.mkdir()
        return Worker(job, self.execution, Parts(folder, job.digest), lambda _: None)

    def shard(self, count: int, kept: Iterable[int] = ()) -> Shard:
        """The first photographs, ready."""
        pixels, marks = self.photographs
        few = Photographs(pixels[:count], marks[:count])
        return replace(self.worker.shard(Task(0, count, ()), few), kept=[place for place in kept if place < count])

    def pace(self, ref: ModelRef) -> Pace:
        """What a model takes; of one that is slow, by a single image."""
        try:
            alone = 0.0 if ref.pictures else self._alone(ref)
            if alone > SLOW_S:
                return Pace(PASSES * alone, alone)
            return self._cells(ref.name)
        except OutOfTime as late:
            return Pace(PASSES * late.seconds, late.seconds)
        except Overdue as late:
            return Pace(fault=str(late))
        except Exception as fault:  # noqa: BLE001 - a stranger's code may raise anything
            return Pace(fault=sentence(fault))

    def _alone(self, ref: ModelRef) -> float:
        """Seconds of one image, of a model that has only been opened."""
        device = self.worker.device
        network = opening.open_model(ref, device)
        model, card = tiling.tiled(network, ref.card, self.job.spec.tiling)
        given = contract.trial(model, card, self.job.protocol.preparation.size_px or 256, device, count=1)
        with self._limited(), _clock(device) as taken, progress.told_to(LimitedTicker(self.execution.time_limit_s)):
            given.answer()
        return taken[0]

    def _limited(self) -> AbstractContextManager[None]:
        return limited(self.execution.time_limit_s)

    def _cells(self, name: str) -> Pace:
        with self._limited(), _clock(self.worker.device) as opened:
            found = self.worker.models.open(name)
            pictures_of = self._once(name, self.cells[0], self.shard(min(KEPT, self.count), range(KEPT)))
        filled = isinstance(found, Predictor) and not calling.imagewise(found.model)
        batch = self.worker.models.batch(name) if filled else 1  # other models take what there is
        shard, seconds = self.shard(min(self.count, max(4, batch))), list[float]()
        for cell in self.cells:
            if len(seconds) >= 3 and sum(seconds) > LOOK_S:
                break
            with self._limited(), _clock(self.worker.device) as taken:
                self._once(name, cell, shard)
            seconds.append(taken[0])
        pair_s = sum(seconds) / len(seconds) / len(shard.ids)
        files = [self.worker.parts.root / path for path in pictures_of]
        return Pace(opened[0], pair_s, batch, *_kept(files))

    def _once(self, name: str, cell: Cell, shard: Shard) -> Mapping[str, str]:
        """One cell; the pictures that were kept of it."""
        begun = self.worker.begin(name, cell, shard)
        [outcome] = self.worker.finish(name, shard, [begun]) if isinstance(begun, Begun) else [begun]
        if outcome.fault:
            raise ContractBroken(outcome.fault)
        return outcome.pictures

    def found(self, paces: Mapping[str, Pace]) -> Rates:
        """All rates: those of models, and of one small part of the quickest."""
        known = {name: pace for name, pace in paces.items() if pace.pair_s < SLOW_S}
        few = self.photographs.pixels[:KEPT]
        shown = [len(pictures.encode_png(one)) for one in (*few, *self._masked(few))]
        found = Rates(
            dict(paces),
            image_s=self.image_s,
            truth_s=self._vectors_s(),
            shown_bytes=sum(shown) // len(few) + MASK_BYTES,
            shown_s=2 * _encode_s(self.photographs.pixels[0]),
            vector_bytes=sum(4 * one.dimension for one in self.worker.extractors.values()),
        )
        if known:
            found = self._part(found, min(known, key=lambda name: known[name].pair_s))
        gpu = torch.cuda.max_memory_reserved() if self.worker.device.type == "cuda" else 0
        return replace(found, memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, device_bytes=gpu)

    def _masked(self, few: np.ndarray) -> np.ndarray:
        _, height, width, _ = few.shape
        holes = self.worker.inputs.masks(self.cells[0], 0, len(few), (height, width)).holes
        return np.where(holes[..., None], np.uint8(255), few)

    def _vectors_s(self) -> float:
        few = self.shard(min(self.count, 4)).images
        with _clock(self.worker.device) as taken:
            for extractor in self.worker.extractors.values():
                extractor.extract(few)
        return taken[0] / len(few)

    def _part(self, found: Rates, name: str) -> Rates:
        """Bytes and time of a part and of collecting it: of all its images, in as many cells as there is time for."""
        pair_s = max(found.models[name].pair_s, 1e-4)
        images = min(self.count, max(2, int(PART_S / pair_s)))
        cells = self.cells[: max(1, int(PART_S / pair_s / images))]
        job = replace(
            self.job,
            ids=self.job.ids[:images],
            cells=tuple(cell for cell in self.job.cells if cell in cells),
            models=(self.job.ref(name),),
            spec=replace(self.job.spec, keep_images=0),
            expected={},
        )
        worker = self._worker(job, self.scratch / "part")
        given = Photographs(self.photographs.pixels[:images], self.photographs.fingerprints[:images])
        worker.evaluate(Task(0, images, (TRUTH,)), given, lambda _: None)
        worker.models.open(name)
        with _clock(worker.device) as taken:
            worker.evaluate(Task(0, images, (job.key(name),)), given, lambda _: None)
        with _clock() as collected:
            collect.collect(job, worker.parts, any_count=True)
        fixed, each = _part_bytes(worker.parts, job.key(name))
        return replace(
            found,
            part_s=max(0.0, taken[0] - images * len(cells) * pair_s),
            part_bytes=fixed + CELL_BYTES * (len(self.cells) - len(cells)),
            row_bytes=each,
            collect_s=collected[0] / len(cells),
        )


def spread(cells: Sequence[Cell]) -> list[Cell]:
    """The same cells in an order of which every beginning is spread over all: middle, quarters, eighths."""
    steps = range(len(cells).bit_length() + 1)
    order = [(2 * turn + 1) * len(cells) // 2 ** (step + 1) for step in steps for turn in range(2**step)]
    return [cells[place] for place in dict.fromkeys(order)]


@contextmanager
def _clock(device: torch.device | None = None) -> Iterator[list[float]]:
    """Seconds of the block, in a list when it has ended."""
    taken, begin = [0.0], time.perf_counter()
    yield taken
    if device and device.type == "cuda":
        torch.cuda.synchronize(device)
    taken[0] = time.perf_counter() - begin


def _kept(files: Sequence[Path]) -> tuple[float, int]:
    """Seconds to make such a picture, and its bytes."""
    if not files:
        return 0.0, 0
    pixels = np.asarray(decoding.decode(files[0], "a picture"))
    return _encode_s(pixels), sum(path.stat().st_size for path in files) // len(files)


def _encode_s(pixels: np.ndarray) -> float:
    with _clock() as taken:
        pictures.encode_png(pixels)
    return taken[0]


def _part_bytes(parts: Parts, key: str) -> tuple[float, float]:
    """Bytes of a part without rows, and of one row more, from the only part of a model and its first half."""
    [span] = parts.spans(key)
    path, rows = parts.path(key, span), parts.open(key, span).rows
    half = len(rows) // 2
    tables.write(path.with_name("half"), rows.schema, [rows.slice(0, half)])
    each = (path.stat().st_size - path.with_name("half").stat().st_size) / max(1, len(rows) - half)
    return path.stat().st_size - each * len(rows), each
