"""What a worker has opened: photographs, mask sets, models, metrics. Opened once, when first needed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench import images as pictures
from bench.contracts import Dataset, Extractor, PairMetric
from bench.datasets import registry as dataset_registry
from bench.errors import BadInput, BenchError, ContractBroken
from bench.masks import frozen
from bench.metrics import registry as metric_registry
from bench.models import contamination, contract, opening
from bench.models.predict import Predictions, Predictor
from bench.run.memory import Peak
from bench.run.spec import Job
from bench.runfolder import Store
from bench.types import Cell, Execution

COSTS = ("parameters", "flops", "memory_bytes")


class Photographs(NamedTuple):
    """The images of a shard as they leave the decoder."""

    pixels: np.ndarray
    """uint8 [N, H, W, 3]"""
    prints: list[str]
    """Fingerprints before crop and resize, by which a training list knows a photograph; empty where nobody asks."""


@dataclass
class Toolbox:
    """Opened things of one worker."""

    job: Job
    execution: Execution
    store: Store
    say: Callable[[str], None] = print
    faults: dict[tuple[str, str], str] = field(default_factory=dict)
    """(model, cell label) -> why it failed; such a cell is not tried again by this worker."""
    reported: set[tuple[str, str]] = field(default_factory=set)
    """Faults that the user has read already."""
    _predictors: dict[str, Predictor | Predictions | BenchError] = field(default_factory=dict)

    @cached_property
    def dataset(self) -> Dataset:
        """The photographs."""
        return dataset_registry.open_dataset(self.job.spec.dataset, self.job.spec.root, self.job.spec.split)

    @cached_property
    def device(self) -> torch.device:
        """Where networks run; kernels are fixed so that equal shapes give equal bits."""
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        return torch.device(self.execution.device)

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
    def mask_sets(self) -> dict[str, Any]:
        """The mask sets by id."""
        return {name: frozen.load(name) for name in self.job.mask_sets}

    @cached_property
    def trained_on(self) -> dict[str, frozenset[str]]:
        """Model -> fingerprints of the photographs that its weights have seen, where a list of them is at hand."""
        lists = {ref.name: contamination.load(ref.file) for ref in self.job.models if ref.file}
        return {name: prints for name, prints in lists.items() if prints}

    @cached_property
    def kept(self) -> frozenset[str]:
        """The images whose pictures are kept: those with the smallest digests, whatever the order of the work."""
        count = self.job.spec.keep_images
        return frozenset(dataset_registry.subset(self.job.ids, count)) if count else frozenset()

    def photographs(self, start: int, stop: int) -> Photographs:
        """The prepared photographs of a range; needs no device, so it may run ahead in a thread."""
        preparation = self.job.protocol.preparation
        prepared, prints = [], []
        for image_id in self.job.ids[start:stop]:
            image = self.dataset.read(image_id)
            prints.append(contamination.fingerprint(image) if self.trained_on else "")
            prepared.append(pictures.prepare(image, preparation, image_id))
        return Photographs(np.stack(prepared), prints)

    def masks(self, cell: Cell, start: int, stop: int) -> tuple[np.ndarray, list[str], np.ndarray]:
        """Masks of a range of images in a cell: bool [N, H, W], their names in the set, their digests."""
        pool = self.mask_sets[cell.mask_set].pool(cell.bucket)
        indices = [pool.index(image_id) for image_id in self.job.ids[start:stop]]
        names = [pool.name(index) for index in indices]
        return pool.masks(indices), names, np.array([pool.digest(index)[:32] for index in indices])

    def predictor(self, name: str) -> Predictor | Predictions:
        """A model, opened and held to its contract once (`contract.require`).

        Raises the same `BenchError` whenever it is asked for again.
        """
        if name not in self._predictors:
            self._predictors[name] = self._open(name)
        found = self._predictors[name]
        if isinstance(found, BenchError):
            raise found.with_traceback(None)
        return found

    def costs(self, name: str) -> dict[str, int]:
        """Parameters; floating-point operations and memory of one image. 0 for what is no network, or does not open.

        Memory is that of weights and buffers, and of the tensors alive at the peak of a pass.
        """
        found = self._predictors.get(name)
        if not isinstance(found, Predictor) or not isinstance(found.model, torch.nn.Module):
            return dict.fromkeys(COSTS, 0)
        held = sum(tensor.nbytes for tensor in (*found.model.parameters(), *found.model.buffers()))
        counts = sum(tensor.numel() for tensor in found.model.parameters()), found.flops, held + found.peak_bytes
        return dict(zip(COSTS, counts, strict=True))

    def _open(self, name: str) -> Predictor | Predictions | BenchError:
        ref = next(ref for ref in self.job.models if ref.name == name)
        if ref.pictures:
            return Predictions(ref.pictures, self.job.protocol, tuple(cell.label for cell in self.job.cells))
        size = self.job.protocol.preparation.size_px or 256
        try:
            model = opening.open_model(ref, self.device)
            contract.require(model, ref.card, size, self.device)
            batch = min(self.execution.batch, self.execution.shard or self.execution.batch, len(self.job.ids))
            predictor = Predictor(model, ref.card, self.job.protocol, batch, say=self.say)
            self._count(predictor, size)
        except ContractBroken as refused:
            return ContractBroken(f"{name}: {refused}")
        except BenchError as refused:
            return refused
        except Exception as refused:  # noqa: BLE001 - a stranger's code may raise anything; the run goes on without it
            return ContractBroken(f"{name} could not be opened: {type(refused).__name__}: {refused}")
        return predictor

    def _count(self, predictor: Predictor, size: int) -> None:
        """Count the operations and the memory of one image; a pass of its own, since counting changes last bits."""
        given = contract.trial(predictor.model, predictor.card, size, self.device, count=1)
        handed = given.handed(given.images)
        with FlopCounterMode(display=False) as counter, Peak() as peak:
            given.predict(*handed)
        predictor.flops, predictor.peak_bytes = counter.get_total_flops(), peak.bytes


def choose_device(name: str) -> str:
    """`auto` becomes the GPU where there is one; a device that is not here is refused."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise BadInput(f"No device '{name}'. Use cpu, cuda, cuda:N or auto.")
    if name != "cpu" and int(name.partition(":")[2] or 0) >= torch.cuda.device_count():
        raise BadInput(
            f"No device '{name}' on this machine: {torch.cuda.device_count()} CUDA devices. Use --device cpu."
        )
    return name


def key(job: Job, name: str) -> str:
    """A model's key in the store: its name, and the digest of its weights and its code."""
    ref = next(ref for ref in job.models if ref.name == name)
    return f"{ref.name}@{ref.digest[:12]}"
