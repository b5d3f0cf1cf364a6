"""How long a training will take and how much memory it needs, measured by a pass of every player on a small batch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import torch

from bench import progress
from bench.errors import BadInput
from bench.training.base import Batch
from bench.training.learner import Learner
from bench.training.masks import MaskSampler
from bench.training.recipe import Stage

GIB = 1 << 30
PROBE = 2
"""Images of the measured batch: batch norms need two."""
LONG_S = 10.0
"""A turn that takes longer is measured once."""
LOOKS, SHORT_S = 3, 1.0
"""A short turn is measured so often, and the least counts: other work on the machine only adds."""


@dataclass(frozen=True)
class TrainingEstimate:
    """What a whole training asks of one process: time and memory."""

    parameters: dict[str, int]
    """Player -> number of parameters."""
    seconds: float
    """All steps, without loading and validation."""
    memory_bytes: int
    """Weights, gradients, moments, and what one turn keeps for its backward pass."""


def measure(learner: Learner, sampler: MaskSampler, world: int) -> TrainingEstimate:
    """Run each player once forwards and backwards. The learner is spent: its batch norms have seen noise."""
    recipe, accumulated = learner.recipe, learner.accumulate
    share = recipe.batch * learner.copies / world / PROBE
    learner.accumulate = 1
    batch = _noise(learner, sampler)
    seconds: dict[tuple[str, str], float] = {}
    kept = 0
    turns = [(stage, player) for stage in recipe.stages for player in dict.fromkeys(stage.turns)]
    with progress.track("measuring a step", len(turns)) as ticker:
        for stage, player in turns:
            learner.enter(stage)
            counter = _Kept(learner)
            with torch.autograd.graph.saved_tensors_hooks(counter.count, _same):
                took = _seconds(learner, player, batch, stage)
            kept = max(kept, counter.bytes)
            if took < LONG_S:  # the first turn has costs of its own, which say little of a long one
                took = min(_seconds(learner, player, batch, stage) for _ in range(LOOKS if took < SHORT_S else 1))
            seconds[stage.name, player] = took * share
            ticker.advance()
    per_stage = {stage.name: sum(seconds[stage.name, player] for player in stage.turns) for stage in recipe.stages}
    counts = {name: sum(p.numel() for p in module.parameters()) for name, module in learner.players.items()}
    fixed = sum(item.numel() * item.element_size() for item in learner.training.state_dict().values())
    return TrainingEstimate(
        parameters=counts,
        seconds=sum(per_stage[stage.name] * stage.steps for stage in recipe.stages),
        memory_bytes=int(fixed + 12 * sum(counts.values()) + kept * share / accumulated),
    )


def check_memory(estimate: TrainingEstimate, device: torch.device, batch: int, accumulate: int = 1) -> None:
    """Raise `BadInput` with advice where the estimate is above what is free."""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    if estimate.memory_bytes > free:
        raise BadInput(
            f"This training needs about {estimate.memory_bytes / GIB:.1f} GiB, but {free / GIB:.1f} GiB are free on "
            f"{device}. {_advice(batch, accumulate)}"
        )


@contextmanager
def out_of_memory(batch: int, accumulate: int = 1) -> Iterator[None]:
    """Turn the device's out-of-memory error, which the estimate did not foresee, into `BadInput` with advice."""
    try:
        yield
    except torch.OutOfMemoryError as fault:
        raise BadInput(
            f"The device's memory is full: {str(fault).splitlines()[0]} {_advice(batch, accumulate)}"
        ) from fault


def _advice(batch: int, accumulate: int) -> str:
    smaller = next((count for count in range(accumulate + 1, batch + 1) if batch % count == 0), 0)
    parts = f"Take the batch in more parts (--accumulate {smaller}), " if smaller else "Take "
    return (
        f"{parts}a smaller batch (--set batch={max(1, batch // 2)}), smaller crops, narrower settings, or more devices "
        "(--devices)."
    )


class _Kept:
    """Bytes that autograd keeps, each storage once, parameters not counted."""

    def __init__(self, learner: Learner) -> None:
        self.seen = {tensor.untyped_storage().data_ptr() for tensor in learner.training.state_dict().values()}
        self.bytes = 0

    def count(self, tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self.seen:
            self.seen.add(storage.data_ptr())
            self.bytes += storage.nbytes()
        return tensor


def _same(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def _noise(learner: Learner, sampler: MaskSampler) -> Batch:
    device = learner.fabric.device
    masks = torch.from_numpy(sampler.batch(0, range(PROBE))[:PROBE])[:, None].float()
    return Batch(torch.rand(PROBE, 3, sampler.size_px, sampler.size_px, device=device), masks.to(device))


def _seconds(learner: Learner, player: str, batch: Batch, stage: Stage) -> float:
    """What one turn takes."""
    _wait(learner)
    begin = time.perf_counter()
    learner.turn(player, batch, stage, 0.0)
    _wait(learner)
    return time.perf_counter() - begin


def _wait(learner: Learner) -> None:
    if learner.fabric.device.type == "cuda":
        torch.cuda.synchronize(learner.fabric.device)
