"""The one place where photographs, masks, models and metrics meet: all models on one shard of images.

What depends on the truth alone is made once and shared by all models and cells. A model's cells are begun one after
another without waiting for the device: outputs come back in the background, where threads hash them, and all values
are read at once when the last cell is begun. Then one part is written, and the next model takes over, the same images
still on the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, TypeVar, cast

import numpy as np
import pyarrow as pa
import torch

from bench import images as pictures
from bench.contracts import Extractor, PairMetric
from bench.errors import ContractBroken, NotComparable
from bench.metrics import pairs
from bench.metrics import registry as metric_registry
from bench.metrics.features import truth as truth_features
from bench.metrics.features.truth import VectorCache
from bench.models import predict
from bench.models.predict import Predictor
from bench.run import provenance
from bench.run.faults import CellFailed, FaultLog, sentence
from bench.run.inputs import Inputs, Masks, Photographs
from bench.run.models import Models
from bench.run.plan import Task
from bench.run.spec import Job
from bench.runfolder import tables
from bench.runfolder.names import MASK, MASKED, TRUTH
from bench.runfolder.part import Facts
from bench.runfolder.parts import Parts
from bench.runfolder.pictures import output, save, shown
from bench.transfer import Arriving, Stopwatch, back, onto
from bench.types import Cell, Execution

Result = TypeVar("Result")
AHEAD = 4
"""Cells that a GPU may have before it while outputs of earlier ones are still hashed: memory stays level."""
HASHING = 2
"""Threads that hash and encode outputs while a GPU goes on: each keeps up with thousands of images a second."""


@dataclass
class Shard:
    """The photographs of a task on the device, and what the metrics made of them."""

    task: Task
    ids: tuple[str, ...]
    images: torch.Tensor
    """uint8 [N, 3, H, W]"""
    digests: list[bytes]
    fingerprints: list[str]
    prepared: dict[str, Any]
    """Pair metric -> what it made of the truth."""
    kept: list[int]
    """Places of the images whose pictures are kept."""
    guides: torch.Tensor | None
    """uint8 [N, 1, H, W], where the run has any."""
    masks: dict[Cell, tuple[Masks, torch.Tensor]] = field(default_factory=dict)
    """Of the cells that were met: the masks, and on the device bool [N, 1, H, W]."""


@dataclass
class Begun:
    """What a model is doing on one cell: the device may still be at work, and no value has been read."""

    cell: Cell
    values: torch.Tensor
    """float64 [2 + metrics x images]: the lowest and the highest value of the answers, then every metric's values."""
    vectors: dict[str, Arriving]
    hashed: Future[tuple[list[bytes], dict[int, bytes]]]
    """Digests of the outputs; place -> PNG file of those that are kept."""
    watch: Stopwatch | None


@dataclass
class CellOutcome:
    """What a model left on one cell of a shard; empty but for the fault where it failed."""

    digests: Sequence[bytes | None] = ()
    values: Mapping[str, np.ndarray] = field(default_factory=dict)
    vectors: Mapping[str, np.ndarray] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)
    seconds: float | None = None
    fault: str = ""


@dataclass
class Worker:
    """Models and metrics on one device; evaluates one task after another."""

    job: Job
    execution: Execution
    parts: Parts
    report: Callable[[str], None] = print
    alive: Callable[[], None] = lambda: None
    """Called before every batch."""
    _held: Shard | None = None

    @cached_property
    def inputs(self) -> Inputs:
        """Photographs and masks."""
        return Inputs(self.job)

    @cached_property
    def log(self) -> FaultLog:
        """The cells that failed."""
        return FaultLog(self.report)

    @cached_property
    def device(self) -> torch.device:
        """Where networks run; kernels are fixed so that equal shapes give equal bits."""
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        return torch.device(self.execution.device)

    @cached_property
    def models(self) -> Models:
        """The models, opened when first asked for."""
        return Models(self.job, self.execution, self.device, self.parts, self.report, self.alive)

    @cached_property
    def pair_metrics(self) -> dict[str, PairMetric]:
        """The pair metrics by name."""
        return {
            name: cast(PairMetric, metric_registry.open_metric(name, self.device)) for name in self.job.pair_metrics
        }

    @cached_property
    def extractors(self) -> dict[str, Extractor]:
        """The feature extractors by name."""
        return {name: metric_registry.open_extractor(name, self.device) for name in self.job.extractors}

    @cached_property
    def networks(self) -> dict[str, dict[str, object]]:
        """Extractor -> all that moves a vector of it, by which vectors of the photographs are known again."""
        return {name: truth_features.network(name, self.device.type) for name in self.job.extractors}

    @cached_property
    def vector_cache(self) -> VectorCache:
        """Vectors of photographs that earlier runs met."""
        return truth_features.shared()

    def evaluate(self, task: Task, photographs: Photographs, advance: Callable[[int], None]) -> None:
        """Fill every cell of the task's models for its images and write one part a model.

        `advance` is told after each cell how many (image, cell) pairs are done. Raises `NotComparable` where the
        photographs are not those of the manifest or of the run's other parts.
        """
        shard = self.shard(task, photographs)
        names = {self.job.key(ref.name): ref.name for ref in self.job.models}
        for key in task.keys:
            if key == TRUTH:
                self._write_truth(shard)
                continue
            name = names[key]
            begun = []
            for cell in self.job.cells:
                begun.append(self.begin(name, cell, shard))
                _catch_up(begun)
                advance(len(shard.ids))
            self._write(name, shard, self.finish(name, shard, begun))

    def shard(self, task: Task, photographs: Photographs) -> Shard:
        """The photographs on the device; the last task's serve again where the range is the same.

        Raises as `evaluate` does.
        """
        if self._held is None or (self._held.task.start, self._held.task.stop) != (task.start, task.stop):
            self._held = None  # makes room first
            self._held = self._prepared(task, photographs)
        return replace(self._held, task=task)

    def _prepared(self, task: Task, photographs: Photographs) -> Shard:
        ids, kept = self.job.ids[task.start : task.stop], set(self.inputs.kept)
        images = onto(torch.from_numpy(photographs.pixels).permute(0, 3, 1, 2).contiguous(), self.device)
        digests = _digests(photographs.pixels)
        self._check_photographs(task, ids, digests)
        return Shard(
            task,
            ids,
            images,
            digests,
            photographs.fingerprints,
            prepared={name: metric.prepare(images) for name, metric in self.pair_metrics.items()},
            kept=[place for place, image_id in enumerate(ids) if image_id in kept],
            guides=self._guides(task, images),
        )

    def _guides(self, task: Task, images: torch.Tensor) -> torch.Tensor | None:
        if self.job.guides and self.job.guides.from_truth:
            from bench.metrics.edges import edges  # brings scikit-image, which a run does without

            return edges(images).to(torch.uint8) * 255
        levels = self.inputs.guides(task.start, task.stop)
        return None if levels is None else onto(torch.from_numpy(levels)[:, None], self.device)

    def _check_photographs(self, task: Task, ids: Sequence[str], digests: list[bytes]) -> None:
        for image_id, found in zip(ids, digests, strict=True):
            if self.job.expected.get(image_id, found.hex()) != found.hex():
                raise NotComparable(
                    f"{image_id} is not the photograph that was exported: its prepared pixels differ from the "
                    "manifest's. Check --root, and that the data set's files are the same."
                )
        given = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16)
        self.parts.check_photographs(f"the data set {self.job.spec.dataset}", task.start, given)

    def _write_truth(self, shard: Shard) -> None:
        """The part of the photographs themselves: their digests, vectors, and the pictures that every model shares."""
        names = [digest.hex() for digest in shard.digests]
        vectors = {
            name: [self.vector_cache.vectors(self.networks[name], names, partial(_vectors, extractor, shard.images))]
            for name, extractor in self.extractors.items()
        }
        saved: dict[str, str] = {}
        for cell in self.job.cells:
            _, holes = self._masks(cell, shard)
            for place in shard.kept:
                given = {
                    TRUTH: shard.images[place],
                    MASK: holes[place].expand(3, -1, -1).to(torch.uint8) * 255,
                    MASKED: torch.where(holes[place], 255, shard.images[place]),
                }
                for what, picture in given.items():
                    name = shown(cell.mask_set, cell.bucket.label, shard.ids[place], what)
                    saved |= save(self.parts.root, name, _png(picture))
        columns = {"image": list(shard.ids), "image_digest": shard.digests}
        schema = pa.schema([("image", pa.string()), ("image_digest", tables.DIGEST)])
        self.parts.write(
            self._facts(TRUTH, shard, pictures=saved), pa.Table.from_pydict(columns, schema=schema), vectors
        )

    def _masks(self, cell: Cell, shard: Shard) -> tuple[Masks, torch.Tensor]:
        """The masks of a cell, brought to the device when they are first asked for: it is at work on another cell."""
        if cell not in shard.masks:
            height, width = shard.images.shape[-2:]
            masks = self.inputs.masks(cell, shard.task.start, shard.task.stop, (height, width))
            shard.masks[cell] = masks, onto(torch.from_numpy(masks.holes)[:, None], self.device)
        return shard.masks[cell]

    def begin(self, name: str, cell: Cell, shard: Shard) -> Begun | CellOutcome:
        """Set a model to work on one cell, without waiting for the device; a fault that shows at once is an outcome."""
        if known := self.log.of(name, cell.label):
            return CellOutcome(fault=sentence(known))
        (_, masks), keys = self._masks(cell, shard), [cell.key(image_id) for image_id in shard.ids]
        try:
            predictor, watch = self.models.open(name), Stopwatch(self.device)
            guides = shard.guides if self.job.ref(name).guides else None
            filled, extremes = predictor.stream(shard.images, masks, keys, guides)
            watch.stop()
        except Exception as fault:  # noqa: BLE001  a stranger's code may raise anything; the cell is marked
            return self._failed(name, cell, fault)
        values = [
            pairs.compared(n, metric, shard.prepared[n], filled, masks) for n, metric in self.pair_metrics.items()
        ]
        rows = back(filled.permute(0, 2, 3, 1).contiguous())
        return Begun(
            cell,
            values=torch.cat([extremes.double(), *values]),
            vectors={n: back(extractor.extract(filled)) for n, extractor in self.extractors.items()},
            hashed=self._behind(partial(_hashed, rows, shard.kept)),
            watch=watch if isinstance(predictor, Predictor) else None,
        )

    def finish(self, name: str, shard: Shard, begun: Sequence[Begun | CellOutcome]) -> list[CellOutcome]:
        """Wait for what was begun: one copy brings the values of all cells."""
        values = [each.values for each in begun if isinstance(each, Begun)]
        read = iter(torch.stack(values).cpu().numpy() if values else ())
        return [
            each if isinstance(each, CellOutcome) else self._outcome(name, shard, each, next(read)) for each in begun
        ]

    def _outcome(self, name: str, shard: Shard, begun: Begun, values: np.ndarray) -> CellOutcome:
        digests, files = begun.hashed.result()
        if fault := predict.values_fault(*values[:2].tolist()):
            return self._failed(name, begun.cell, ContractBroken(fault))
        mask_set, bucket = begun.cell.mask_set, begun.cell.bucket.label
        saved: dict[str, str] = {}
        for place, content in files.items():
            saved |= save(self.parts.root, output(mask_set, bucket, shard.ids[place], name), content)
        return CellOutcome(
            digests,
            dict(zip(self.pair_metrics, values[2:].reshape(-1, len(digests)), strict=True)),
            {n: arriving.array() for n, arriving in begun.vectors.items()},
            saved,
            begun.watch.seconds if begun.watch else None,
        )

    def _failed(self, name: str, cell: Cell, fault: Exception) -> CellOutcome:
        self.log.add(name, cell.label, fault)
        if self.execution.fail_fast:
            raise CellFailed(f"{name} failed on {cell.label}: {sentence(fault)}") from fault
        return CellOutcome(fault=sentence(fault))

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(HASHING, thread_name_prefix="hashing")

    def _behind(self, work: Callable[[], Result]) -> Future[Result]:
        """Do something beside the device; at once where the processor is the device and has nothing to spare."""
        if self.device.type == "cuda":
            return self._threads.submit(work)
        done: Future[Result] = Future()
        done.set_result(work())
        return done

    def _write(self, name: str, shard: Shard, outcomes: list[CellOutcome]) -> None:
        known = self.inputs.trained_on.get(name, frozenset())
        facts = self._facts(
            self.job.key(name),
            shard,
            cells=tuple(cell.label for cell in self.job.cells),
            faults=tuple(outcome.fault for outcome in outcomes),
            seconds=tuple(outcome.seconds for outcome in outcomes),
            trained_on=sum(mark in known for mark in shard.fingerprints),
            costs=self.models.costs(name),
            batch=self.models.batch(name),
            pictures={path: digest for outcome in outcomes for path, digest in outcome.pictures.items()},
        )
        vectors = {n: [outcome.vectors.get(n) for outcome in outcomes] for n in self.job.extractors}
        masks = [self._masks(cell, shard)[0] for cell in self.job.cells]
        self.parts.write(facts, _rows(self.job, name, shard, masks, outcomes), vectors)

    def _facts(self, model: str, shard: Shard, **more: Any) -> Facts:
        return Facts(
            self.parts.run,
            model,
            shard.task.start,
            shard.task.stop,
            device=provenance.device(self.execution.device),
            versions=provenance.versions(),
            **more,
        )


def _rows(job: Job, name: str, shard: Shard, masks: list[Masks], outcomes: list[CellOutcome]) -> pa.Table:
    """The rows of a part: image by image, in each the cells in their order."""
    count, cells = len(shard.ids), job.cells
    blank = np.full(count, math.nan)
    columns = {
        "image": [image_id for image_id in shard.ids for _ in cells],
        "model": [name] * (count * len(cells)),
        "mask_set": [cell.mask_set for cell in cells] * count,
        "bucket": [cell.bucket.label for cell in cells] * count,
        "mask": _by_image([mask.names for mask in masks]),
        "ratio": _by_image([mask.ratios for mask in masks]),
        "image_digest": [digest for digest in shard.digests for _ in cells],
        "mask_digest": _by_image([mask.digests for mask in masks]),
        "output_digest": _by_image([outcome.digests or [None] * count for outcome in outcomes]),
        **{n: _by_image([outcome.values.get(n, blank) for outcome in outcomes]) for n in job.pair_metrics},
    }
    return pa.Table.from_pydict(columns, schema=tables.row_schema(job.pair_metrics))


def _by_image(cells: Sequence[Any]) -> list[Any]:
    """Values given cell by cell, in the order of rows."""
    return [value for image in zip(*cells, strict=True) for value in image]


def _digests(rows: np.ndarray) -> list[bytes]:
    """Of pictures uint8 [N, H, W, 3]."""
    return [bytes.fromhex(pictures.digest(row)[:32]) for row in rows]


def _catch_up(begun: Sequence[Begun | CellOutcome]) -> None:
    """Wait for the outputs of the cell that was begun `AHEAD` cells before; a GPU has the others to do."""
    if len(begun) > AHEAD and isinstance(earlier := begun[-1 - AHEAD], Begun):
        earlier.hashed.exception()


def _hashed(arriving: Arriving, kept: Sequence[int]) -> tuple[list[bytes], dict[int, bytes]]:
    """Digests of outputs, and some of them as PNG files."""
    rows = arriving.array()
    return _digests(rows), {place: pictures.encode_png(rows[place]) for place in kept}


def _png(picture: torch.Tensor) -> bytes:
    return pictures.encode_png(picture.permute(1, 2, 0).cpu().numpy())


def _vectors(extractor: Extractor, images: torch.Tensor) -> np.ndarray:
    return extractor.extract(images).cpu().numpy()
