"""The main job from a spec to results; what `bench run` and the library call."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import image_ids
from bench.disk import sweep
from bench.errors import BadInput, NotComparable, counted
from bench.locks import locked
from bench.metrics import registry as metric_registry
from bench.models import settings as model_settings
from bench.models.registry import ModelRef
from bench.paths import check_folder, expanded
from bench.progress import Ticker, track, warn
from bench.run import again, earlier, estimate, executors, export, plan, processes, provenance, shares, unmeasured
from bench.run.faults import Faults
from bench.run.gathered import Collected
from bench.run.inputs import Inputs
from bench.run.spec import Job, resolve
from bench.runfolder import guides, record
from bench.runfolder.damage import Damaged
from bench.runfolder.names import TRUTH, component
from bench.runfolder.parts import Parts
from bench.runfolder.record import ModelRecord, Record
from bench.types import Execution, RunSpec

if TYPE_CHECKING:
    import pandas as pd

    from bench.run.probe import Rates


@dataclass(frozen=True)
class Outcome:
    """What a run left."""

    root: Path
    summary: pd.DataFrame
    faults: Faults
    """What failed in this run."""
    share: str = ""
    """Which share of the run was done, `3/16`; then there is no summary yet."""


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
    execution = execution or Execution()
    if execution.workers:
        processes.start_server()  # imports while names are resolved
    job = resolve(spec)
    model_settings.check_on(job.models, execution.device)
    _tell_what_is_not_measured(job)
    if manifest:
        job = export.pinned_to(job, manifest)
    export.check(job)
    root = expanded(out or default_folder(job)).absolute()
    with ExitStack() as held:
        before, execution = _begin(job, root, execution, held)
        faults: Faults = {}
        damaged: list[Path] = []
        while True:  # vectors may be found damaged only when they are collected
            try:
                faults |= _fill(job, root, execution, executor)
                if _evened_out(job, root):
                    continue
                if execution.share:
                    return Outcome(root, _no_rows(), faults, str(shares.Share(*execution.share)))
                return Outcome(root, _collect(job, root, execution, before, any_count=any_count), faults)
            except Damaged as fault:
                if fault.path in damaged:
                    raise
                damaged.append(fault.path)
                warn(fault.set_aside())


def _no_rows() -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame()


def _tell_what_is_not_measured(job: Job) -> None:
    """Files that are no photographs, photographs that cannot be used; what masks, models and metrics lack."""
    if told := image_ids.told(job.aside):
        Ticker().say(f"{job.spec.dataset}: {told}")
    for fault in image_ids.together(job.skipped.values()):
        Ticker().say(f"left out: {fault}")
    for name, lacking in _not_cut(job):
        Ticker().say(f"{name} has no mask in bucket {lacking}: it is measured in the others alone.")
    if lacking := unmeasured.others(job.spec, [ref.name for ref in job.absent], job.missing):
        Ticker().say(lacking)


def _not_cut(job: Job) -> Iterator[tuple[str, str]]:
    """Mask sets that have none of some buckets that were named, and those buckets."""
    every = list(dict.fromkeys(cell.bucket.label for cell in job.cells))
    for name in job.mask_sets if job.spec.buckets else ():
        held = {cell.bucket.label for cell in job.cells if cell.mask_set == name}
        if lacking := [label for label in every if label not in held]:
            yield name, " or ".join(lacking)


def _begin(job: Job, root: Path, execution: Execution, held: ExitStack) -> tuple[Record | None, Execution]:
    """Hold the folder, or a share of it, and write the record; what an earlier start has settled stands."""
    share = shares.Share(*execution.share) if execution.share else None
    with shares.starting(root) if share else nullcontext(held.enter_context(locked(root))):
        if share:
            held.enter_context(locked(shares.folder(root, share)))
        else:
            shares.check_free(root)
            sweep(root)
        before = earlier.enter(job, root)
        earlier.name_what_is_left_out(job, root, before)
        if job.guides:
            guides.check(root, before, job.guides.mark, job.guides.marks)
        if execution.exact:
            earlier.check_exact(job, root)
        if share:
            shares.check_alike(root, share, job, execution.shard, before)
            execution = replace(execution, shard=_shard(job, replace(execution, workers=0), before))
        execution = replace(execution, threads=earlier.threads(job, root, execution, before))
        describe(job, root, execution, before)
        if job.guides:
            guides.write(root, job.guides.marks)
    return before, execution


def collect(root: Path, *, any_count: bool = False) -> Outcome:
    """From the parts of all shares to results, summary and record; what is missing is told in the summary.

    Raises `BadInput` where a share is still at work, or `root` is no run.
    """
    root = expanded(root).absolute()
    processes.start_server()
    before = record.read(root)
    job = resolve(before.spec)
    record.read_own(root, job.settings, job.ids)
    execution = Execution(workers=1, threads=before.threads)
    with locked(root):
        shares.check_free(root)
        sweep(root)
        for sentence in Parts(root, job.digest).inspect(_keys(job)):
            warn(sentence)
        outcome = Outcome(root, _collect(job, root, execution, before, any_count=any_count), {})
        measured = record.read(root)
        record.write(root, replace(measured, command=before.command, device=before.device), job.ids)
        return outcome


def _fill(job: Job, root: Path, execution: Execution, executor: str) -> Faults:
    """Set aside what is damaged, and do all that is left to do."""
    parts = Parts(root, job.digest)
    for sentence in parts.inspect(_keys(job)):
        warn(sentence)
    parts.even_out(_keys(job))
    left = remaining(job, parts, execution)
    title = f"{counted(len(job.models), 'model')} on {counted(len(job.ids), 'image')}"
    with track(title, plan.pairs(left) * len(job.cells)) as ticker:
        return executors.choose(executor)(left, job, execution, parts, ticker) if left else {}


def _evened_out(job: Job, root: Path) -> bool:
    """Whether memory ran out, and parts are to be made again in the smaller batches of the others."""
    count = Parts(root, job.digest).even_out(_keys(job))
    if count:
        Ticker().say(f"{count} parts are made again, in the smaller batches that memory allowed.")
    return count > 0


def _collect(job: Job, root: Path, execution: Execution, before: Record | None, *, any_count: bool) -> pd.DataFrame:
    """From all parts, whoever wrote them, to results, summary and record."""
    parts = Parts(root, job.digest)
    photographs = parts.photographs(len(job.ids))
    if before and before.photographs and not photographs:
        raise BadInput(
            f"{root} has lost parts of the photographs themselves ({parts.of(TRUTH)}): `bench run` into the same --out "
            "makes them again, and collects."
        )
    if before and before.photographs not in {"", photographs}:
        raise NotComparable(
            f"The photographs of {job.spec.dataset} are not those that {root} was measured on: their prepared pixels "
            "have another digest. Put the old files back, or give --out another folder."
        )
    collected = _collected(job, parts, execution, any_count=any_count)
    chosen = again.choose(job, root, collected.summary)
    again.make(job, execution, parts, chosen)
    describe(job, root, execution, before, photographs, collected.models, chosen)
    return collected.summary


def _collected(job: Job, parts: Parts, execution: Execution, *, any_count: bool) -> Collected:
    """In a process that has torch in memory, where workers have done the rest too."""
    if execution.workers:
        found: Collected = processes.call("bench.run.collect:collect", job, parts, any_count=any_count)
        return found
    from bench.run.collect import collect

    return collect(job, parts, any_count=any_count)


def outline(spec: RunSpec, out: Path | None, execution: Execution) -> dict[str, Any]:
    """What `run` would do, what is there already, and what the rest takes: see `estimate.Estimate`.

    A model that fails has no seconds, but its reason.
    """
    begun = time.time()
    if execution.workers:
        processes.start_server()
    job = resolve(spec)
    model_settings.check_on(job.models, execution.device)
    export.check_all_there(job)
    root = expanded(out or default_folder(job))
    check_folder(root)
    parts = Parts(root, job.digest)
    before = record.read_own(root, job.settings, job.ids) if root.exists() else None
    for _ in parts.inspect(_keys(job), aside=False):  # what is damaged is not there
        pass
    threads = earlier.threads(job, root, execution, before)
    execution = replace(execution, threads=threads, shard=_shard(job, execution, before))
    tasks = remaining(job, parts, execution)
    found = estimate.measured(job, tasks, execution, root, begun) if tasks else None
    rest = estimate.estimate(job, tasks, execution, found) if found else None
    return {
        "out": str(root),
        "images": len(job.ids),
        "shard": execution.shard,
        "workers": execution.workers,
        "threads": execution.threads,
        "cells": [cell.label for cell in job.cells],
        "models": [_outlined(job, ref, tasks, found, rest) for ref in job.models],
        "left_s": rest.wall_s if rest else 0.0,
        "processor_s": rest.processor_s if rest else 0.0,
        "disk_bytes": round(rest.disk_bytes) if rest else 0,
        "memory_bytes": rest.memory_bytes if rest else 0,
        "device_bytes": rest.device_bytes if rest else 0,
        "missing": job.missing | {ref.name: ref.reason for ref in job.absent},
    }


def _outlined(
    job: Job, ref: ModelRef, tasks: list[plan.Task], found: Rates | None, rest: estimate.Estimate | None
) -> dict[str, Any]:
    """A model's line of a plan."""
    pace = found.models.get(ref.name) if found else None
    left = sum(task.stop - task.start for task in tasks if job.key(ref.name) in task.keys)
    return {
        "model": ref.name,
        "done": len(job.ids) - left,
        "batch": pace.batch if pace else 0,
        "seconds_per_image": pace.pair_s if pace and not pace.fault else None,
        "left_s": rest.models[ref.name] if rest and pace and not pace.fault else 0.0,
        "fault": pace.fault if pace else "",
    }


def default_folder(job: Job) -> Path:
    """Where a run lies unless the user says otherwise."""
    return Path("runs") / component(f"{job.spec.dataset}-{job.digest[:8]}")


def remaining(job: Job, parts: Parts, execution: Execution) -> list[plan.Task]:
    """The tasks whose parts the store does not hold."""
    keys, shard = _keys(job), _shard(job, execution)
    left = plan.tasks(len(job.ids), shard, {key: parts.done(key) for key in keys})
    return list(shares.Share(*execution.share).of(left, keys, shard)) if execution.share else left


def _shard(job: Job, execution: Execution, before: Record | None = None) -> int:
    """Images of a part: as asked for, else so many that memory stays level and every worker has something to do.

    Shares take what the first of them took.
    """
    if before and before.shares:
        return before.shard
    size = job.protocol.preparation.size_px
    most = plan.shard_size(size)
    if not size and (execution.shard or most) > most:
        raise BadInput(
            f"--shard-size {execution.shard}: {job.protocol.name} has images of several sizes, a part holds one."
        )
    return execution.shard or plan.shared(
        len(job.ids), most, len(job.models), execution.workers, execution.batch or plan.BATCH
    )


def _keys(job: Job) -> list[str]:
    """The keys under which a whole run has parts: the photographs first."""
    return [TRUTH, *(job.key(ref.name) for ref in job.models)]


def describe(
    job: Job,
    root: Path,
    execution: Execution,
    before: Record | None,
    photographs: str = "",
    measured: Mapping[str, dict[str, Any]] | None = None,
    chosen: Mapping[str, tuple[str, ...]] | None = None,
) -> None:
    """Write the record. What an earlier start found of models and photographs stands until this one has found it."""
    old = before.models if before and not measured else {}
    refs = (*job.models, *job.absent)
    models = {ref.name: _model_record(ref, job.spec.tiling, (measured or {}).get(ref.name, {})) for ref in refs}
    found = Record(
        name=root.name,
        spec=job.spec,
        settings=job.settings,
        protocol=job.protocol,
        images=len(job.ids),
        models={name: old[name] if name in old and old[name].digest == m.digest else m for name, m in models.items()},
        metrics={n: metric_registry.card(n) for n in (*job.pair_metrics, *job.set_metrics, *job.missing)},
        mask_sets=job.mask_sets,
        missing=job.missing,
        skipped=job.skipped,
        domain=job.domain,
        kept=Inputs(job).kept,
        chosen=dict(chosen if chosen is not None else before.chosen if before else {}),
        threads=execution.threads,
        shares=execution.share[1] if execution.share else before.shares if before else 0,
        shard=(execution.shard or 0) if execution.share else before.shard if before else 0,
        photographs=photographs or (before.photographs if before else ""),
        **provenance.record(device_name=execution.device),
    )
    record.write(root, found, job.ids)


def _model_record(ref: ModelRef, tiling: str, measured: dict[str, Any]) -> ModelRecord:
    return ModelRecord(
        **{"title": ref.card.title, "kind": ref.card.kind, "weights": ref.weights, "digest": ref.digest}
        | {"settings": dict(ref.settings) or None, "domain": ref.card.domain, "guides": ref.guides}
        | {"prompts": ref.prompts}
        | {"reason": ref.reason, "larger": ref.card.larger if tiling else ""}
        | measured
    )
