"""The main job from a spec to results; what `bench run` and the library call."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bench import runfolder
from bench.datasets import registry as dataset_registry
from bench.disk import locked
from bench.metrics import registry as metric_registry
from bench.progress import track
from bench.run import collect, estimate, export, plan, provenance
from bench.run.execute import EXECUTORS
from bench.run.spec import Job, resolve
from bench.run.toolbox import key
from bench.runfolder import TRUTH, Store
from bench.types import Execution, RunSpec


@dataclass(frozen=True)
class Outcome:
    """What a run left."""

    root: Path
    summary: pd.DataFrame
    faults: dict[tuple[str, str], str]
    """(model, cell label) -> why it failed in this run."""


def run(
    spec: RunSpec,
    out: Path | None = None,
    execution: Execution | None = None,
    *,
    executor: str = "local",
    any_count: bool = False,
    manifest: Path | None = None,
) -> Outcome:
    """Fill every cell of a spec and write its results; parts that a run folder holds already are not made again.

    out: the run folder (default `runs/DATASET-DIGEST`); manifest: what `export` wrote, for finished pictures of it.
    Raises `BenchError` for wrong names, missing data or pictures, a folder of another run or one that another process
    holds, before an image is read.
    """
    job = resolve(spec)
    if manifest:
        job = export.held_to(job, manifest)
    export.check(job)
    execution = execution or Execution()
    root = out or default_folder(job)
    with locked(root):
        runfolder.same_settings(root, job.settings())
        folder = Store(root, job.digest)
        describe(job, root, execution)
        left = remaining(job, folder, execution)
        with track(
            f"{len(job.models)} models on {len(job.ids)} images", plan.images_left(left) * len(job.cells)
        ) as ticker:
            faults = EXECUTORS[executor](left, job, execution, folder, ticker) if left else {}
        collect.results(job, folder)
        describe(job, root, execution, collect.model_facts(job, folder))
        return Outcome(root, collect.summary(job, folder, any_count=any_count), faults)


def outline(spec: RunSpec, out: Path | None, execution: Execution) -> dict[str, Any]:
    """What `run` would do, what is there already, and how long the rest takes."""
    job = resolve(spec)
    root = out or default_folder(job)
    folder = Store(root, job.digest)
    if root.exists():
        runfolder.same_settings(root, job.settings())
    tasks = remaining(job, folder, execution)
    per_image = estimate.seconds_per_image(job, folder, execution)
    left = estimate.left(tasks, per_image, len(job.cells))
    open_images = {
        ref.name: sum(task.stop - task.start for task in tasks if ref.name in task.models) for ref in job.models
    }
    return {
        "out": str(root),
        "images": len(job.ids),
        "shard": execution.shard or plan.shard_size(job.protocol.preparation.size_px or 256),
        "cells": [cell.label for cell in job.cells],
        "models": [
            {
                "model": name,
                "done": len(job.ids) - open_images[name],
                "seconds_per_image": per_image[name],
                "left_s": left[name],
            }
            for name in per_image
        ],
        "left_s": sum(left.values()),
        "missing": job.missing | {ref.name: ref.reason for ref in job.absent},
    }


def default_folder(job: Job) -> Path:
    """Where a run lies unless the user says otherwise."""
    return Path("runs") / runfolder.folder_name(f"{job.spec.dataset}-{job.digest[:8]}")


def remaining(job: Job, folder: Store, execution: Execution) -> list[plan.Task]:
    """The tasks whose parts the store does not hold."""
    shard = execution.shard or plan.shard_size(job.protocol.preparation.size_px or 256)
    keys = {ref.name: key(job, ref.name) for ref in job.models}
    return plan.tasks(len(job.ids), shard, {name: folder.done(model_key) for name, model_key in keys.items()})


def describe(job: Job, root: Path, execution: Execution, measured: dict[str, dict[str, Any]] | None = None) -> None:
    """Write `run.json` and `images.txt`: what was asked for, what decided the numbers, what was found of the models."""
    dataset_registry.write_list(root / "images.txt", job.ids)
    runfolder.write_json(root / "run.json", facts(job, root, execution, measured or {}))


def facts(job: Job, root: Path, execution: Execution, measured: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The content of `run.json`."""
    cards = metric_registry.cards()
    return {
        "name": root.name,
        "spec": dataclasses.asdict(job.spec),
        "settings": job.settings(),
        "protocol": dataclasses.asdict(job.protocol),
        "digests": {"settings": job.digest} | {ref.name: ref.digest for ref in job.models},
        "images": len(job.ids),
        "models": {ref.name: _model_facts(ref) | measured.get(ref.name, {}) for ref in (*job.models, *job.absent)},
        "metrics": {
            name: dataclasses.asdict(cards[name]) for name in (*job.pair_metrics, *job.set_metrics, *job.missing)
        },
        "missing": job.missing,
        "mask_sets": job.mask_sets,
        "truth": TRUTH,
    } | provenance.record(device_name=execution.device)


def _model_facts(ref: Any) -> dict[str, Any]:
    return {
        "title": ref.card.title,
        "kind": ref.card.kind,
        "weights": ref.weights,
        "digest": ref.digest,
        "reason": ref.reason,
        "contaminated": False,
    }
