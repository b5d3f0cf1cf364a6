"""What is ready on this machine, what is missing, and what to type next."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import paths
from bench.datasets import registry as dataset_registry
from bench.errors import BenchError
from bench.masks import frozen
from bench.metrics import registry as metric_registry
from bench.models import fetching
from bench.models import registry as model_registry
from bench.run import provenance


@dataclass(frozen=True)
class Requirement:
    """One thing that a run may need."""

    kind: str
    """`device`, `memory`, `folder`, `version`, `model`, `weights`, `data set`, `mask set`, `metric`."""
    name: str
    ready: bool
    note: str
    """What it is, or what is missing and what to type."""


def requirements() -> Iterator[Requirement]:
    """Look at everything in turn: machine, models, weights that can be fetched, data sets, mask sets, metrics."""
    yield from _machine()
    for ref in model_registry.choose(["all"]):
        yield Requirement("model", ref.name, not ref.reason, ref.reason or ref.card.title)
    for one in fetching.choose(["all"]):
        if one.download and not one.download.by_hand:
            note = (
                one.download.file if one.here else f"bench models fetch {one.model_id}@{one.tag} ({one.download.url})"
            )
            yield Requirement("weights", one.name, one.here, note)
    for name, note in dataset_registry.PLAIN.items():
        yield Requirement("data set", name, ready=True, note=note)
    for name in dataset_registry.entries():
        note = f"yours to bring, with --root DIR: bench datasets show {name} says where it is and how it must lie"
        yield Requirement("data set", name, ready=False, note=note)
    for name in frozen.folders():
        yield _mask_set(name)
    for name, card in metric_registry.cards().items():
        reason = metric_registry.unavailable(name)
        yield Requirement("metric", name, reason is None, reason or card.title)


def _machine() -> Iterator[Requirement]:
    import torch

    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = f"{torch.cuda.get_device_name(index)}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free"
        yield Requirement("device", f"cuda:{index}", ready=True, note=name)
    yield Requirement(
        "device", "cpu", ready=True, note=f"{psutil.cpu_count()} cores, {torch.get_num_threads()} threads used"
    )
    memory = psutil.virtual_memory()
    note = f"{memory.available / 2**30:.0f} of {memory.total / 2**30:.0f} GiB free"
    yield Requirement("memory", "RAM", memory.available > 2 * 2**30, note)
    disk = shutil.disk_usage(Path.cwd())
    yield Requirement("folder", str(Path.cwd()), disk.free > 2**30, f"{disk.free / 2**30:.0f} GiB free on disk")
    yield Requirement(
        "folder", str(paths.home()), ready=True, note="weights, caches and imported mask sets (BENCH_HOME)"
    )
    versions = ", ".join(f"{name} {version}" for name, version in provenance.versions().items())
    yield Requirement("version", "libraries", "missing" not in versions, versions)


def _mask_set(name: str) -> Requirement:
    try:
        found = frozen.load(name)
    except BenchError as fault:
        return Requirement("mask set", name, ready=False, note=str(fault))
    return Requirement("mask set", name, ready=True, note=f"{found.family}, {found.size_px} px, {found.digest[:12]}")
