"""What an earlier start of a run has left: what of it stands, and what is asked for now that cannot go with it."""

from __future__ import annotations

from pathlib import Path

from bench.errors import NotComparable, counted
from bench.progress import Ticker, warn
from bench.run import machine
from bench.run.spec import Job
from bench.runfolder import batches, record, tables
from bench.runfolder.damage import Damaged
from bench.runfolder.names import IMAGES, PARTS, RECORD, RESULTS, SUMMARY, listed
from bench.runfolder.parts import Parts
from bench.runfolder.record import Record, model_key
from bench.types import Execution


def enter(job: Job, root: Path) -> Record | None:
    """The record of an earlier start; what is damaged is set aside."""
    try:
        before = record.read_own(root, job.settings, job.ids)
        if before and (root / IMAGES).exists():
            record.read_images(root, before)
    except Damaged as fault:
        warn(fault.set_aside())
        before = record.read_own(root, job.settings, job.ids)
    else:
        if not before and (root / PARTS).exists():
            warn(f"{root / RECORD} is missing. It is to be made again.")
    for name in (RESULTS, SUMMARY):
        try:
            tables.check(root / name, before.mark if before and before.photographs else "")
        except Damaged as fault:
            warn(fault.set_aside())
    return before


def name_what_is_left_out(job: Job, root: Path, before: Record | None) -> None:
    """Say which models that were measured before are not named now."""
    named = {ref.name for ref in (*job.models, *job.absent)}
    if left := [name for name in _measured(job, root, before) if name not in named]:
        Ticker().say(f"{listed(left)} measured in {root} before: name them too to have them in its tables.")


def _measured(job: Job, root: Path, before: Record | None) -> list[str]:
    """Models of an earlier start of which there are parts."""
    parts, known = Parts(root, job.digest), before.models if before else {}
    return [name for name, model in known.items() if parts.spans(model_key(name, model.digest))]


def threads(job: Job, root: Path, execution: Execution, before: Record | None) -> int:
    """As the run's first start took, else as asked for, else by the machine.

    Raises `NotComparable` where others are asked for than those with which parts were made, whose sums may round
    otherwise.
    """
    taken, asked = before.threads if before else 0, execution.threads
    if taken and asked and taken != asked and _measured(job, root, before):
        raise NotComparable(
            f"{root} was measured with {counted(taken, 'thread')}, and numbers may move with another count. Leave "
            f"--threads {asked} out, or give --out another folder."
        )
    return asked or taken or machine.threads(execution.workers)


def check_exact(job: Job, root: Path) -> None:
    """Raise `NotComparable` where `--exact` comes too late for a run."""
    parts = Parts(root, job.digest)
    for ref in job.models:
        if any(not one.exact for one in batches.standing(parts.of(job.key(ref.name)))):
            raise NotComparable(
                f"{root} holds parts of {ref.name} in batches that may move bits, made without --exact. Leave --exact "
                "out, or give --out another folder."
            )
