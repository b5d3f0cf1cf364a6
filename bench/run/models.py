"""The models of a run, each opened and checked once, when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from bench.errors import BenchError, ContractBroken, exception_text
from bench.models import arithmetic, contract, opening, tiling
from bench.models.predict import Predictions, Predictor
from bench.models.served import Served
from bench.run import provenance
from bench.run.flops import Flops
from bench.run.memory import Peak
from bench.run.plan import BATCH, GPU_BATCH, shard_size
from bench.run.spec import Job
from bench.runfolder import batches
from bench.runfolder.batches import SettledBatch
from bench.runfolder.part import Costs
from bench.runfolder.parts import Parts
from bench.types import Execution

SERVED_SHARE = 0.9
"""The share of a batch's time after which a served command is taken for dead."""


@dataclass
class Models:
    """Opened models by name, on one device."""

    job: Job
    execution: Execution
    device: torch.device
    parts: Parts
    """Where batches are settled."""
    report: Callable[[str], None] = print
    alive: Callable[[], None] = lambda: None
    """Called before every batch."""
    _opened: dict[str, Predictor | Predictions | BenchError] = field(default_factory=dict)

    def open(self, name: str) -> Predictor | Predictions:
        """A model, held to its contract (`contract.require`).

        Raises the same `BenchError` whenever it is asked for again.
        """
        if name not in self._opened:
            try:
                self._opened[name] = self._open(name)
            except BenchError as fault:
                self._opened[name] = fault
        found = self._opened[name]
        if isinstance(found, BenchError):
            raise found.with_traceback(None)
        return found

    def _open(self, name: str) -> Predictor | Predictions:
        ref = self.job.ref(name)
        if ref.pictures:
            return Predictions(ref.pictures, self.job.protocol, tuple(cell.label for cell in self.job.cells))
        size = self.job.protocol.preparation.size_px or 256
        try:
            network = opening.open_model(ref, self.device)
            if isinstance(network, Served):  # told before the worker is taken for dead
                network.limit_s = SERVED_SHARE * self.execution.time_limit_s
            model, card = tiling.tiled(network, ref.card, self.job.spec.tiling)
            contract.require(model, card, size, self.device)
            texts = self.job.prompts.texts if self.job.prompts and ref.prompts else {}
            predictor = Predictor(model, card, self.job.protocol, texts=texts, say=self.report, alive=self.alive)
            self._settle(name, predictor)
            self._count(predictor, size)
            arithmetic.apply(network, self.job.spec.precision, compiled=self.job.spec.compile)
        except ContractBroken as fault:
            raise ContractBroken(f"{name}: {fault}") from fault
        except BenchError:
            raise
        except Exception as fault:  # a stranger's code may raise anything; the run goes on without it
            raise ContractBroken(f"{name} could not be opened: {exception_text(fault)}") from fault
        return predictor

    def _settle(self, name: str, predictor: Predictor) -> None:
        """Give it the run's batch, or have it find one for the run: no larger than a shard or the run."""
        gpu = self.device.type == "cuda"
        most = self.execution.batch or (GPU_BATCH if gpu else BATCH)
        shard = self.execution.shard or shard_size(self.job.protocol.preparation.size_px)
        predictor.most = min(most, shard, len(self.job.ids))
        predictor.batch = predictor.most if self.execution.batch else 0
        predictor.exact = self.execution.exact or not gpu
        folder, device = self.parts.of(self.job.key(name)), provenance.device(self.execution.device)
        if stands := batches.read(batches.file(folder, device)):
            if predictor.batch not in (0, stands.images):
                self.report(
                    f"{name}: batches of {stands.images}, as this run has settled them, in spite of --batch-size"
                )
            predictor.batch, predictor.exact, predictor.settled = stands.images, stands.exact, True

        def keep(found: int, instead: bool) -> int:
            return batches.settle(folder, SettledBatch(found, predictor.exact, device), instead=instead).images

        predictor.keep = keep

    def _count(self, predictor: Predictor, size: int) -> None:
        """Count the operations and the memory of one image; a pass of its own, since counting changes last bits."""
        given = contract.trial(predictor.model, predictor.card, size, self.device, count=1)
        handed = given.handed(given.images)
        with Flops() as counter, Peak() as peak:
            given.predict(*handed)
        predictor.flops, predictor.peak_bytes = counter.count, peak.bytes

    def batch(self, name: str) -> int:
        """Images that a model sees at once; 0 where it did not open."""
        found = self._opened.get(name)
        return found.batch if isinstance(found, Predictor) else 0

    def costs(self, name: str) -> Costs:
        """What one image costs; nothing for what is no network, or does not open."""
        found = self._opened.get(name)
        if not isinstance(found, Predictor) or not isinstance(found.model, torch.nn.Module):
            return Costs()
        held = sum(tensor.nbytes for tensor in (*found.model.parameters(), *found.model.buffers()))
        count = sum(tensor.numel() for tensor in found.model.parameters())
        return Costs(count, found.flops, held + found.peak_bytes)
